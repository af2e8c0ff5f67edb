/**
 * Claims about bytes from peers: whatever they are and however they are cut, they become what was
 * sent or a `LedgerError`, and a length that lies takes no memory. Mutation: drop the check of the
 * length in `FrameReader` or `decodeList` and "refuses" and "fuzz" fail.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { concatBytes } from "../../../src/base/bytes.ts";
import { isLedgerError } from "../../../src/base/errors.ts";
import { limits } from "../../../src/base/limits.ts";
import { decodeList, encodeFrame, encodeList, FrameReader } from "../../../src/p2p/frame.ts";
import {
  answerOf,
  bodyOf,
  decodeSyncRequest,
  decodeSyncStatus,
  encodeGone,
  encodeSyncRequest,
  encodeSyncStatus,
  refusal,
} from "../../../src/p2p/sync-format.ts";
import { decodeGossipFrame, encodeGossipFrame } from "../../../src/p2p/transactions.ts";
import { seedOf } from "../../helpers/seed.ts";

const listLimits = { name: "list", countMax: 5, itemBytesMax: 100 };

function codeOf(act: () => unknown): string {
  try {
    act();
    return "none";
  } catch (error) {
    if (!isLedgerError(error)) throw error;
    return error.code;
  }
}

describe("frames", () => {
  it("come back whole and in order however the stream is cut", () => {
    const frames = fc.array(fc.uint8Array({ minLength: 1, maxLength: 9_000 }), { maxLength: 6 });
    fc.assert(
      fc.property(frames, fc.array(fc.integer({ min: 1, max: 5_000 })), (sent, cuts) => {
        const reader = new FrameReader("test", 9_000);
        let rest: Uint8Array = concatBytes(...sent.map(encodeFrame));
        const received: Uint8Array[] = [];
        for (const cut of [...cuts, rest.length]) {
          received.push(...reader.read(rest.subarray(0, cut)));
          rest = rest.subarray(cut);
        }
        expect(received.map((bytes) => Buffer.from(bytes).toString("hex"))).toEqual(
          sent.map((bytes) => Buffer.from(bytes).toString("hex")),
        );
      }),
      { seed: seedOf(1), numRuns: 100 },
    );
  });

  it("are refused at one byte over the limit and at zero, not at the limit", () => {
    const reader = () => new FrameReader("test", 10);
    expect(reader().read(encodeFrame(new Uint8Array(10)))).toHaveLength(1);
    expect(codeOf(() => reader().read(encodeFrame(new Uint8Array(11))))).toBe("P2P_FRAME_INVALID");
    expect(codeOf(() => reader().read(new Uint8Array(4)))).toBe("P2P_FRAME_INVALID");
  });

  it("take no memory for a length that lies", () => {
    const before = process.memoryUsage().arrayBuffers;
    const readers = Array.from({ length: 500 }, () => {
      const reader = new FrameReader("test", limits.consensusFrameBytesMax);
      reader.read(Uint8Array.of(0, 0xbf, 0xff, 0xff, 1));
      return reader;
    });
    const grown = process.memoryUsage().arrayBuffers - before;
    expect(readers).toHaveLength(500);
    expect(grown).toBeLessThan(16 * 1024 * 1024);
  });
});

describe("lists", () => {
  it("come back as they were", () => {
    const items = [Uint8Array.of(1), new Uint8Array(100), Uint8Array.of(2, 3)];
    expect(decodeList(encodeList(items), listLimits)).toEqual(items);
    expect(decodeList(new Uint8Array(0), listLimits)).toEqual([]);
  });

  it.each([
    ["a length past the end", Uint8Array.of(0, 0, 0, 9, 1)],
    ["half a length", Uint8Array.of(0, 0)],
    ["an empty item", Uint8Array.of(0, 0, 0, 0)],
    ["an item over its limit", encodeList([new Uint8Array(101)])],
    ["one item too many", encodeList(Array.from({ length: 6 }, () => Uint8Array.of(1)))],
    ["a length of 4 GiB", Uint8Array.of(255, 255, 255, 255, 1)],
  ])("refuse %s", (_name, bytes) => {
    expect(codeOf(() => decodeList(bytes, listLimits))).toBe("P2P_FRAME_INVALID");
  });
});

describe("messages", () => {
  it("of gossip and sync come back as they were", () => {
    const transactions = [Uint8Array.of(1), new Uint8Array(limits.transactionBytesMax).fill(7)];
    expect(decodeGossipFrame(encodeGossipFrame(transactions))).toEqual(transactions);
    const request = { kind: "blocks", from: 2 ** 53 - 1, countMax: 3 } as const;
    expect(decodeSyncRequest(encodeSyncRequest(request))).toEqual(request);
    expect(decodeSyncRequest(encodeSyncRequest({ kind: "status" }))).toEqual({ kind: "status" });
    const ofSnapshots = [
      { kind: "manifest", height: 0 },
      { kind: "chunk", height: 2 ** 53 - 1, from: "" },
      { kind: "chunk", height: 7, from: "toy/\u{1f525}" },
    ] as const;
    for (const each of ofSnapshots)
      expect(decodeSyncRequest(encodeSyncRequest(each))).toEqual(each);
  });

  it("of a status are 48 bytes: height, hash, clock", () => {
    const status = { height: 77, hash: "ab".repeat(32), clockMs: 1_700_000_000_000 };
    const bytes = encodeSyncStatus(status);
    const hex = `000000000000004d${status.hash}0000018bcfe56800`;
    expect(Buffer.from(bytes).toString("hex")).toBe(hex);
    expect(decodeSyncStatus(bytes)).toEqual(status);
    for (const length of [0, 40, 47])
      expect(codeOf(() => decodeSyncStatus(bytes.subarray(0, length)))).toBe("P2P_FRAME_INVALID");
  });

  it.each([
    [0n, "none"],
    [2n ** 53n - 1n, "none"],
    [2n ** 53n, "P2P_FRAME_INVALID"],
    [BigInt.asUintN(64, -300_000n), "P2P_FRAME_INVALID"],
    [0x7ff8_0000_0000_0000n, "P2P_FRAME_INVALID"],
  ])("of a status whose clock or height is %d: %s", (value, code) => {
    for (const offset of [0, 40]) {
      const bytes = encodeSyncStatus({ height: 0, hash: "ab".repeat(32), clockMs: 0 });
      new DataView(bytes.buffer).setBigUint64(offset, value);
      expect(codeOf(() => decodeSyncStatus(bytes))).toBe(code);
    }
  });

  it("of answers that something is gone say from where on it is there", () => {
    const answer = (bytes: Uint8Array) => () => bodyOf(bytes, "peer", "chunk");
    expect(answer(encodeGone(32))).toThrow(expect.objectContaining({ code: "P2P_SYNC_PRUNED" }));
    expect(codeOf(answer(encodeGone(32).subarray(0, 8)))).toBe("P2P_FRAME_INVALID");
    expect(codeOf(answer(refusal))).toBe("P2P_FRAME_INVALID");
    expect(answer(answerOf(Uint8Array.of(7)))()).toEqual(Uint8Array.of(7));
  });

  it("of gossip refuse a transaction one byte over its limit, and differ when sent again", () => {
    const over = encodeGossipFrame([new Uint8Array(limits.transactionBytesMax + 1)]);
    expect(codeOf(() => decodeGossipFrame(over))).toBe("P2P_FRAME_INVALID");
    const again = [1, 2].map(() => Buffer.from(encodeGossipFrame([Uint8Array.of(1)])));
    expect(again[0]?.equals(again[1] as Buffer)).toBe(false);
  });

  it("under fuzz end as a result or a LedgerError, never as another exception", () => {
    const decoders = [decodeGossipFrame, decodeSyncRequest, decodeSyncStatus];
    const lists = fc
      .array(fc.uint8Array({ maxLength: 40 }), { maxLength: 4 })
      .map((items) => concatBytes(new Uint8Array(9), encodeList(items)));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 64 }), lists), (bytes) => {
        for (const decode of decoders) codeOf(() => decode(bytes));
        codeOf(() => decodeList(bytes, listLimits));
        codeOf(() => new FrameReader("test", 32).read(bytes));
      }),
      { seed: seedOf(2), numRuns: 3_000 },
    );
  });
});
