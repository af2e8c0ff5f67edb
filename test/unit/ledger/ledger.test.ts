import { describe, expect, it } from "vitest";
import { type Block, blockOf, decodeBlock, encodeBlock } from "../../../src/base/format/block.ts";
import { didOf } from "../../../src/base/format/did.ts";
import { decodeReceipt } from "../../../src/base/format/receipt.ts";
import { valueHashOf } from "../../../src/base/hash.ts";
import { limits } from "../../../src/base/limits.ts";
import { silentLog } from "../../../src/base/log.ts";
import { merkleRoot, verifyMerklePath } from "../../../src/base/proof/merkle.ts";
import { verifyAbsence, verifyInclusion } from "../../../src/base/proof/state-proof.ts";
import { blockBytes } from "../../../src/ledger/block-rules.ts";
import { Ledger } from "../../../src/ledger/ledger.ts";
import type { Appended } from "../../../src/ledger/ledger-types.ts";
import {
  build,
  certify,
  codeOf,
  crowd,
  decide,
  genesisMs,
  invalidReason,
  openNode,
  senders,
  signing,
  type TestNode,
  testGenesis,
  validatorSigners,
  withHeader,
} from "./execution-fixture.ts";

const { ada, ben } = senders;
const proposer = (validatorSigners[0] as (typeof validatorSigners)[0]).publicKey;
const notFresh = (node: TestNode) => ({ fresh: false, nowMs: node.clock.timeMs });

describe("a block from build to append", () => {
  it("becomes the same tip on all nodes, executed and verified once on each", async () => {
    const [one, two] = [await openNode(), await openNode()];
    const sign = signing(one.genesis);
    const transaction = sign(ada);
    for (const { ledger } of [one, two]) await ledger.submit(transaction.bytes);
    const block = await build(one);
    await two.ledger.checkBlock(decodeBlock(encodeBlock(block)), notFresh(two));
    for (const { ledger } of [one, two]) await ledger.append(block, certify(block));
    for (const { ledger, caller, store } of [one, two]) {
      expect(ledger.tip).toMatchObject({ height: 1, hash: block.hash, proposer });
      expect(store.stateTree.root).toBe(block.header.stateRoot);
      expect(caller.calls).toBe(1);
      expect(ledger.mempool).toEqual({ count: 0, bytes: 0 });
    }
    // One signature of the transaction and three of the certificate.
    expect([one.verifier.count, two.verifier.count]).toEqual([4, 4]);
  });

  it("is refused the second time a transaction comes in a later block", async () => {
    const [one, two] = [await openNode(), await openNode()];
    const transaction = signing(one.genesis)(ada);
    await one.ledger.submit(transaction.bytes);
    const first = await decide(one, two);
    const again = withHeader(first, {
      height: 2,
      parentHash: first.hash,
      timestampMs: first.header.timestampMs + 1,
    });
    expect(await invalidReason(two.ledger.checkBlock(again, notFresh(two)))).toBe(
      "transaction 0: TRANSACTION_NONCE_USED",
    );
  });

  it("is appended once, whoever brings it", async () => {
    const node = await openNode();
    await node.ledger.submit(signing(node.genesis)(ada).bytes);
    const block = await decide(node);
    await node.ledger.append(block, certify(block));
    expect(node.ledger.tip.height).toBe(1);
    const other = withHeader(block, { timestampMs: block.header.timestampMs + 1 });
    expect(await codeOf(node.ledger.append(other, certify(other)))).toBe("BLOCK_INVALID");
  });

  it("is there after the store is opened again", async () => {
    const node = await openNode();
    const transaction = signing(node.genesis)(ada);
    await node.ledger.submit(transaction.bytes);
    await decide(node);
    const { store, genesis, verifier, caller, clock } = node;
    const again = await Ledger.open({ store, genesis, verifier, caller, clock, log: silentLog });
    expect(again.tip).toEqual(node.ledger.tip);
    expect(await again.submit(transaction.bytes)).toMatchObject({ status: "final", height: 1 });
  });

  it("waits for one that is under way: build, check and append run one at a time", async () => {
    const node = await openNode();
    const sign = signing(node.genesis);
    for (let count = 0; count < 40; count += 1) await node.ledger.submit(sign(ada).bytes);
    const block = await build(node);
    await node.ledger.submit(sign(ada).bytes);
    const results = await Promise.all([
      node.ledger.buildBlock({ proposer, nowMs: node.clock.timeMs }),
      node.ledger.append(block, certify(block)),
      node.ledger.buildBlock({ proposer, nowMs: node.clock.timeMs + 1 }),
    ]);
    expect(results.map((each) => each?.header.height)).toEqual([1, undefined, 2]);
  });
});

describe("the rules of a block", () => {
  it.each([
    ["it is of another chain", { chainId: "11".repeat(32) }],
    ["expected height 1", { height: 2 }],
    ["the parent is another block", { parentHash: "11".repeat(32) }],
    ["the proposer is no validator", { proposer: ada.publicKey }],
    ["validatorsHash differs", { validatorsHash: "11".repeat(32) }],
    ["its time is not above its parent's", { timestampMs: genesisMs }],
    ["transactionsRoot differs from the transactions", { transactionsRoot: "11".repeat(32) }],
  ])("names the first one broken: %s", async (reason, change) => {
    const node = await openNode();
    await node.ledger.submit(signing(node.genesis)(ada).bytes);
    const block = withHeader(await build(node), change);
    expect(await invalidReason(node.ledger.checkBlock(block, notFresh(node)))).toBe(reason);
  });

  it.each(["gasUsed", "receiptsRoot", "stateRoot", "nextValidatorsHash"] as const)(
    "refuses another %s than its own",
    async (field) => {
      const node = await openNode();
      await node.ledger.submit(signing(node.genesis)(ada).bytes);
      const change = { [field]: field === "gasUsed" ? 1 : "11".repeat(32) };
      const block = withHeader(await build(node), change);
      const reason = await invalidReason(node.ledger.checkBlock(block, notFresh(node)));
      expect(reason).toMatch(new RegExp(`^${field} is .*, own result `));
    },
  );

  it("refuses another object with the hash of a block it knows", async () => {
    const node = await openNode();
    const sign = signing(node.genesis);
    await node.ledger.submit(sign(ada).bytes);
    const block = await build(node);
    const mangled = { ...block, transactions: [sign(ben).bytes] };
    expect(await codeOf(node.ledger.checkBlock(mangled, notFresh(node)))).toBe("BLOCK_INVALID");
    expect(await codeOf(node.ledger.append(mangled, certify(block)))).toBe("BLOCK_INVALID");
    expect(node.ledger.divergence).toBeUndefined();
  });

  it("holds a first proposal's time against the clock, to the millisecond", async () => {
    const node = await openNode();
    await node.ledger.submit(signing(node.genesis)(ada).bytes);
    const block = await build(node);
    const { timestampMs } = block.header;
    const check = (nowMs: number, fresh: boolean) =>
      invalidReason(node.ledger.checkBlock(block, { fresh, nowMs }));
    expect(await check(timestampMs + limits.proposalPastMsMax, true)).toBe("valid");
    expect(await check(timestampMs + limits.proposalPastMsMax + 1, true)).toMatch(/past/);
    expect(await check(timestampMs - limits.proposalFutureMsMax, true)).toBe("valid");
    expect(await check(timestampMs - limits.proposalFutureMsMax - 1, true)).toMatch(/future/);
    expect(await check(timestampMs + 86_400_000, false)).toBe("valid");
  });

  it("permits an empty block when the heartbeat is due by header times, not before", async () => {
    const node = await openNode(testGenesis({ heartbeatMs: 2_000 }));
    expect(node.ledger.hasWork(genesisMs + 1_999)).toBe(false);
    const early = { proposer, nowMs: genesisMs + 1_999 };
    expect(await node.ledger.buildBlock(early)).toBeUndefined();
    expect(node.ledger.hasWork(genesisMs + 2_000)).toBe(true);
    const block = await node.ledger.buildBlock({ proposer, nowMs: genesisMs + 2_000 });
    if (block === undefined) throw new Error("expected a block");
    expect(block.transactions).toEqual([]);
    const tooEarly = withHeader(block, { timestampMs: genesisMs + 1_999 });
    expect(await invalidReason(node.ledger.checkBlock(tooEarly, notFresh(node)))).toMatch(/empty/);
    await node.ledger.append(block, certify(block));
    expect(node.ledger.tip.height).toBe(1);
  });

  it("takes a block of exactly the permitted bytes and refuses one byte more", async () => {
    const args = { key: "k", value: "x".repeat(2_000) };
    const maker = await openNode();
    await maker.ledger.submit(signing(maker.genesis)(ada, { args }).bytes);
    const template = await build(maker);
    const bytesMax = encodeBlock(template).length;
    const reasonWith = async (blockBytesMax: number) => {
      // The limit is in the genesis, so this is another chain, with a block of the same length.
      const node = await openNode(testGenesis({ blockBytesMax }));
      const { chainId } = node.genesis;
      const transactions = [signing(node.genesis)(ada, { args }).bytes];
      const transactionsRoot = merkleRoot(transactions);
      const header = { ...template.header, chainId, parentHash: chainId, transactionsRoot };
      const block = blockOf(header, transactions);
      expect(encodeBlock(block).length).toBe(bytesMax);
      return invalidReason(node.ledger.checkBlock(block, notFresh(node)));
    };
    // Past the rule of size the roots are looked at, which belong to the other chain.
    expect(await reasonWith(bytesMax)).toMatch(/^receiptsRoot is/);
    expect(await reasonWith(bytesMax - 1)).toBe("too many bytes");
  });

  it("knows the length of a block without encoding it", async () => {
    const node = await openNode();
    const { header } = withHeader(
      { header: node.genesis.header, hash: "", transactions: [] },
      { timestampMs: 5 },
    );
    for (const lengths of [
      [],
      [1],
      [255, 256],
      [65_535, 65_536],
      Array(15).fill(9),
      Array(16).fill(9),
    ]) {
      const transactions = (lengths as number[]).map((length) => new Uint8Array(length));
      const block = blockOf(header, transactions);
      expect(blockBytes(header, transactions)).toBe(encodeBlock(block).length);
    }
  });

  it("fills a block no further than bytes and gas permit, and goes on in the next", async () => {
    const node = await openNode(testGenesis({ blockBytesMax: 4_096, blockGasMax: 2_500 }));
    const sign = signing(node.genesis);
    for (let count = 0; count < 40; count += 1) await node.ledger.submit(sign(ada).bytes);
    let rest = 40;
    while (rest > 0) {
      node.clock.timeMs += 1;
      const block = await decide(node);
      expect(encodeBlock(block).length).toBeLessThanOrEqual(4_096);
      expect(block.header.gasUsed).toBeLessThanOrEqual(2_500);
      expect(block.transactions.length).toBeGreaterThan(5);
      rest -= block.transactions.length;
    }
    expect(rest).toBe(0);
  });
});

describe("a call that kills the sandbox", () => {
  it("is left out of the block, with a status that says so", async () => {
    const node = await openNode();
    const sign = signing(node.genesis);
    const [poison, good] = [sign(ada, { method: "fault" }), sign(ben)];
    for (const { bytes } of [poison, good]) await node.ledger.submit(bytes);
    const block = await decide(node);
    expect(block.transactions).toEqual([good.bytes]);
    const dropped = { status: "dropped", code: "CONTRACT_NODE_FAULT" };
    expect(await node.ledger.status(poison.id)).toEqual(dropped);
  });

  const poison = { method: "fault" };

  // Four of them once ended the proposing of each proposer in its turn. Nothing tells a node that is
  // broken from calls that no node can run, and a broken one finds out when a block is decided.
  it("never keeps others from being decided, however many there are and however early", async () => {
    const node = await openNode();
    const sign = signing(node.genesis);
    for (const sender of [...crowd, ...crowd]) await node.ledger.submit(sign(sender, poison).bytes);
    const good = sign(ada);
    await node.ledger.submit(good.bytes);
    expect((await decide(node)).transactions).toEqual([good.bytes]);
    // Whose call failed is not asked for another one in this block.
    expect(node.caller.calls).toBe(crowd.length + 1);
  });

  it("ends the filling of a block that holds something when it goes on", async () => {
    const node = await openNode();
    const sign = signing(node.genesis);
    const good = sign(ada);
    const others = crowd.map((sender) => sign(sender, poison));
    for (const { bytes } of [good, ...others, sign(ada)]) await node.ledger.submit(bytes);
    expect((await decide(node)).transactions).toEqual([good.bytes]);
    const codes = await Promise.all(others.map(({ id }) => node.ledger.status(id)));
    const dropped = codes.filter(({ status }) => status === "dropped");
    expect(dropped).toEqual(Array(4).fill({ status: "dropped", code: "CONTRACT_NODE_FAULT" }));
    expect(node.ledger.mempool.count).toBe(others.length - 4 + 1);
  });

  it("puts its sender last: it may have taken the time of the whole block", async () => {
    const node = await openNode();
    const sign = signing(node.genesis);
    const call = node.caller.call.bind(node.caller);
    node.caller.call = (request, state) => {
      if (request.method === "fault") node.clock.timeMs += 1_000;
      return call(request, state);
    };
    const liars = crowd.slice(0, 3);
    for (const sender of [...liars, ...liars, ...liars])
      await node.ledger.submit(sign(sender, poison).bytes);
    await node.ledger.submit(sign(ada).bytes);
    await node.ledger.submit(sign(ben).bytes);
    const blocks = [];
    for (let round = 0; round < 4; round += 1)
      blocks.push(await node.ledger.buildBlock({ proposer, nowMs: node.clock.timeMs }));
    expect(blocks.map((block) => block?.transactions.length)).toEqual([
      undefined,
      undefined,
      undefined,
      2,
    ]);
    const block = blocks[3] as Block;
    await node.ledger.append(block, certify(block));
    await node.ledger.submit(sign(ada).bytes);
    expect((await decide(node)).transactions).toHaveLength(1);
  });

  it("is a reason to abstain from others' blocks", async () => {
    const node = await openNode();
    const sign = signing(node.genesis);
    await node.ledger.submit(sign(ada).bytes);
    const block = await build(node);
    const poisoned = [sign(ben, poison).bytes];
    const header = { ...block.header, transactionsRoot: merkleRoot(poisoned) };
    const check = node.ledger.checkBlock(blockOf(header, poisoned), notFresh(node));
    expect(await codeOf(check)).toBe("CONTRACT_NODE_FAULT");
  });
});

describe("a certified block", () => {
  it("needs a certificate of a quorum for exactly this block", async () => {
    const node = await openNode();
    await node.ledger.submit(signing(node.genesis)(ada).bytes);
    const block = await build(node);
    const certificate = certify(block);
    const { signatures } = certificate;
    const forged = [
      { ...certificate, signatures: signatures.slice(0, 2) },
      { ...certificate, round: 1 },
      { ...certificate, blockHash: node.genesis.chainId },
    ];
    for (const each of forged)
      expect(await codeOf(node.ledger.append(block, each))).toBe("CERTIFICATE_INVALID");
    const gap = withHeader(block, { height: 2 });
    expect(await codeOf(node.ledger.append(gap, certify(gap)))).toBe("BLOCK_INVALID");
    expect(node.ledger.tip.height).toBe(0);
    expect(node.ledger.divergence).toBeUndefined();
  });

  it("with other results is never appended, and stops the node", async () => {
    const [maker, node] = [await openNode(), await openNode()];
    const sign = signing(maker.genesis);
    maker.caller.skew = 1;
    await maker.ledger.submit(sign(ada, { method: "count" }).bytes);
    const block = await build(maker);
    const certificate = certify(block);
    expect(await codeOf(node.ledger.append(block, certificate))).toBe("LEDGER_DIVERGENCE");
    expect(node.ledger.tip.height).toBe(0);
    expect(node.store.tip.height).toBe(0);
    expect(node.ledger.divergence).toMatchObject({
      error: { facts: { height: 1, field: "receiptsRoot" } },
      block: { hash: block.hash },
    });
    const own = node.ledger.divergence?.executed?.receipts[0]?.changes[0]?.valueHash;
    expect(own).toBe(valueHashOf("1"));
    const options = { proposer, nowMs: node.clock.timeMs };
    expect(await codeOf(node.ledger.buildBlock(options))).toBe("LEDGER_DIVERGENCE");
    expect(await codeOf(node.ledger.checkBlock(block, notFresh(node)))).toBe("LEDGER_DIVERGENCE");
    expect(await codeOf(node.ledger.append(block, certificate))).toBe("LEDGER_DIVERGENCE");
  });

  it("that this node finds invalid is a divergence as well", async () => {
    const [maker, node] = [await openNode(), await openNode()];
    await maker.ledger.submit(signing(maker.genesis)(ada).bytes);
    const block = withHeader(await build(maker), { parentHash: "22".repeat(32) });
    expect(await codeOf(node.ledger.append(block, certify(block)))).toBe("LEDGER_DIVERGENCE");
    expect(node.ledger.divergence?.error.facts.field).toBe("validity");
  });

  it("is no divergence when the node itself fails: it may try again", async () => {
    const [maker, node] = [await openNode(), await openNode()];
    await maker.ledger.submit(signing(maker.genesis)(ada).bytes);
    const block = await build(maker);
    const { caller } = node;
    const works = caller.call.bind(caller);
    caller.call = () => Promise.reject(new Error("the sandbox died"));
    await expect(node.ledger.append(block, certify(block))).rejects.toThrow("the sandbox died");
    caller.call = works;
    await node.ledger.append(block, certify(block));
    expect(node.ledger.tip.height).toBe(1);
  });
});

describe("pending transactions", () => {
  it("have a status on every way they can go", async () => {
    const node = await openNode();
    const sign = signing(node.genesis);
    const final = sign(ada, { nonce: 1 });
    const short = sign(ada, { nonce: 2, expiresAtMs: node.clock.timeMs + 5 });
    expect(await node.ledger.status(final.id)).toEqual({ status: "unknown" });
    await node.ledger.submit(final.bytes);
    expect(await node.ledger.status(final.id)).toEqual({ status: "pending" });
    await decide(node);
    expect(await node.ledger.status(final.id)).toMatchObject({
      status: "final",
      height: 1,
      index: 0,
      receipt: { outcome: "ok", transactionId: final.id },
    });
    await node.ledger.submit(short.bytes);
    expect(node.ledger.hasWork(node.clock.timeMs + 4)).toBe(true);
    expect(node.ledger.hasWork(node.clock.timeMs + 5)).toBe(false);
    // A block that was proposed in time may still be decided with it: no clock says that it is dead.
    expect(await node.ledger.status(short.id)).toEqual({ status: "pending" });
    node.clock.timeMs += 5;
    await node.ledger.submit(sign(ada, { nonce: 3 }).bytes);
    await decide(node);
    const dropped = { status: "dropped", code: "TRANSACTION_EXPIRED" };
    expect(await node.ledger.status(short.id)).toEqual(dropped);
  });

  it("are taken in as long as a block under way may hold them, and end with its time", async () => {
    const [late, other] = [await openNode(), await openNode()];
    const sign = signing(late.genesis);
    const expiresAtMs = late.clock.timeMs + 5;
    const [held, dead] = [sign(ada, { expiresAtMs }), sign(ben, { expiresAtMs })];
    await other.ledger.submit(held.bytes);
    const block = await build(other);
    // An outage of an hour: what was prepared before is decided all the same.
    late.clock.timeMs += 3_600_000;
    for (const { bytes } of [held, dead])
      expect(await late.ledger.submit(bytes)).toMatchObject({ status: "pending" });
    expect(late.ledger.hasWork(late.genesis.header.timestampMs + 1)).toBe(true);
    const nowMs = late.clock.timeMs;
    const next = await late.ledger.buildBlock({ proposer, nowMs });
    expect(next?.transactions ?? []).toEqual([]);
    await late.ledger.append(block, certify(block));
    expect(await late.ledger.status(held.id)).toMatchObject({ status: "final", height: 1 });
    expect(await late.ledger.status(dead.id)).toEqual({ status: "pending" });
    await late.ledger.submit(sign(ada).bytes);
    await decide(late);
    const dropped = { status: "dropped", code: "TRANSACTION_EXPIRED" };
    expect(await late.ledger.status(dead.id)).toEqual(dropped);
    expect(await codeOf(late.ledger.submit(dead.bytes))).toBe("TRANSACTION_EXPIRED");
    expect(late.ledger.mempool).toEqual({ count: 0, bytes: 0 });
  });

  it("make no work when they have expired by the clock", async () => {
    const node = await openNode(testGenesis({ heartbeatMs: 60_000 }));
    await node.ledger.submit(
      signing(node.genesis)(ada, { expiresAtMs: node.clock.timeMs - 1 }).bytes,
    );
    expect(node.ledger.mempool.count).toBe(1);
    expect(node.ledger.hasWork(node.clock.timeMs)).toBe(false);
    const options = { proposer, nowMs: node.clock.timeMs };
    expect(await node.ledger.buildBlock(options)).toBeUndefined();
  });

  it("are dropped with the reason when another block used their nonce", async () => {
    const [one, two] = [await openNode(), await openNode()];
    const sign = signing(one.genesis);
    const mine = sign(ada, { nonce: 1, args: { key: "mine" } });
    const other = sign(ada, { nonce: 1, args: { key: "other" } });
    await one.ledger.submit(other.bytes);
    await two.ledger.submit(mine.bytes);
    const waiting = two.ledger.waitFinal(mine.id, { timeoutMs: 5_000 });
    await decide(one, two);
    const dropped = { status: "dropped", code: "TRANSACTION_NONCE_USED" };
    expect(await waiting).toEqual(dropped);
    expect(await two.ledger.status(mine.id)).toEqual(dropped);
    expect(two.ledger.hasWork(two.clock.timeMs)).toBe(false);
  });

  it("are waited for, until they are final or time is up", async () => {
    const node = await openNode();
    const transaction = signing(node.genesis)(ada);
    await node.ledger.submit(transaction.bytes);
    const { id } = transaction;
    expect(await node.ledger.waitFinal(id, { timeoutMs: 1 })).toEqual({ status: "pending" });
    const signal = AbortSignal.abort();
    const aborted = node.ledger.waitFinal(id, { timeoutMs: 60_000, signal });
    expect(await aborted).toEqual({ status: "pending" });
    const waiting = node.ledger.waitFinal(id, { timeoutMs: 5_000 });
    await decide(node);
    expect(await waiting).toMatchObject({ status: "final", height: 1, index: 0 });
    const late = await node.ledger.waitFinal(id, { timeoutMs: 60_000 });
    expect(late).toMatchObject({ status: "final" });
  });

  it("share a block fairly, whoever floods", async () => {
    const node = await openNode(testGenesis({ blockGasMax: 1_000 + 20 * 100 }));
    const sign = signing(node.genesis);
    for (let count = 0; count < 500; count += 1) await node.ledger.submit(sign(ada).bytes);
    const light = crowd.map((signer) => sign(signer));
    for (const { bytes } of light) await node.ledger.submit(bytes);
    const block = await decide(node);
    const ids = (await node.ledger.readReceipts(1)).map((bytes) => decodeReceipt(bytes));
    expect(block.transactions.length).toBeLessThan(30);
    const included = new Set(ids.map(({ transactionId }) => transactionId));
    expect(light.every(({ id }) => included.has(id))).toBe(true);
  });

  it("are passed on within a bound, fairly", async () => {
    const node = await openNode();
    const sign = signing(node.genesis);
    const [a1, a2, b1] = [sign(ada), sign(ada), sign(ben)];
    for (const { bytes } of [a1, a2, b1]) await node.ledger.submit(bytes);
    expect(node.ledger.pendingTransactions()).toEqual([a1.bytes, b1.bytes, a2.bytes]);
    const bytesMax = a1.bytes.length + b1.bytes.length;
    expect(node.ledger.pendingTransactions(bytesMax)).toEqual([a1.bytes, b1.bytes]);
  });

  it("tell their sender which nonce comes next", async () => {
    const node = await openNode();
    const sign = signing(node.genesis);
    await node.ledger.submit(sign(ada, { nonce: 7 }).bytes);
    await decide(node);
    await node.ledger.submit(sign(ada, { nonce: 9 }).bytes);
    expect(node.ledger.senderInfo(ada.publicKey)).toMatchObject({
      did: didOf(ada.publicKey),
      entry: { roles: ["writer"], status: "active" },
      nonceHighest: 7,
      pendingCount: 1,
      pendingNonceHighest: 9,
    });
    expect(node.ledger.senderInfo(senders.stranger.publicKey).entry).toBeUndefined();
  });
});

describe("what is final", () => {
  async function chain() {
    const node = await openNode();
    const sign = signing(node.genesis);
    const list = [sign(ada), sign(ben, { method: "refuse" }), sign(ben, { args: { key: "b" } })];
    for (const { bytes } of list) await node.ledger.submit(bytes);
    await decide(node);
    node.clock.timeMs += 1_000;
    const last = sign(ada, { args: { key: "a", value: 2 } });
    await node.ledger.submit(last.bytes);
    await decide(node);
    return { node, list, last };
  }

  it("is proven by paths to certified roots", async () => {
    const { node, list } = await chain();
    for (const { id, bytes } of list) {
      const proof = await node.ledger.proveTransaction(id);
      if (proof === undefined) throw new Error("expected a proof");
      const { header, index, size, transactionPath, receiptPath, receiptBytes } = proof;
      const claim = { index, size };
      const transaction = { leaf: bytes, path: transactionPath, root: header.transactionsRoot };
      const receipt = { leaf: receiptBytes, path: receiptPath, root: header.receiptsRoot };
      expect(verifyMerklePath({ ...claim, ...transaction })).toBe(true);
      expect(verifyMerklePath({ ...claim, ...receipt })).toBe(true);
      expect(proof.receipt.transactionId).toBe(id);
      expect(proof.certificate.height).toBe(1);
    }
    expect(await node.ledger.proveTransaction("00".repeat(32))).toBeUndefined();
  });

  it("has its state proven at the tip and at recent heights, absence too", async () => {
    const { node } = await chain();
    const key = "notes/item/a";
    for (const [height, value] of [
      [1, "1"],
      [2, "2"],
    ] as const) {
      const proof = await node.ledger.proveState(key, height);
      expect(proof.value).toBe(value);
      if (proof.value === undefined) throw new Error("expected a value");
      const leaf = { key, valueHash: valueHashOf(value) };
      expect(verifyInclusion(proof.inclusion, leaf, proof.header.stateRoot)).toBe(true);
      expect(proof.certificate?.height).toBe(height);
    }
    const before = await node.ledger.proveState(key, 0);
    if (before.value !== undefined) throw new Error("expected absence");
    expect(verifyAbsence(before.absence, key, node.genesis.header.stateRoot)).toBe(true);
    expect(await codeOf(node.ledger.proveState(key, 3))).toBe("LEDGER_PROOF_UNAVAILABLE");
    expect(await codeOf(node.ledger.proveState("x".repeat(300)))).toBe("LEDGER_KEY_INVALID");
  });

  it("keeps the history of every value", async () => {
    const { node } = await chain();
    expect(await node.ledger.history("notes/item/a")).toEqual([
      { height: 1, value: "1" },
      { height: 2, value: "2" },
    ]);
  });

  it("answers views on the state of the tip", async () => {
    const { node } = await chain();
    const read = (method: string, contract = "notes") =>
      node.ledger.view({ contract, method, argsJson: '{"key":"a"}' });
    expect(await read("read")).toMatchObject({ outcome: "ok", resultJson: "2" });
    expect(await read("put")).toMatchObject({ outcome: "CONTRACT_METHOD_UNKNOWN" });
    expect(await read("read", "nothing")).toMatchObject({ outcome: "CONTRACT_UNKNOWN" });
    const wrong = node.ledger.view({ contract: "notes", method: "read", argsJson: "{" });
    expect(await codeOf(wrong)).toBe("JSON_INVALID");
  });
});

describe("events", () => {
  it("come by cursor, in order, each once, from any height", async () => {
    const node = await openNode();
    const sign = signing(node.genesis);
    const expected: string[] = [];
    for (let height = 1; height <= 4; height += 1) {
      for (let index = 0; index < height; index += 1) {
        await node.ledger.submit(sign(ada, { args: { key: `${height}:${index}` } }).bytes);
        expected.push(`${height}:${index}`);
      }
      await decide(node);
      node.clock.timeMs += 1;
    }
    const seen: string[] = [];
    let cursor = { height: 0, index: 0 };
    while (cursor.height <= 4) {
      const query = { fromHeight: cursor.height, fromIndex: cursor.index, limit: 3 };
      const { events, next } = await node.ledger.events(query);
      expect(events.length).toBeLessThanOrEqual(3);
      seen.push(...events.map(({ height, index }) => `${height}:${index}`));
      expect(events.every(({ json, height, index }) => json.includes(`${height}:${index}`))).toBe(
        true,
      );
      cursor = next;
    }
    expect(seen).toEqual(expected);
    const { store, genesis, verifier, caller, clock } = node;
    const again = await Ledger.open({ store, genesis, verifier, caller, clock, log: silentLog });
    const all = { fromHeight: 1, fromIndex: 0, limit: 100 };
    expect(await again.events(all)).toEqual(await node.ledger.events(all));
    const end = await node.ledger.events({ fromHeight: 5, fromIndex: 0, limit: 3 });
    expect(end).toEqual({ events: [], next: { height: 5, index: 0 } });
  });

  it("are found also when many quiet blocks lie between", async () => {
    const node = await openNode(testGenesis({ heartbeatMs: 100 }));
    const sign = signing(node.genesis);
    await node.ledger.submit(sign(ada).bytes);
    for (let height = 1; height <= limits.recentEventBlocksMax + 5; height += 1) {
      await decide(node);
      node.clock.timeMs += 100;
    }
    const page = await node.ledger.events({ fromHeight: 1, fromIndex: 0, limit: 10 });
    expect(page.events.map(({ height }) => height)).toEqual([1]);
    expect(page.next).toEqual({ height: node.ledger.tip.height + 1, index: 0 });
  });

  it("reach listeners after the append, and a failing listener stops nobody", async () => {
    const node = await openNode();
    const heard: Appended[] = [];
    node.ledger.onAppend(() => {
      throw new Error("a bad listener");
    });
    const stop = node.ledger.onAppend((appended) => {
      expect(node.ledger.tip.height).toBe(appended.block.header.height);
      heard.push(appended);
    });
    const sign = signing(node.genesis);
    await node.ledger.submit(sign(ada).bytes);
    await decide(node);
    stop();
    node.clock.timeMs += 1;
    await node.ledger.submit(sign(ada).bytes);
    await decide(node);
    expect(heard).toHaveLength(1);
    const { events } = await node.ledger.events({ fromHeight: 1, fromIndex: 0, limit: 1 });
    expect(heard[0]?.events).toEqual(events);
  });
});
