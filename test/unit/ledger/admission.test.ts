import { beforeAll, describe, expect, it } from "vitest";
import { blockOf } from "../../../src/base/format/block.ts";
import { encode } from "../../../src/base/format/codec.ts";
import { decodeTransaction, type Transaction } from "../../../src/base/format/transaction.ts";
import type { Signer } from "../../../src/base/keys.ts";
import { limits } from "../../../src/base/limits.ts";
import { merkleRoot } from "../../../src/base/proof/merkle.ts";
import { admissionClass } from "../../../src/ledger/admission.ts";
import { VerifiedTransactions } from "../../../src/ledger/verified-transactions.ts";
import {
  build,
  CountingVerifier,
  certify,
  codeOf,
  decide,
  genesisMs,
  invalidReason,
  openNode,
  senders,
  signing,
  type TestNode,
  testGenesis,
  type Wish,
  withHeader,
} from "./execution-fixture.ts";

const genesis = testGenesis({ callGasMax: 5_000, blockGasMax: 20_000 });
const sign = signing(genesis);
const { ada, reader, suspended, stranger, meter } = senders;
const nowMs = genesisMs + 1_000;

/** The transaction with one field of its signed bytes replaced, not signed again. */
function reencoded(transaction: Transaction, signature: Uint8Array): Uint8Array {
  const body = transaction.message.subarray(transaction.message.indexOf(0) + 1);
  return encode([body, signature]);
}

/** A transaction of exactly so many signed bytes. */
function ofBytes(count: number): Uint8Array {
  const fill = (length: number) =>
    sign(ada, { nonce: 77, args: { key: "k", value: "x".repeat(length) } }).bytes;
  return fill(count - fill(100_000).length + 100_000);
}

describe("stateless admission", () => {
  let node: TestNode;
  beforeAll(async () => {
    node = await openNode(genesis);
  });
  const refused = async (bytes: Uint8Array) => {
    const code = await codeOf(node.ledger.submit(bytes));
    return [code, admissionClass(code)];
  };

  it("refuses bytes that are no transaction", async () => {
    expect(await refused(Uint8Array.of(0x93, 1))).toEqual(["CODEC_INVALID", "stateless"]);
    expect(await refused(new Uint8Array(0))).toEqual(["CODEC_INVALID", "stateless"]);
  });

  it("refuses a second encoding of the same transaction", async () => {
    const { bytes } = sign(ada);
    // The outer tuple of two as the 16-bit form.
    const longer = Uint8Array.of(0xdc, 0, 2, ...bytes.subarray(1));
    expect(await refused(longer)).toEqual(["CODEC_INVALID", "stateless"]);
  });

  it("takes the largest transaction and refuses one byte more", async () => {
    const exact = ofBytes(limits.transactionBytesMax);
    expect(exact.length).toBe(limits.transactionBytesMax);
    expect(await codeOf(node.ledger.submit(exact))).toBe("none");
    const over = new Uint8Array(limits.transactionBytesMax + 1);
    over.set(exact);
    expect(await refused(over)).toEqual(["TRANSACTION_TOO_LARGE", "stateless"]);
  });

  it("refuses what was signed for another chain", async () => {
    const { bytes } = sign(ada, { chainId: "ab".repeat(32) });
    expect(await refused(bytes)).toEqual(["TRANSACTION_CHAIN_MISMATCH", "stateless"]);
  });

  it("refuses a signature that does not hold, also over a body it knows", async () => {
    const transaction = sign(ada);
    const other = sign(ada);
    const mixed = reencoded(transaction, other.signature);
    expect(decodeTransaction(mixed).id).toBe(transaction.id);
    expect(await refused(mixed)).toEqual(["TRANSACTION_SIGNATURE_INVALID", "stateless"]);
    expect(await codeOf(node.ledger.submit(transaction.bytes))).toBe("none");
    expect(await refused(mixed)).toEqual(["TRANSACTION_SIGNATURE_INVALID", "stateless"]);
  });

  it("verifies the same bytes once", async () => {
    const { bytes } = sign(ada);
    await node.ledger.submit(bytes);
    const { count } = node.verifier;
    expect(await node.ledger.submit(bytes)).toMatchObject({ status: "pending", isNew: false });
    expect(node.verifier.count).toBe(count);
  });
});

describe("state-dependent admission", () => {
  let node: TestNode;
  beforeAll(async () => {
    node = await openNode(genesis);
  });
  const refused = async (signer: Signer, wish: Wish) => {
    const code = await codeOf(node.ledger.submit(sign(signer, wish).bytes));
    if (code !== "none") expect(admissionClass(code)).toBe("stateful");
    return code;
  };

  it.each<[string, Signer, Wish]>([
    ["TRANSACTION_SENDER_UNKNOWN", stranger, {}],
    ["TRANSACTION_SENDER_SUSPENDED", suspended, {}],
    ["TRANSACTION_ROLE_MISSING", reader, {}],
    // A block under way may be dated right after the last one.
    ["TRANSACTION_EXPIRED", ada, { nonce: 20, expiresAtMs: genesisMs + 1 }],
    ["none", ada, { nonce: 20, expiresAtMs: genesisMs + 2 }],
    ["TRANSACTION_SENDER_UNKNOWN", stranger, { expiresAtMs: nowMs }],
    ["TRANSACTION_EXPIRY_TOO_FAR", ada, { nonce: 21, expiresAtMs: nowMs + 604_800_001 }],
    ["none", ada, { nonce: 21, expiresAtMs: nowMs + 604_800_000 }],
    ["TRANSACTION_GAS_LIMIT", ada, { nonce: 22, gasLimit: 5_001 }],
    ["none", ada, { nonce: 22, gasLimit: 5_000 }],
    ["TRANSACTION_NONCE_TOO_FAR", ada, { nonce: 1_025 }],
    ["none", ada, { nonce: 1_024 }],
    ["TRANSACTION_NONCE_CONFLICT", ada, { nonce: 1_024, args: { key: "other" } }],
  ])("answers %s", async (code, signer, wish) => {
    expect(await refused(signer, wish)).toBe(code);
  });

  it("admits devices like accounts", async () => {
    expect(await refused(meter, {})).toBe("none");
  });

  it("leaves unknown contracts and methods to execution", async () => {
    expect(await refused(ada, { nonce: 30, contract: "nothing" })).toBe("none");
    expect(await refused(ada, { nonce: 31, method: "constructor" })).toBe("none");
  });

  it("tells used nonces, too old ones and final transactions apart", async () => {
    const other = await openNode(genesis);
    const first = sign(ada, { nonce: 1 });
    await other.ledger.submit(first.bytes);
    await other.ledger.submit(sign(ada, { nonce: 1_000 }).bytes);
    const block = await decide(other);
    expect(await other.ledger.submit(first.bytes)).toEqual({
      id: first.id,
      status: "final",
      height: 1,
      index: 0,
    });
    const another = sign(ada, { nonce: 1, args: { key: "other" } });
    expect(await codeOf(other.ledger.submit(another.bytes))).toBe("TRANSACTION_NONCE_USED");
    await other.ledger.submit(sign(ada, { nonce: 2_024 }).bytes);
    other.clock.timeMs += 1_000;
    await decide(other);
    const old = sign(ada, { nonce: 999 });
    expect(await codeOf(other.ledger.submit(old.bytes))).toBe("TRANSACTION_NONCE_TOO_OLD");
    // A final transaction is answered by its place even when its nonce has left the window.
    expect(await other.ledger.submit(first.bytes)).toMatchObject({ status: "final", height: 1 });
    expect(block.transactions).toHaveLength(2);
  });

  it("answers a known transaction by its status after it expired", async () => {
    const other = await openNode(genesis);
    const transaction = sign(ada, { nonce: 1 });
    await other.ledger.submit(transaction.bytes);
    await decide(other);
    other.clock.timeMs = transaction.expiresAtMs + 1;
    expect(await other.ledger.submit(transaction.bytes)).toMatchObject({ status: "final" });
  });

  it("returns the refusals of many in their places", async () => {
    const good = sign(ada, { nonce: 500 }).bytes;
    const results = await node.ledger.submitAll([good, Uint8Array.of(1), sign(stranger).bytes]);
    expect(results).toMatchObject([
      { status: "pending", isNew: true },
      { code: "CODEC_INVALID" },
      { code: "TRANSACTION_SENDER_UNKNOWN" },
    ]);
  });
});

describe("a block of another node", () => {
  it("is invalid when it holds a transaction of either class of refusal", async () => {
    const node = await openNode(genesis);
    const maker = await openNode(genesis);
    await maker.ledger.submit(sign(ada, { nonce: 1, expiresAtMs: nowMs + 10 }).bytes);
    const block = await build(maker);
    const options = { fresh: false, nowMs };
    const late = withHeader(block, { timestampMs: nowMs + 10 });
    expect(await invalidReason(node.ledger.checkBlock(late, options))).toBe(
      "transaction 0: TRANSACTION_EXPIRED",
    );
    const forged = (block.transactions[0] as Uint8Array).slice();
    forged[forged.length - 1] = (forged.at(-1) as number) ^ 1;
    const header = { ...block.header, transactionsRoot: merkleRoot([forged]) };
    expect(await invalidReason(node.ledger.checkBlock(blockOf(header, [forged]), options))).toBe(
      "transaction 0: TRANSACTION_SIGNATURE_INVALID",
    );
    await node.ledger.checkBlock(block, options);
    await node.ledger.append(block, certify(block));
  });
});

describe("the memory of verified transactions", () => {
  it("holds no more bytes than it may, and the latest", async () => {
    const list = [sign(ada), sign(ada), sign(ada)];
    const bytesMax = 2 * (list[0] as Transaction).bytes.length + 8;
    const verifier = new CountingVerifier();
    const verified = new VerifiedTransactions({ chainId: genesis.chainId, verifier, bytesMax });
    for (const transaction of list) verified.remember(transaction);
    for (const { bytes } of list) await verified.check(bytes);
    // The first one was pushed out.
    expect(verifier.count).toBe(1);
  });

  it("gives the same answer however many are checked at once", async () => {
    const verifier = new CountingVerifier();
    const verified = new VerifiedTransactions({ chainId: genesis.chainId, verifier });
    const list = Array.from({ length: 70 }, () => sign(ada));
    const results = await verified.checkAll(list.map(({ bytes }) => bytes));
    expect(results).toEqual(list);
    expect(verifier.count).toBe(70);
  });
});
