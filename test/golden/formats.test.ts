/**
 * Golden bytes of every hashed or signed format: they must never change by accident, and a reader
 * in another language must find the same from the specification alone (docs/DATA_FORMAT.md,
 * docs/EVIDENCE.md). check_formats.py and check_evidence.py do that in Python.
 *
 * `BLESS=1` rewrites the files; a change of them is a change of format.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { bytesToHex, hexToBytes } from "../../src/base/bytes.ts";
import {
  decodeBlock,
  encodeBlock,
  encodeHeader,
  validatorsHash,
} from "../../src/base/format/block.ts";
import { decode, encode, type Value } from "../../src/base/format/codec.ts";
import { didOf, publicKeyOf } from "../../src/base/format/did.ts";
import { type EvidenceBundle, encodeEvidence } from "../../src/base/format/evidence.ts";
import { genesisBlock, parseGenesis } from "../../src/base/format/genesis.ts";
import { canonicalJson } from "../../src/base/format/json.ts";
import {
  type Claim,
  type ConsensusMessage,
  claimMessage,
  decodeCertificate,
  decodeMessage,
  encodeCertificate,
  encodeMessage,
  type Signed,
  type Vote,
} from "../../src/base/format/message.ts";
import { decodeReceipt, encodeReceipt, type Receipt } from "../../src/base/format/receipt.ts";
import type { SetChange } from "../../src/base/format/set-change.ts";
import { decodeTransaction, signTransaction } from "../../src/base/format/transaction.ts";
import { changeId, type ValidatorChange } from "../../src/base/format/validator-change.ts";
import { readyMessage } from "../../src/base/format/validator-ready.ts";
import { valueHashOf } from "../../src/base/hash.ts";
import { type Checkpoint, verifyEvidence } from "../../src/base/proof/evidence.ts";
import { portableSigner } from "../../src/base/signer.ts";
import { nativeVerifier } from "../../src/node/native-crypto.ts";
import {
  certify,
  evidenceOf,
  genesis,
  makeBlock,
  makeChain,
  signerOf,
  withLaterValidators,
} from "../helpers/evidence-chain.ts";
import { requiresPython } from "../helpers/requires.ts";

const here = fileURLToPath(new URL(".", import.meta.url));

function expectGolden(name: string, value: object): void {
  const text = `${JSON.stringify(value, undefined, 1)}\n`;
  if (process.env.BLESS === "1") writeFileSync(join(here, name), text);
  expect(JSON.parse(text)).toEqual(JSON.parse(readFileSync(join(here, name), "utf8")));
}

/** JSON that names what JSON cannot hold: bytes and integers above 2^53. */
function described(value: Value): unknown {
  if (value instanceof Uint8Array) return { bytes: bytesToHex(value) };
  if (typeof value === "bigint") return { integer: `${value}` };
  return Array.isArray(value) ? value.map(described) : value;
}

const values: readonly Value[] = [
  ...[null, false, true, 0, 127, 128, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32],
  ...[Number.MAX_SAFE_INTEGER, 2n ** 53n, 2n ** 64n - 1n],
  ...[
    "",
    "a".repeat(31),
    "a".repeat(32),
    "a".repeat(255),
    "a".repeat(256),
    "\ufeffz\u00fc\u{1f525}\u0000",
  ],
  ...[new Uint8Array(0), new Uint8Array(255).fill(1), new Uint8Array(256).fill(2)],
  [],
  Array.from({ length: 15 }, () => 0),
  Array.from({ length: 16 }, () => 0),
  [1, ["two", [new Uint8Array([3]), [null]]]],
];

const signer = portableSigner(new Uint8Array(32).fill(9));
const chainId = genesisBlock(genesis).chainId;
const transaction = signTransaction(
  {
    chainId,
    nonce: 7,
    expiresAtMs: 1_577_836_800_000,
    contract: "metering",
    method: "report",
    argsJson: '{"b": [1, -2], "a": "\\u00e9"}',
    gasLimit: 300_000_000,
  },
  signer,
);
const receipt: Receipt = {
  transactionId: transaction.id,
  outcome: "ok",
  gasUsed: 123_456,
  events: [{ contract: "metering", topic: "readings", json: '{"count":1}' }],
  changes: [
    { key: "metering/meter/m1", valueHash: valueHashOf("1") },
    { key: "metering/reading/m1/x", valueHash: undefined },
  ],
};
const { block } = makeBlock([
  { signer: signerOf(101), contract: "metering", method: "report", args: { x: 1 }, writes: {} },
]);

function signed<C extends Claim>(claim: C, by = signer): Signed<C> {
  const signature = by.sign(claimMessage(claim, chainId));
  return { ...claim, validator: by.publicKey, signature };
}

const place = { height: 1, round: 2, blockHash: block.hash } as const;
const prepare = signed<Vote>({ kind: "prepare", ...place, round: 1 });
const roundChange = signed({
  kind: "roundChange" as const,
  height: 1,
  round: 2,
  prepared: { round: 1, blockHash: block.hash },
});
const unprepared = signed(
  { kind: "roundChange" as const, height: 1, round: 2, prepared: undefined },
  signerOf(2),
);
const messages: readonly ConsensusMessage[] = [
  {
    ...signed({ kind: "proposal" as const, ...place }),
    block,
    roundChanges: [roundChange, unprepared],
    prepares: [prepare],
  },
  prepare,
  signed<Vote>({ kind: "commit", ...place }),
  { ...roundChange, preparedBlock: block, prepares: [prepare] },
  { ...unprepared, preparedBlock: undefined, prepares: [] },
];

const jsonTexts = [
  ' { "b" : [ 1 , -2 ] , "a" : { } } ',
  '{"\u{1f600}":1,"\ufb33":2,"\\u00e9":3,"1":4,"10":5,"2":6}',
  '"\\u0001\\u001F\\/\\b\\f\\n\\r\\t\\"\\\\\u2028\u007f\\ud83d\\ude00"',
  "[9007199254740991,-9007199254740991,0,true,false,null]",
];

function genesisCase() {
  const { header, state, validators } = genesisBlock(genesis);
  return {
    file: genesis,
    state,
    validators,
    validatorsHash: validatorsHash(validators),
    header: bytesToHex(encodeHeader(header)),
    chainId,
  };
}

function readyCase() {
  const statement = { chainId, height: 1, blockHash: block.hash, peerKey: signerOf(2).publicKey };
  const message = readyMessage(statement);
  const signature = bytesToHex(signer.sign(message));
  return { ...statement, validator: signer.publicKey, message: bytesToHex(message), signature };
}

const changes: readonly ValidatorChange[] = [
  {
    kind: "admit",
    candidate: {
      id: "grid",
      name: "Netz \u00d6st",
      validatorKey: didOf(signer.publicKey),
      peerKey: didOf(signerOf(2).publicKey),
      address: "/ip4/192.0.2.1/tcp/7401",
    },
  },
  { kind: "add", ids: ["grid", "heat"] },
  { kind: "remove", ids: ["grid"] },
  { kind: "withdraw", id: "heat" },
];

function messageCase(message: ConsensusMessage) {
  const { kind, height, round, validator, signature } = message;
  const rest =
    message.kind === "roundChange"
      ? { prepared: message.prepared ?? null, prepares: message.prepares.length }
      : { blockHash: message.blockHash };
  const signedBytes = bytesToHex(claimMessage(message, chainId));
  const wire = bytesToHex(encodeMessage(message));
  return {
    kind,
    height,
    round,
    ...rest,
    validator,
    signature: bytesToHex(signature),
    signedBytes,
    wire,
  };
}

describe("formats.json", () => {
  it("has the bytes of every format", () => {
    const { signature, message, bytes, ...fields } = transaction;
    const certificate = certify(block, 3, 2);
    expectGolden("formats.json", {
      codec: values.map((value) => ({ value: described(value), bytes: bytesToHex(encode(value)) })),
      json: jsonTexts.map((text) => ({ text, canonical: canonicalJson(text) })),
      did: [signer.publicKey, "00".repeat(32), "ff".repeat(32)].map((publicKey) => ({
        publicKey,
        did: didOf(publicKey),
      })),
      genesis: genesisCase(),
      transaction: {
        ...fields,
        seed: "09".repeat(32),
        signature: bytesToHex(signature),
        message: bytesToHex(message),
        bytes: bytesToHex(bytes),
      },
      receipt: {
        ...receipt,
        changes: receipt.changes.map(({ key, valueHash }) => ({
          key,
          valueHash: valueHash ?? null,
        })),
        bytes: bytesToHex(encodeReceipt(receipt)),
      },
      block: {
        header: block.header,
        headerBytes: bytesToHex(encodeHeader(block.header)),
        hash: block.hash,
        transactions: block.transactions.map(bytesToHex),
        bytes: bytesToHex(encodeBlock(block)),
      },
      messages: messages.map(messageCase),
      certificate: {
        ...certificate,
        signatures: certificate.signatures.map(({ validatorIndex, signature: one }) => ({
          validatorIndex,
          signature: bytesToHex(one),
        })),
        bytes: bytesToHex(encodeCertificate(certificate)),
      },
      ready: readyCase(),
      changes: changes.map((change) => ({ change, id: changeId(change) })),
    });
  });

  it("is decoded to the values it was made from", () => {
    for (const value of values) expect(decode(encode(value), "test")).toEqual(value);
    expect(decodeTransaction(transaction.bytes)).toEqual(transaction);
    expect(decodeReceipt(encodeReceipt(receipt))).toEqual(receipt);
    expect(decodeBlock(encodeBlock(block))).toEqual(block);
    expect(messages.map((message) => decodeMessage(encodeMessage(message)))).toEqual(messages);
    const certificate = certify(block, 4);
    expect(decodeCertificate(encodeCertificate(certificate))).toEqual(certificate);
    expect(parseGenesis(JSON.stringify(genesis))).toEqual(genesis);
    expect(publicKeyOf(didOf(signer.publicKey))).toBe(signer.publicKey);
  });

  it("has a byte table in the head of each file that owns a format", () => {
    const folder = fileURLToPath(new URL("../../src/base/format/", import.meta.url));
    // These two own no bytes: a cursor over tuples, and the JSON scanner.
    const files = readdirSync(folder).filter(
      (name) => !["tuple.ts", "json.ts", "did.ts"].includes(name),
    );
    expect(files.length).toBeGreaterThan(5);
    for (const name of files) {
      const head = readFileSync(join(folder, name), "utf8").split("*/")[0];
      expect(head, name).toContain("|---|");
    }
  });

  it.skipIf(!requiresPython("formats in Python"))("agrees with the checker in Python", () => {
    const output = execFileSync("python3", [join(here, "check_formats.py")], { encoding: "utf8" });
    expect(output).toMatch(/^[1-9]\d+ values agree\n$/);
  });
});

describe.skipIf(!requiresPython("evidence in Python"))(
  "the evidence verifier in Python, written from docs/EVIDENCE.md",
  () => {
    const chain = makeChain();
    const bundle = evidenceOf(chain);
    const headers = chain.map(({ block: each }) => bytesToHex(encodeHeader(each.header)));
    const last = chain.at(-1)?.block;
    const checkpoint = { height: 3, hash: last?.hash ?? "" };
    const foreign = { height: 3, hash: "ab".repeat(32) };
    const flip = (hex: string) => {
      const bytes = hexToBytes(hex);
      bytes[bytes.length - 1] = (bytes.at(-1) as number) ^ 1;
      return bytesToHex(bytes);
    };
    const spoilt = (
      field: "transaction" | "receipt" | "header" | "certificate",
    ): EvidenceBundle => ({
      ...bundle,
      transactions: bundle.transactions.map((one, index) =>
        index === 4 ? { ...one, [field]: flip(one[field]) } : one,
      ),
    });
    const dearer = { bill: { totalCents: 1 } };
    const more = { bill: { energyWh: 1 } };
    const late = { billFirst: true };
    const moved = withLaterValidators(chain, 1);
    const [change] = moved.changes as [SetChange];
    const grown = { ...evidenceOf(moved.chain), validatorChanges: [change] };
    const stale = withLaterValidators(chain, 1, [1, 2, 3, 4].map(signerOf));

    const cases: readonly [name: string, evidence: EvidenceBundle, checkpoint?: Checkpoint][] = [
      ["good evidence", bundle],
      ["anchored evidence", { ...bundle, headers }, checkpoint],
      ["evidence without a link", bundle, { height: 4, hash: "ab".repeat(32) }],
      ["evidence against the checkpoint", { ...bundle, headers }, foreign],
      ["another chain", { ...bundle, chainId: "ab".repeat(32) }],
      [
        "another contract",
        { ...bundle, contracts: { ...bundle.contracts, billing: "ab".repeat(32) } },
      ],
      ["a spoilt transaction", spoilt("transaction")],
      ["a spoilt receipt", spoilt("receipt")],
      ["a spoilt header", spoilt("header")],
      ["a spoilt certificate", spoilt("certificate")],
      ["a wrong total", evidenceOf(makeChain(dearer), dearer)],
      ["a wrong consumption", evidenceOf(makeChain(more), more)],
      ["a bill before its readings", evidenceOf(makeChain(late), late)],
      ["evidence across a change of the validators", grown],
      ["evidence that leaves the change out", evidenceOf(moved.chain)],
      [
        "evidence with other next validators",
        { ...grown, validatorChanges: [{ ...change, validators: change.validators.slice(1) }] },
      ],
      [
        "evidence that the former validators went on to sign",
        { ...evidenceOf(stale.chain), validatorChanges: [...stale.changes] },
      ],
    ];

    it("finds the same in good and in spoilt bundles", () => {
      const texts = cases.map(([, evidence]) => encodeEvidence(evidence));
      const found = cases.map(([name, , trusted], index) => {
        const context = { genesis, verifier: nativeVerifier, checkpoint: trusted };
        const { level, checks } = verifyEvidence(texts[index] as string, context);
        return { name, level, failed: checks.filter(({ ok }) => !ok).map((check) => check.name) };
      });
      const verdicts = pythonVerdicts(
        cases.map(([, , trusted], index) => ({
          genesis: JSON.stringify(genesis),
          bundle: texts[index],
          checkpoint: trusted && `${trusted.height}:${trusted.hash}`,
        })),
      );
      expect(verdicts.map((verdict, index) => ({ name: cases[index]?.[0], ...verdict }))).toEqual(
        found,
      );
      expect(new Set(found.map(({ level }) => level)).size).toBe(3);
    });
  },
);

function pythonVerdicts(cases: readonly object[]): object[] {
  const folder = mkdtempSync(join(tmpdir(), "loopledger-evidence-"));
  try {
    const file = join(folder, "cases.json");
    writeFileSync(file, JSON.stringify(cases));
    const command = [join(here, "check_evidence.py"), "--cases", file];
    return JSON.parse(execFileSync("python3", command, { encoding: "utf8" })) as object[];
  } finally {
    rmSync(folder, { recursive: true });
  }
}
