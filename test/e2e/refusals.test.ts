/**
 * Everything that must not go through, sent over the HTTP API of a real devnet: each ends as its
 * failure class says (docs/ARCHITECTURE.md), with its own code.
 *
 * Admission refuses before anything is held: same code on every node, nothing pending, same state
 * root. What execution refuses is final with a receipt: no change and no event, and the nonce used.
 * That nothing else changed is computed, not looked up: see state-of-chain.ts.
 */
import { beforeAll, describe, expect, it } from "vitest";
import { concatBytes, hexToBytes } from "../../src/base/bytes.ts";
import { isLedgerError } from "../../src/base/errors.ts";
import { encode } from "../../src/base/format/codec.ts";
import type { JsonValue } from "../../src/base/format/json.ts";
import type { Transaction } from "../../src/base/format/transaction.ts";
import { tagged, tags } from "../../src/base/hash.ts";
import { limits } from "../../src/base/limits.ts";
import { nativeSigner } from "../../src/node/native-crypto.ts";
import { useDevnet } from "../helpers/devnet.ts";
import { readingOf, registerMeter, type SignChange, TestSender, untilFinal } from "./sender.ts";
import { rootOf, setWindow, stateHashesAt } from "./state-of-chain.ts";

const meter = "m-1";
const devnet = useDevnet({ extraAccounts: [["gateway"], ["gateway"]] });

let gateway: TestSender;
/** Another gateway than the meter's. */
let foreign: TestSender;
/** Whose window is moved far. */
let jumper: TestSender;
let first: Transaction;

const report = (sender: TestSender, readings: JsonValue[], change: SignChange = {}) =>
  sender.sign("metering", "report", { readings }, change);
/** A transaction that would be fine but for what is changed; it takes no nonce of the sender. */
const fresh = (change: SignChange = {}) =>
  report(gateway, [readingOf(meter, 50)], { nonce: gateway.nonce + 1, ...change });

beforeAll(async () => {
  gateway = new TestSender(devnet(), devnet().signers.gateway);
  const [foreignSigner, jumperSigner] = devnet().extra;
  if (foreignSigner === undefined || jumperSigner === undefined) throw new Error("no extras");
  foreign = new TestSender(devnet(), foreignSigner);
  jumper = new TestSender(devnet(), jumperSigner);
  await registerMeter(devnet(), meter);
  first = report(gateway, [readingOf(meter, 100)]);
  await untilFinal(devnet().client, first, { trust: devnet().trust });
  await devnet().settled();
}, 60_000);

/** Sends to every node and expects the same refusal from each, and no trace of it. */
async function expectRefused(bytes: Uint8Array, code: string, httpStatus: number): Promise<void> {
  const before = await devnet().settled();
  for (const { url } of devnet().nodes) {
    const response = await fetch(`${url}/v1/transactions`, {
      method: "POST",
      headers: { "content-type": "application/octet-stream" },
      body: bytes,
    });
    expect(await response.json()).toMatchObject({ code, status: httpStatus });
    expect(response.status).toBe(httpStatus);
  }
  // Settled includes that nothing is pending on any node.
  expect((await devnet().settled()).stateRoot).toBe(before.stateRoot);
}

describe("admission refuses", { timeout: 90_000 }, () => {
  it("a sender that nobody enrolled", async () => {
    const stranger = new TestSender(devnet(), nativeSigner(Buffer.alloc(32, 7)));
    const transaction = report(stranger, [readingOf(meter, 1)]);
    await expectRefused(transaction.bytes, "TRANSACTION_SENDER_UNKNOWN", 403);
  });

  it("a transaction for another chain", async () => {
    const transaction = fresh({ chainId: "ab".repeat(32) });
    await expectRefused(transaction.bytes, "TRANSACTION_CHAIN_MISMATCH", 400);
  });

  it("a signature with one bit changed", async () => {
    const bytes = fresh().bytes.slice();
    bytes[bytes.length - 40] = (bytes[bytes.length - 40] ?? 0) ^ 1;
    await expectRefused(bytes, "TRANSACTION_SIGNATURE_INVALID", 400);
  });

  it("a content that the signature does not cover", async () => {
    const { bytes, signature } = fresh();
    const other = bodyOf(fresh({ nonce: gateway.nonce + 2 }));
    const forged = encode([other, signature]);
    expect(forged).toHaveLength(bytes.length);
    await expectRefused(forged, "TRANSACTION_SIGNATURE_INVALID", 400);
  });

  it("a nonce that was used, but tells the place of the very same transaction", async () => {
    const other = fresh({ nonce: first.nonce });
    await expectRefused(other.bytes, "TRANSACTION_NONCE_USED", 409);
    const again = await devnet().node(2).client.submit(first.bytes);
    expect(again).toMatchObject({ status: "final", receipt: { outcome: "ok" } });
  });

  it("a nonce further ahead than the window, and one left far behind", async () => {
    const farthest = limits.replayWindowBits;
    const far = report(jumper, [readingOf(meter, 1)], { nonce: farthest + 1 });
    await expectRefused(far.bytes, "TRANSACTION_NONCE_TOO_FAR", 409);
    for (const nonce of [farthest, 2 * farthest]) {
      const last = report(jumper, [readingOf(meter, 1)], { nonce });
      const { receipt } = await untilFinal(devnet().client, last, { trust: devnet().trust });
      expect(receipt.outcome).toBe("METERING_GATEWAY_FOREIGN");
    }
    const used = report(jumper, [readingOf(meter, 2)], { nonce: 2 * farthest });
    await expectRefused(used.bytes, "TRANSACTION_NONCE_USED", 409);
    const behind = report(jumper, [readingOf(meter, 2)], { nonce: farthest });
    await expectRefused(behind.bytes, "TRANSACTION_NONCE_TOO_OLD", 409);
  });

  it("what has expired, and what would live too long", async () => {
    // Before the last block: the clock alone does not say that no block under way may hold it.
    const late = fresh({ expiresAtMs: Date.now() - 3_600_000 });
    await expectRefused(late.bytes, "TRANSACTION_EXPIRED", 400);
    const eternal = fresh({ expiresAtMs: Date.now() + limits.expiryMsMax + 600_000 });
    await expectRefused(eternal.bytes, "TRANSACTION_EXPIRY_TOO_FAR", 400);
  });

  it("more gas than a call may have", async () => {
    const transaction = fresh({ gasLimit: limits.callGasMax + 1 });
    await expectRefused(transaction.bytes, "TRANSACTION_GAS_LIMIT", 400);
  });

  it("a sender without the method's role", async () => {
    const args = { meter: "m-2", kind: "heat", gateway: gateway.did };
    const nonce = gateway.nonce + 1;
    const transaction = gateway.sign("metering", "registerMeter", args, { nonce });
    await expectRefused(transaction.bytes, "TRANSACTION_ROLE_MISSING", 403);
  });

  it("one byte more than a transaction may have; the limit itself goes through", async () => {
    const sized = (size: number) => {
      const empty = signedBody(gateway.nonce + 1, '{"x":""}').length;
      // A text of that length has a head of 5 bytes instead of 1; the same holds for the body.
      for (let pad = size - empty - 16; ; pad += 1) {
        const bytes = signedBody(gateway.nonce + 1, `{"x":"${"a".repeat(pad)}"}`);
        if (bytes.length === size) return bytes;
        if (bytes.length > size) throw new Error("no padding gives that size");
      }
    };
    const over = sized(limits.transactionBytesMax + 1);
    await expectRefused(over, "TRANSACTION_TOO_LARGE", 413);
    const largest = sized(limits.transactionBytesMax);
    const { id } = await devnet().node(1).client.submit(largest);
    const { receipt } = await devnet().client.waitFinal(id, devnet().trust);
    expect(receipt.outcome).toBe("CONTRACT_ARGS_REFUSED");
    gateway.sign("metering", "report", {});
  });

  it("bytes that are not the one encoding of their content", async () => {
    const { bytes } = fresh();
    const trailing = concatBytes(bytes, Uint8Array.of(0));
    const longHead = concatBytes(Uint8Array.of(0xdc, 0, 2), bytes.subarray(1));
    const unsortedArgs = signedBody(gateway.nonce + 1, '{"b":1,"a":2}');
    const spacedArgs = signedBody(gateway.nonce + 1, '{"readings": []}');
    for (const each of [trailing, longHead, unsortedArgs, spacedArgs, bytes.subarray(0, 80)])
      await expectRefused(each, "CODEC_INVALID", 400);
    await expectRefused(signedBody(gateway.nonce + 1, '{"a":1,"a":1}'), "JSON_INVALID", 400);
    await expectRefused(signedBody(gateway.nonce + 1, '{"a":0.5}'), "JSON_INVALID", 400);
  });
});

/** A report signed over any argument text, canonical or not. */
function signedBody(nonce: number, argsJson: string): Uint8Array {
  const signer = devnet().signers.gateway;
  const [chainId, sender] = [devnet().trust.chainId, signer.publicKey].map(hexToBytes);
  if (chainId === undefined || sender === undefined) throw new Error("unreachable");
  const expiresAtMs = Date.now() + 600_000;
  const call = ["metering", "report", argsJson, limits.callGasMax];
  const body = encode([0, chainId, sender, nonce, expiresAtMs, ...call]);
  return encode([body, signer.sign(tagged(tags.transaction, body))]);
}

function bodyOf({ message }: Transaction): Uint8Array {
  return message.subarray(tags.transaction.length + 1);
}

describe("execution refuses with a receipt", { timeout: 90_000 }, () => {
  it("each with its own code, without a change, an event, or a lost nonce", async () => {
    const cases: [code: string, transaction: Transaction][] = [
      ["METERING_GATEWAY_FOREIGN", report(foreign, [readingOf(meter, 101)])],
      ["METERING_METER_UNKNOWN", report(gateway, [readingOf("m-unknown", 1)])],
      ["METERING_REGISTER_MISFIT", report(gateway, [backward(101)])],
      ["METERING_REGISTER_MISFIT", report(gateway, [forward(99)])],
      ["METERING_READING_CONFLICT", report(gateway, [forward(100)])],
      ["METERING_INSTANT_FUTURE", report(gateway, [future()])],
      // The first reading of the batch is good; it must not stay.
      ["METERING_REGISTER_MISFIT", report(gateway, [readingOf(meter, 102), backward(103)])],
      ["CONTRACT_ARGS_REFUSED", report(gateway, [])],
      ["CONTRACT_METHOD_UNKNOWN", gateway.sign("metering", "nothing", {})],
      ["CONTRACT_UNKNOWN", gateway.sign("nobody", "report", {})],
    ];
    const { client, trust, nodes } = devnet();
    const before = await devnet().settled();
    const hashes = await stateHashesAt(devnet(), client, before.height);
    expect(rootOf(hashes)).toBe(before.stateRoot);
    for (const [index, [code, transaction]] of cases.entries()) {
      const node = devnet().node(index % nodes.length);
      await node.client.submit(transaction.bytes);
      const { receipt } = await client.waitFinal(transaction.id, trust);
      expect([code, receipt.outcome]).toEqual([code, code]);
      expect(receipt).toMatchObject({ events: [], changes: [] });
    }
    const after = await devnet().settled();
    expect(after.stateRoot).not.toBe(before.stateRoot);
    for (const { did } of [gateway, foreign])
      await setWindow(hashes, client, { did, height: after.height });
    expect(rootOf(hashes)).toBe(after.stateRoot);
    for (const [, transaction] of cases)
      await expectRefused(other(transaction).bytes, "TRANSACTION_NONCE_USED", 409);
  });

  it("and takes the same reading again without effect", async () => {
    const again = report(gateway, [readingOf(meter, 100)]);
    const { receipt } = await untilFinal(devnet().client, again, { trust: devnet().trust });
    expect(receipt).toMatchObject({ outcome: "ok", events: [] });
    const { result } = await devnet().client.view("metering", "readings", { meter });
    expect(result).toMatchObject({ rows: [readingOf(meter, 100).slice(1)] });
  });

  it("and none of it kept the ledger from going on", async () => {
    const next = report(gateway, [readingOf(meter, 104)]);
    const { receipt } = await untilFinal(devnet().client, next, { trust: devnet().trust });
    expect(receipt.outcome).toBe("ok");
    await devnet().settled();
  });
});

/** Another transaction with the nonce of one that failed. */
function other({ sender, nonce }: Transaction): Transaction {
  const isGateway = sender === devnet().signers.gateway.publicKey;
  return report(isGateway ? gateway : foreign, [readingOf(meter, 200)], { nonce });
}

/** Registers of an earlier time. */
function backward(index: number): JsonValue[] {
  const [name, instantMs] = readingOf(meter, index);
  return [name ?? "", instantMs ?? 0, ...readingOf(meter, 10).slice(2)];
}

/** Registers of a later time. */
function forward(index: number): JsonValue[] {
  const [name, instantMs] = readingOf(meter, index);
  return [name ?? "", instantMs ?? 0, ...readingOf(meter, 500).slice(2)];
}

function future(): JsonValue[] {
  const instantMs = Date.now() + limits.clockDriftMsDefault + 60_000;
  return [meter, instantMs, ...readingOf(meter, 500).slice(2)];
}

it("answers what is no transaction at all with a code and what to do next", async () => {
  const { url, client } = devnet().node(0);
  const form = await fetch(`${url}/v1/transactions`, { method: "POST", body: "{}" });
  expect(form.status).toBe(415);
  const problem = (await form.json()) as { code: string; next: string };
  expect(problem.code).toBe("API_CONTENT_TYPE_INVALID");
  expect(problem.next).not.toBe("");
  const refusal = client.submit(new Uint8Array());
  await expect(refusal).rejects.toSatisfy((error) => isLedgerError(error, "CODEC_INVALID"));
});
