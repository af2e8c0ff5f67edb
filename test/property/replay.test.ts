/**
 * Property: whatever is sent where and again, a transaction is in the chain at most once, a nonce is
 * used at most once, and what was admitted is final in the end (attack surface, row 8).
 *
 * Method: two nodes of one ledger. Random steps sign transactions with gaps and jumps between
 * nonces, send them and old ones to either node or both, decide blocks built by either, restart a
 * node on its database, and let a lying proposer put an old transaction into a new block. Admission
 * is held against a model that forgets nothing. When it fails: a payment could be made twice, or a
 * sender be locked out; fast-check prints seed and shrunk steps.
 *
 * Shown able to fail: nonce not used by execution; replay window not read from the state at
 * admission; chain id unchecked.
 */
import fc from "fast-check";
import { expect, it } from "vitest";
import { blockOf } from "../../src/base/format/block.ts";
import type { Transaction } from "../../src/base/format/transaction.ts";
import { limits } from "../../src/base/limits.ts";
import { merkleRoot } from "../../src/base/proof/merkle.ts";
import type { Database } from "../../src/ledger/database.ts";
import { memoryDatabase } from "../helpers/databases.ts";
import { seedOf } from "../helpers/seed.ts";
import {
  build,
  certify,
  codeOf,
  invalidReason,
  openNode,
  senders,
  signing,
  type TestNode,
  testGenesis,
} from "../unit/ledger/execution-fixture.ts";

const genesis = testGenesis();
const otherChain = testGenesis({ clockDriftMs: 1 });
const { replayWindowBits: windowBits } = limits;

/** Nonces relative to the highest final one: gaps, the edges of the window, and beyond. */
const offset = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: -3, max: 5 }) },
  { weight: 1, arbitrary: fc.integer({ min: -windowBits - 3, max: windowBits + 3 }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(-windowBits, 1 - windowBits, windowBits, 1 + windowBits),
  },
);
const which = fc.nat({ max: 1 });
const step = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("new"), node: which, offset }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("again"), node: which, pick: fc.nat() }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("decide"), node: which }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("restart"), node: which }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("replay"), node: which, pick: fc.nat() }) },
);
type Step = { kind: string; node: number; offset?: number; pick?: number };

/** Two nodes and all that a reader of the chain knows. */
class World {
  readonly #databases: readonly Database[] = [memoryDatabase(), memoryDatabase()];
  readonly #sign = signing(genesis);
  readonly #sent: Transaction[] = [];
  readonly #finalNonces = new Map<number, string>();
  #nodes: TestNode[] = [];
  #highest = 0;
  #timeMs = 0;

  async open(): Promise<this> {
    for (const database of this.#databases) this.#nodes.push(await openNode(genesis, database));
    this.#timeMs = this.#node(0).clock.timeMs;
    return this;
  }

  #node(index: number): TestNode {
    return this.#nodes[index] as TestNode;
  }

  async run({ kind, node, offset = 0, pick = 0 }: Step): Promise<void> {
    const old = this.#sent.length === 0 ? undefined : this.#sent[pick % this.#sent.length];
    if (kind === "new") await this.#sendNew(node, Math.max(1, this.#highest + offset));
    else if (kind === "decide") await this.decide(node);
    else if (kind === "restart") await this.#restart(node);
    else if (old !== undefined && kind === "again") await this.#sendAgain(node, old);
    else if (old !== undefined) await this.#replayInBlock(node, old);
  }

  async #sendNew(index: number, nonce: number): Promise<void> {
    const key = `k${this.#sent.length}`;
    const transaction = this.#sign(senders.ada, { nonce, args: { key, value: 1 } });
    const code = await codeOf(this.#node(index).ledger.submit(transaction.bytes));
    const expected = this.#verdict(nonce);
    // Which transaction of two with one nonce is pending on a node is not in the model.
    if (code !== "TRANSACTION_NONCE_CONFLICT") expect(code).toBe(expected);
    if (code === "none") this.#sent.push(transaction);
  }

  #verdict(nonce: number): string {
    if (nonce > this.#highest + windowBits) return "TRANSACTION_NONCE_TOO_FAR";
    if (nonce <= this.#highest - windowBits) return "TRANSACTION_NONCE_TOO_OLD";
    return this.#finalNonces.has(nonce) ? "TRANSACTION_NONCE_USED" : "none";
  }

  /** The very same bytes: final ones are found, however old; others are judged like new ones. */
  async #sendAgain(index: number, { id, nonce, bytes }: Transaction): Promise<void> {
    const { ledger } = this.#node(index);
    if (this.#finalNonces.get(nonce) === id) {
      expect(await ledger.submit(bytes)).toMatchObject({ status: "final" });
      return;
    }
    const code = await codeOf(ledger.submit(bytes));
    if (code !== "TRANSACTION_NONCE_CONFLICT") expect(code).toBe(this.#verdict(nonce));
  }

  /** A block of one node, with a transaction that is final already put before the others. */
  async #replayInBlock(index: number, { id, nonce, bytes }: Transaction): Promise<void> {
    const maker = this.#node(index);
    if (this.#finalNonces.get(nonce) !== id || maker.ledger.mempool.count === 0) return;
    this.#tick();
    const honest = await build(maker);
    const transactions = [bytes, ...honest.transactions];
    const transactionsRoot = merkleRoot(transactions);
    const block = blockOf({ ...honest.header, transactionsRoot }, transactions);
    for (const { ledger } of this.#nodes) {
      const options = { fresh: true, nowMs: this.#timeMs };
      const reason = await invalidReason(ledger.checkBlock(block, options));
      expect(reason).toBe(`transaction 0: ${this.#verdict(nonce)}`);
    }
  }

  /** Decides the block that a node builds, if it has anything to put in. */
  async decide(index: number): Promise<void> {
    const maker = this.#node(index);
    if (maker.ledger.mempool.count === 0) return;
    this.#tick();
    const block = await build(maker);
    for (const { ledger } of this.#nodes) await ledger.append(block, certify(block));
    for (const bytes of block.transactions) {
      const { id, nonce } = this.#sent.find((each) => each.bytes === bytes) ?? this.#find(bytes);
      expect(this.#finalNonces.has(nonce)).toBe(false);
      this.#finalNonces.set(nonce, id);
      this.#highest = Math.max(this.#highest, nonce);
    }
  }

  #find(bytes: Uint8Array): Transaction {
    const found = this.#sent.find((each) => Buffer.compare(each.bytes, bytes) === 0);
    if (found === undefined) throw new Error("a block holds only what was sent");
    return found;
  }

  #tick(): void {
    this.#timeMs += 1;
    for (const { clock } of this.#nodes) clock.timeMs = this.#timeMs;
  }

  async #restart(index: number): Promise<void> {
    const { ledger, store } = this.#node(index);
    const { tip } = ledger;
    await store.close();
    this.#nodes[index] = await openNode(genesis, this.#databases[index]);
    this.#node(index).clock.timeMs = this.#timeMs;
    expect(this.#node(index).ledger.tip).toEqual(tip);
  }

  /** Decides what still waits; then every admitted transaction has had its one end. */
  async finish(): Promise<void> {
    for (const index of [0, 1]) {
      while (this.#node(index).ledger.mempool.count > 0) await this.decide(index);
    }
    const [left, right] = await Promise.all(this.#nodes.map((node) => this.#chainOf(node)));
    expect(left).toEqual(right);
    expect(left?.toSorted()).toEqual([...this.#finalNonces.values()].sort());
  }

  async #chainOf({ ledger }: TestNode): Promise<string[]> {
    const ids: string[] = [];
    for (let height = 1; height <= ledger.tip.height; height += 1) {
      const stored = await ledger.readBlock(height);
      for (const bytes of stored?.block.transactions ?? []) ids.push(this.#find(bytes).id);
    }
    expect(new Set(ids).size).toBe(ids.length);
    return ids;
  }
}

it("a transaction is final once, wherever and however often it is sent", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
      const world = await new World().open();
      for (const each of steps) await world.run(each);
      await world.finish();
    }),
    { seed: seedOf(8), numRuns: 30 },
  );
}, 30_000);

it("a transaction of another chain is refused at admission and in a block", async () => {
  const [maker, node] = [await openNode(otherChain), await openNode(genesis)];
  const { bytes } = signing(otherChain)(senders.ada);
  await maker.ledger.submit(bytes);
  expect(await codeOf(node.ledger.submit(bytes))).toBe("TRANSACTION_CHAIN_MISMATCH");
  const { header, transactions } = await build(maker);
  const { chainId } = genesis;
  const moved = blockOf({ ...header, chainId, parentHash: chainId }, transactions);
  const options = { fresh: true, nowMs: node.clock.timeMs };
  expect(await invalidReason(node.ledger.checkBlock(moved, options))).toBe(
    "transaction 0: TRANSACTION_CHAIN_MISMATCH",
  );
});
