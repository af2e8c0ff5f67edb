/**
 * One byte over a limit is refused at the same byte wherever the bytes come in (attack surface, row
 * 9): else a transaction that one node admits could never be decided, or a block that a proposer
 * makes never be fetched. A transaction comes in by HTTP, gossip, a direct frame, a proposal or
 * sync; a block by a proposal, a round change, sync, or the node's own signing record. There is no
 * way in by HTTP or gossip for blocks.
 *
 * Shown able to fail: limit of `decodeTransaction`, `decodeGossipFrame`, the HTTP body or
 * `decodeBlock` off by one; `checkPlace` without its rule of size.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hexToBytes } from "../../src/base/bytes.ts";
import { isLedgerError } from "../../src/base/errors.ts";
import { type Block, blockOf, decodeBlock, encodeBlock } from "../../src/base/format/block.ts";
import { encode } from "../../src/base/format/codec.ts";
import { decodeMessage, encodeCertificate, encodeMessage } from "../../src/base/format/message.ts";
import {
  decodeSigningRecord,
  encodeSigningRecord,
  type SigningRecord,
} from "../../src/base/format/signing-record.ts";
import { decodeTransaction } from "../../src/base/format/transaction.ts";
import { tagged, tags } from "../../src/base/hash.ts";
import type { Signer } from "../../src/base/keys.ts";
import { limits } from "../../src/base/limits.ts";
import { merkleRoot } from "../../src/base/proof/merkle.ts";
import { signCall } from "../../src/client/client.ts";
import { decodeDecided, encodeDecided } from "../../src/node/chain-follower.ts";
import { directFrame, TransactionIntake } from "../../src/node/transaction-intake.ts";
import { decodeGossipFrame, encodeGossipFrame } from "../../src/p2p/transactions.ts";
import { freely } from "../helpers/freely.ts";
import { post, type Served, serve, stopAll } from "./api/http.ts";
import {
  build,
  certify,
  codeOf,
  genesisMs,
  invalidReason,
  openNode,
  senders,
  type TestNode,
  testGenesis,
} from "./ledger/execution-fixture.ts";

const genesis = testGenesis();
const { ada } = senders;
const { transactionBytesMax, blockBytesMax } = limits;
const signature = new Uint8Array(64);

let served: Served;
beforeAll(async () => {
  served = await serve();
});
afterAll(stopAll);

/** A well-signed transaction of exactly so many bytes; `signTransaction` would refuse to make it. */
function ofBytes(count: number, nonce = 1, { chainId } = genesis): Uint8Array {
  const make = (padding: number) => {
    const argsJson = JSON.stringify({ key: `k${nonce}`, value: "x".repeat(padding) });
    const who = [hexToBytes(chainId), hexToBytes(ada.publicKey)];
    const call = ["notes", "put", argsJson, 1_000];
    const body = encode([0, ...who, nonce, genesisMs + 3_600_000, ...call]);
    return encode([body, ada.sign(tagged(tags.transaction, body))]);
  };
  const bytes = make(count - make(100_000).length + 100_000);
  expect(bytes).toHaveLength(count);
  return bytes;
}

/** Runs something that may throw, and returns the code, or `none`. */
const codeIn = (run: () => unknown) => codeOf(Promise.resolve().then(run));

async function throughHttp(bytes: Uint8Array): Promise<string> {
  // The fake node of the API has another chain, which it looks at after the size.
  const { code } = (await post(served.url, bytes)).json;
  return code === "TRANSACTION_CHAIN_MISMATCH" ? "none" : code;
}

async function throughGossip(bytes: Uint8Array): Promise<string> {
  const { ledger } = await openNode(genesis);
  return codeIn(async () => {
    const list = decodeGossipFrame(encodeGossipFrame([bytes]));
    const intake = new TransactionIntake(ledger, () => freely);
    expect(await intake.judge("peer", list)).toEqual(["accept"]);
  });
}

async function throughDirectFrame(bytes: Uint8Array): Promise<string> {
  const { ledger } = await openNode(genesis);
  const sink = {
    submitAll: async (list: readonly Uint8Array[]) => {
      const results = await ledger.submitAll(list);
      judged(results[0]);
      return results;
    },
    pendingTransactions: () => [],
  };
  const intake = new TransactionIntake(sink, () => freely);
  let judged: (result: unknown) => void = () => {};
  const result = new Promise<unknown>((resolve) => {
    judged = resolve;
  });
  intake.receiveDirect(ada.publicKey, directFrame("transactions", encode([[bytes]])), () => {});
  const first = await result;
  return isLedgerError(first) ? first.code : "none";
}

/** A block with this transaction, all else as an honest proposer would have it. */
async function blockWith(bytes: Uint8Array): Promise<{ block: Block; node: TestNode }> {
  const maker = await openNode(genesis);
  await maker.ledger.submit(ofBytes(transactionBytesMax));
  const { header } = await build(maker);
  const block = blockOf({ ...header, transactionsRoot: merkleRoot([bytes]) }, [bytes]);
  return { block, node: await openNode(genesis) };
}

async function throughProposal(bytes: Uint8Array): Promise<string> {
  const { block, node } = await blockWith(bytes);
  const received = decodeMessage(encodeMessage(proposalOf(block)));
  if (received.kind !== "proposal") throw new Error("a proposal comes back as one");
  const options = { fresh: true, nowMs: node.clock.timeMs };
  const reason = await invalidReason(node.ledger.checkBlock(received.block, options));
  return reason === "valid" ? "none" : reason;
}

async function throughSync(bytes: Uint8Array): Promise<string> {
  const { block, node } = await blockWith(bytes);
  const sent = encodeDecided(encodeBlock(block), encodeCertificate(certify(block)));
  const { block: received, certificate } = decodeDecided(sent);
  return codeOf(node.ledger.append(received, certificate));
}

describe("a transaction", () => {
  it.each<[string, (bytes: Uint8Array) => string | Promise<string>, string]>([
    ["the decoder", (bytes) => codeIn(() => decodeTransaction(bytes)), "TRANSACTION_TOO_LARGE"],
    ["HTTP", throughHttp, "TRANSACTION_TOO_LARGE"],
    ["gossip", throughGossip, "P2P_FRAME_INVALID"],
    ["a direct frame", throughDirectFrame, "TRANSACTION_TOO_LARGE"],
    ["a proposal", throughProposal, "transaction 0: TRANSACTION_TOO_LARGE"],
    // A quorum that certifies what this node finds invalid is a divergence, whatever the reason.
    ["sync", throughSync, "LEDGER_DIVERGENCE"],
  ])("of 256 KiB comes in through %s, one byte more does not", async (_, enter, code) => {
    expect(await enter(ofBytes(transactionBytesMax))).toBe("none");
    expect(await enter(ofBytes(transactionBytesMax + 1))).toBe(code);
  });

  it("over the limit is not made by the client either", async () => {
    const sign = (padding: number) => {
      const call = { contract: "notes", method: "put", args: "x".repeat(padding) };
      const options = { signer: ada as Signer, nonce: 1, gasLimit: 1, expiresAtMs: genesisMs };
      return signCall(call, { ...options, chainId: genesis.chainId }).bytes;
    };
    const padding = transactionBytesMax - sign(100_000).length + 100_000;
    expect(sign(padding)).toHaveLength(transactionBytesMax);
    expect(await codeIn(() => sign(padding + 1))).toBe("TRANSACTION_TOO_LARGE");
  });
});

/** A block of exactly so many bytes, of transactions within their limit. */
function blockOfBytes(count: number): Block {
  const full = Array.from({ length: 15 }, (_, index) => ofBytes(transactionBytesMax, index + 1));
  const withLast = (bytes: number) => {
    const transactions = [...full, ofBytes(bytes, 16)];
    const parentHash = genesis.chainId;
    const { header: old, chainId } = genesis;
    const place = { chainId, height: 1, parentHash, timestampMs: genesisMs + 1_000 };
    const proposer = genesis.validators[0] as string;
    const transactionsRoot = merkleRoot(transactions);
    return blockOf({ ...old, ...place, proposer, transactionsRoot }, transactions);
  };
  const block = withLast(count - encodeBlock(withLast(200_000)).length + 200_000);
  expect(encodeBlock(block)).toHaveLength(count);
  return block;
}

const at = { height: 1, round: 1 };
const proposalOf = (block: Block) => {
  const claim = { kind: "proposal", ...at, blockHash: block.hash } as const;
  return { ...claim, validator: ada.publicKey, signature, block, roundChanges: [], prepares: [] };
};
const roundChangeOf = (block: Block) => {
  const prepared = { round: 0, blockHash: block.hash };
  const claim = { kind: "roundChange", ...at, prepared } as const;
  return { ...claim, validator: ada.publicKey, signature, preparedBlock: block, prepares: [] };
};
const recordOf = (block: Block): SigningRecord => {
  const claim = { kind: "proposal", ...at, blockHash: block.hash } as const;
  const proposal = { block, roundChanges: [], prepares: [] };
  return { ...at, claims: [claim], proposal, prepared: undefined };
};

/** Past the rule of size a block of this file fails for its gas, as nobody executed it. */
async function sizeRuleOf(check: (node: TestNode) => Promise<unknown>): Promise<string> {
  const reason = await invalidReason(check(await openNode(genesis)));
  return /^gasUsed is/.test(reason) ? "none" : reason;
}

describe("a block", () => {
  let most: Block;
  let over: Block;
  beforeAll(() => {
    most = blockOfBytes(blockBytesMax);
    over = blockOfBytes(blockBytesMax + 1);
  });

  it.each<[string, (block: Block) => unknown]>([
    ["the decoder", (block) => decodeBlock(encodeBlock(block))],
    ["a proposal", (block) => decodeMessage(encodeMessage(proposalOf(block)))],
    ["a round change", (block) => decodeMessage(encodeMessage(roundChangeOf(block)))],
    ["the signing record", (block) => decodeSigningRecord(encodeSigningRecord(recordOf(block)))],
    [
      "sync",
      (block) =>
        decodeDecided(encodeDecided(encodeBlock(block), encodeCertificate(certify(block)))),
    ],
  ])("of 4 MiB comes in through %s, one byte more does not", async (_, enter) => {
    expect(await codeIn(() => enter(most))).toBe("none");
    expect(await codeIn(() => enter(over))).toBe("BLOCK_TOO_LARGE");
  });

  it("of 4 MiB passes the ledger's own rule of size, one byte more does not", async () => {
    const check = (block: Block) => (node: TestNode) =>
      node.ledger.checkBlock(block, { fresh: true, nowMs: node.clock.timeMs });
    expect(await sizeRuleOf(check(most))).toBe("none");
    expect(await sizeRuleOf(check(over))).toBe("too many bytes");
  });

  it("of 4 MiB fits all frames that carry it, with the most votes there can be", () => {
    const { validatorsMax, consensusFrameBytesMax, syncBytesMax } = limits;
    const vote = { kind: "prepare", ...at, blockHash: most.hash } as const;
    const signed = { validator: ada.publicKey, signature };
    const prepares = Array.from({ length: validatorsMax }, () => ({ ...vote, ...signed }));
    const roundChanges = prepares.map(() => roundChangeOf(most));
    const message = encodeMessage({ ...proposalOf(most), prepares, roundChanges });
    expect(directFrame("consensus", message).length).toBeLessThan(consensusFrameBytesMax);
    const signatures = prepares.map((_, validatorIndex) => ({ validatorIndex, signature }));
    const certificate = encodeCertificate({ ...at, blockHash: most.hash, signatures });
    expect(encodeDecided(encodeBlock(most), certificate).length).toBeLessThan(syncBytesMax);
  });
});
