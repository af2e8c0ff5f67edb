/**
 * A million inputs over every decoder of bytes or text that others can choose: each gives a value,
 * whose encoding is the input again, or a `LedgerError` (attack surface, row 7). Any other exception
 * would end the node.
 *
 * Method: good samples with a few bytes replaced, inserted, deleted, repeated or cut off, and random
 * strings rich in type bytes. The seed is fixed; SEED=n takes another one.
 *
 * Shown able to fail: `utf8Text` outside its `try`; no check of the remaining bytes in `#take`.
 */
import { describe, expect, it } from "vitest";
import { bytesToHex, concatBytes, equalBytes, hexToBytes, utf8 } from "../../src/base/bytes.ts";
import { isLedgerError } from "../../src/base/errors.ts";
import {
  decodeBlock,
  decodeHeader,
  encodeBlock,
  encodeHeader,
} from "../../src/base/format/block.ts";
import { decode, encode } from "../../src/base/format/codec.ts";
import { didOf, publicKeyOf } from "../../src/base/format/did.ts";
import { decodeEvidence, encodeEvidence } from "../../src/base/format/evidence.ts";
import { parseGenesis } from "../../src/base/format/genesis.ts";
import { canonicalJson, parseJson } from "../../src/base/format/json.ts";
import {
  decodeCertificate,
  decodeMessage,
  encodeCertificate,
  encodeMessage,
} from "../../src/base/format/message.ts";
import { decodeReceipt, encodeReceipt } from "../../src/base/format/receipt.ts";
import { decodeSigningRecord, encodeSigningRecord } from "../../src/base/format/signing-record.ts";
import { decodeTransaction } from "../../src/base/format/transaction.ts";
import { decodeDecided, encodeDecided } from "../../src/node/chain-follower.ts";
import { encodeFrame, FrameReader } from "../../src/p2p/frame.ts";
import {
  decodeSyncRequest,
  decodeSyncStatus,
  encodeSyncRequest,
  encodeSyncStatus,
} from "../../src/p2p/sync-format.ts";
import { decodeGossipFrame, encodeGossipFrame } from "../../src/p2p/transactions.ts";
import golden from "../golden/formats.json" with { type: "json" };
import { evidenceOf, genesis, makeChain } from "../helpers/evidence-chain.ts";
import { seedOf } from "../helpers/seed.ts";
import { claimOnly } from "../sim/fake-keys.ts";
import { blockBy, preparedBy, roundChangeOf } from "../sim/probe.ts";
import { Random } from "../sim/random.ts";

const inputCount = 1_000_000;
const seed = seedOf(20_180_102);

/** Decodes, and encodes again where there is an encoder for what was decoded. */
type Recode<Input> = (input: Input) => Input | undefined;
/** A decoder with good samples; `share` is its part of all inputs, in thousandths. */
type Target<Input> = {
  readonly name: string;
  readonly share: number;
  readonly samples: readonly Input[];
  readonly recode: Recode<Input>;
};

const block = hexToBytes(golden.block.bytes);
const certificate = hexToBytes(golden.certificate.bytes);
const transaction = hexToBytes(golden.transaction.bytes);
const frame = encodeGossipFrame([transaction, transaction], new Uint8Array(8));

function signingRecordSample(): Uint8Array {
  const x = blockBy(0, "x");
  const prepared = preparedBy([0, 1, 2], 1, x);
  const at = { height: 1, round: 2 };
  return encodeSigningRecord({
    ...at,
    claims: [
      { kind: "roundChange", ...at, prepared: { round: 1, blockHash: x.hash } },
      { kind: "proposal", ...at, blockHash: x.hash },
    ],
    proposal: {
      block: x,
      roundChanges: [roundChangeOf(0, 2, prepared), roundChangeOf(1, 2)].map(claimOnly),
      prepares: prepared.prepares,
    },
    prepared,
  });
}

/** Reads a stream in two pieces, so that frames are cut anywhere. */
function readFrames(bytes: Uint8Array): undefined {
  const reader = new FrameReader("fuzz", 4_096);
  const cut = bytes.length >> 1;
  for (const piece of [bytes.subarray(0, cut), bytes.subarray(cut)]) reader.read(piece);
}

function recodeDecided(bytes: Uint8Array): Uint8Array {
  const decided = decodeDecided(bytes);
  return encodeDecided(encodeBlock(decided.block), encodeCertificate(decided.certificate));
}

const byteTargets: readonly Target<Uint8Array>[] = [
  {
    name: "value",
    share: 140,
    samples: golden.codec.map(({ bytes }) => hexToBytes(bytes)),
    recode: (bytes) => encode(decode(bytes, "fuzz")),
  },
  {
    name: "transaction",
    share: 140,
    samples: [transaction],
    recode: (bytes) => decodeTransaction(bytes).bytes,
  },
  {
    name: "header",
    share: 40,
    samples: [hexToBytes(golden.block.headerBytes)],
    recode: (bytes) => encodeHeader(decodeHeader(bytes)),
  },
  {
    name: "block",
    share: 100,
    samples: [block],
    recode: (bytes) => encodeBlock(decodeBlock(bytes)),
  },
  {
    name: "certificate",
    share: 70,
    samples: [certificate],
    recode: (bytes) => encodeCertificate(decodeCertificate(bytes)),
  },
  {
    name: "message",
    share: 120,
    samples: golden.messages.map(({ wire }) => hexToBytes(wire)),
    recode: (bytes) => encodeMessage(decodeMessage(bytes)),
  },
  {
    name: "receipt",
    share: 60,
    samples: [hexToBytes(golden.receipt.bytes)],
    recode: (bytes) => encodeReceipt(decodeReceipt(bytes)),
  },
  {
    name: "signing record",
    share: 60,
    samples: [signingRecordSample()],
    recode: (bytes) => encodeSigningRecord(decodeSigningRecord(bytes)),
  },
  {
    name: "decided block",
    share: 40,
    samples: [encodeDecided(block, certificate)],
    recode: recodeDecided,
  },
  {
    name: "gossip frame",
    share: 40,
    samples: [frame],
    recode: (bytes) => encodeGossipFrame(decodeGossipFrame(bytes), bytes.slice(1, 9)),
  },
  {
    name: "stream of frames",
    share: 40,
    samples: [concatBytes(encodeFrame(frame), encodeFrame(Uint8Array.of(1, 2)))],
    recode: readFrames,
  },
  {
    name: "sync request",
    share: 20,
    samples: [
      encodeSyncRequest({ kind: "status" }),
      encodeSyncRequest({ kind: "blocks", from: 7, countMax: 3 }),
    ],
    recode: (bytes) => encodeSyncRequest(decodeSyncRequest(bytes)),
  },
  {
    name: "sync status",
    share: 10,
    samples: [encodeSyncStatus({ height: 9, hash: "ab".repeat(32), clockMs: 2 ** 40 })],
    recode: (bytes) => encodeSyncStatus(decodeSyncStatus(bytes)),
  },
];

const textTargets: readonly Target<string>[] = [
  {
    name: "JSON",
    share: 89,
    samples: [...golden.json.map(({ text }) => text), golden.transaction.argsJson],
    recode: (text) => {
      // Read twice by different code: what one accepts, the other must.
      const canonical = canonicalJson(text);
      return canonicalJson(JSON.stringify(parseJson(text))) === canonical ? undefined : "differs";
    },
  },
  {
    name: "did:key",
    share: 20,
    samples: golden.did.map(({ did }) => did),
    recode: (text) => didOf(publicKeyOf(text as `did:key:${string}`)),
  },
  {
    name: "evidence",
    share: 10,
    samples: [encodeEvidence(evidenceOf(makeChain()))],
    recode: (text) => void decodeEvidence(text),
  },
  {
    name: "genesis",
    // Its keys are checked one by one, which takes milliseconds.
    share: 1,
    samples: [JSON.stringify(genesis)],
    recode: (text) => void parseGenesis(text),
  },
];

const typeBytes = [0x00, 0x7f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc4, 0xc5, 0xc6, 0xcc, 0xcd, 0xce];
const moreTypeBytes = [0xcf, 0xd9, 0xda, 0xdb, 0xdc, 0xdd, 0xed, 0xff];
const bytesLiked = [...typeBytes, ...moreTypeBytes];
const textsLiked = [
  '"',
  "\\",
  "\\u",
  "d800",
  "\ud83d",
  "\ude00",
  "{",
  "}",
  "[",
  "]",
  ",",
  ":",
  "0",
];
const moreTexts = [
  "-",
  "1e9",
  ".",
  "__proto__",
  "9007199254740993",
  "\u0000",
  " ",
  "null",
  "\ufeff",
];
const liked = [...textsLiked, ...moreTexts];

/** One to four changes of a list of bytes or characters. */
function changed<T>(list: readonly T[], random: Random, make: () => T): T[] {
  let result = [...list];
  const changes = 1 + random.below(4);
  for (let change = 0; change < changes; change += 1) {
    const place = random.below(result.length + 1);
    const kind = random.below(16);
    if (kind === 0) result = result.slice(0, place);
    else if (kind === 1) result.splice(place, 0, ...result.slice(place, place + 9));
    else if (kind < 4) result.splice(place, 1);
    else if (kind < 7) result.splice(place, 0, make());
    else result.splice(place, 1, make());
  }
  return result;
}

function randomBytes(random: Random, { samples }: Target<Uint8Array>): Uint8Array {
  const make = () =>
    random.below(2) === 0
      ? random.below(256)
      : (bytesLiked[random.below(bytesLiked.length)] as number);
  if (random.below(8) === 0) return Uint8Array.from({ length: random.below(24) }, make);
  const sample = samples[random.below(samples.length)] as Uint8Array;
  return Uint8Array.from(changed([...sample], random, make));
}

/** Long texts are changed in a short stretch: to copy them whole would take most of the time. */
function randomText(random: Random, { samples }: Target<string>): string {
  const make = () => liked[random.below(liked.length)] as string;
  if (random.below(8) === 0) return Array.from({ length: random.below(12) }, make).join("");
  const sample = samples[random.below(samples.length)] as string;
  const start = random.below(Math.max(1, sample.length - 64));
  const middle = changed(sample.slice(start, start + 64).split(""), random, make).join("");
  return sample.slice(0, start) + middle + sample.slice(start + 64);
}

/** Runs one decoder; returns how many inputs it accepted. */
function fuzz<Input extends Uint8Array | string>(
  target: Target<Input>,
  inputs: { readonly count: number; next(): Input },
): number {
  let accepted = 0;
  for (let run = 0; run < inputs.count; run += 1) {
    const input = inputs.next();
    try {
      const again = target.recode(input);
      accepted += 1;
      if (again !== undefined && !isSame(again, input)) throw new Error("another encoding");
    } catch (error) {
      if (isLedgerError(error)) continue;
      const shown = typeof input === "string" ? JSON.stringify(input) : bytesToHex(input);
      throw new Error(`SEED=${seed}, ${target.name}, run ${run}: ${shown}`, { cause: error });
    }
  }
  return accepted;
}

function isSame(left: Uint8Array | string, right: Uint8Array | string): boolean {
  const [a, b] = [left, right].map((each) => (typeof each === "string" ? utf8(each) : each));
  return equalBytes(a as Uint8Array, b as Uint8Array);
}

describe("a million inputs", () => {
  const all = [...byteTargets, ...textTargets];
  const shares = all.reduce((sum, { share }) => sum + share, 0);
  const { stackTraceLimit } = Error;

  it("have decoders that share them fully", () => {
    expect(shares).toBe(1_000);
  });

  /** Nearly all of the time would go into stack traces of refusals. */
  function run<Input extends Uint8Array | string>(
    target: Target<Input>,
    make: (random: Random, target: Target<Input>) => Input,
  ): void {
    const random = new Random(seed);
    const count = (inputCount / 1_000) * target.share;
    Error.stackTraceLimit = 0;
    try {
      const accepted = fuzz(target, { count, next: () => make(random, target) });
      console.log(`${target.name}: SEED=${seed}, ${count} inputs, ${accepted} accepted`);
      for (const sample of target.samples) target.recode(sample);
    } finally {
      Error.stackTraceLimit = stackTraceLimit;
    }
  }

  it.each(byteTargets.map((target) => [target.name, target] as const))(
    "give a %s or a LedgerError",
    (_, target) => run(target, randomBytes),
  );
  it.each(textTargets.map((target) => [target.name, target] as const))(
    "give %s or a LedgerError",
    (_, target) => run(target, randomText),
  );
});
