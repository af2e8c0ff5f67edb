/**
 * Checks what nodes have on their disks and what they answer of the past, apart from the code.
 *
 * | checker | what it finds |
 * |---|---|
 * | disk | a node that goes on although it cannot write, keeps silent about it, or never goes on again |
 * | density | a block that was acknowledged and is not on disk, or not whole |
 * | pruned | what is gone answered as if it had never been, or what must stay not answered; records that pruning should have deleted; a base or snapshot that is not the certified state |
 */
import { isLedgerError } from "../../../src/base/errors.ts";
import type { Certificate } from "../../../src/base/format/message.ts";
import { limits } from "../../../src/base/limits.ts";
import { stateRootOf } from "../../../src/base/proof/state-proof.ts";
import { decodeHistory } from "../../../src/ledger/history.ts";
import { decodeRecord, heightOfKey, recordKeys, stateKeyOf } from "../../../src/ledger/records.ts";
import { decodeChunk } from "../../../src/ledger/snapshot-format.ts";
import { decodeDecided } from "../../../src/node/chain-follower.ts";
import { snapshotDirectories } from "../../../src/node/snapshot-directory.ts";
import type { Random } from "../random.ts";
import { type Canon, entriesOfState, type FinalBlock, Violation } from "./checkers.ts";
import { ledgerDirectory } from "./disk.ts";
import type { Running, WorldNode } from "./node.ts";
import type { VirtualTime } from "./time.ts";

/** What the checks look at. */
export type HoldingsOptions = {
  readonly canon: Canon;
  readonly time: VirtualTime;
  readonly random: Random;
  /** Height that snapshots are multiples of; `undefined` in a world that has none. */
  readonly interval: number | undefined;
  onViolation(error: unknown): void;
};

/** A closed gate opens within this after the disk can be written: its longest wait and some. */
const reopensMs = 8_000;
/** A process hears of a refused write in the same moment; what follows takes a few turns. */
const heardMs = 100;
const totalKeys = 8;

/** Looks after all nodes of a world. */
export class Holdings {
  readonly #options: HoldingsOptions;
  /** When a write that must not fail was refused, by node. */
  readonly #refused = new Map<WorldNode, { readonly running: Running; readonly atMs: number }>();
  /** Since when a gate is closed though nothing hinders. */
  readonly #idle = new Map<WorldNode, number>();
  /** Bytes that pruning is to free, by node. */
  readonly #toFree = new Map<WorldNode, number>();
  /** What came about, for the summary of a run. */
  readonly counts = { pruned: 0, snapshotStart: 0, gateClosed: 0 };

  constructor(options: HoldingsOptions) {
    this.#options = options;
  }

  /** Begins to watch a disk. */
  watch(node: WorldNode): void {
    node.disk.onRefused = (operations) => {
      const { running } = node;
      const isNeeded = operations?.some(({ key }) => key.startsWith("b/")) !== false;
      if (running === undefined || !isNeeded) return;
      this.#refused.set(node, { running, atMs: this.#options.time.nowMs });
    };
  }

  /** A life begins: the state at its base must be the certified one. @throws {Violation} */
  async onOpened(node: WorldNode, { store, ledger }: Running): Promise<void> {
    const { canon } = this.#options;
    const base = store.baseHeight;
    if (base === 0) return;
    const { header } = this.#final(node, base).block;
    const read = await unlessClosed(store.readCertified(base).then((stored) => ({ stored })));
    if (read === undefined) return;
    const { stored } = read;
    if (stored?.certificate === undefined)
      throw new Violation("pruned", `node ${node.index} has no certificate of its base ${base}`);
    canon.checkCertificate({ header, hash: stored.hash }, stored.certificate);
    if (ledger.tip.height !== base) return;
    this.counts.snapshotStart += 1;
    if (stateRootOf(entriesOfState(ledger.state)) !== header.stateRoot)
      throw new Violation("pruned", `node ${node.index} begins at ${base} with another state`);
  }

  /** A block that was acknowledged must be on disk. @throws {Violation} */
  onAppended(node: WorldNode, height: number): void {
    this.#checkWhole(node, this.#final(node, height));
  }

  /** A write of the record that began while the gate was closed. @throws {Violation} */
  onSign(node: WorldNode): void {
    const closedMs = node.running?.storage.gateClosedMs;
    if (closedMs !== undefined && node.disk.recordBegunMs > closedMs)
      throw new Violation("disk", `node ${node.index} signs while it cannot write`);
  }

  /** Pruning begins or has ended: what lies below the base must go. @throws {Violation} */
  onPruning(node: WorldNode, hasEnded: boolean): void {
    if (node.running === undefined) return;
    const bytes = bytesBelow(node, node.running.store.baseHeight);
    const former = this.#toFree.get(node) ?? 0;
    if (!hasEnded) this.#toFree.set(node, bytes);
    if (!hasEnded) return;
    if (bytes > 0)
      throw new Violation("pruned", `node ${node.index} still has ${bytes} of ${former} bytes`);
    this.counts.pruned += 1;
  }

  /** To be called from time to time: gates, and a question to one node. */
  look(nodes: readonly WorldNode[]): void {
    for (const node of nodes) {
      this.#checkGate(node);
      this.#checkDownload(node);
    }
    const able = nodes.filter(({ running, life }) => running !== undefined && !life?.isPaused);
    const node = able[this.#options.random.below(Math.max(1, able.length))];
    if (node?.running === undefined || node.running.ledger.tip.height === 0) return;
    this.#ask(node, node.running).catch(this.#options.onViolation);
  }

  /** All that a node has at the end. @throws {Violation} */
  async checkEnd(node: WorldNode, running: Running): Promise<void> {
    const { canon } = this.#options;
    const base = running.store.baseHeight;
    for (const final of canon.blocks) {
      const { height } = final.block.header;
      if (height > base) this.#checkWhole(node, final);
      await this.#askBlock(node, running, final);
    }
    const isPruning = node.disk.entriesOf()?.has(recordKeys.pruning) === true;
    if (base > 0 && !isPruning) this.#checkSwept(node, base);
    await this.#checkServed(node, running);
  }

  #final(node: WorldNode, height: number): FinalBlock {
    const final = this.#options.canon.blocks[height - 1];
    if (final !== undefined) return final;
    throw new Violation("density", `node ${node.index} has ${height}, which nobody appended`);
  }

  #checkGate(node: WorldNode): void {
    const { time } = this.#options;
    const { running, disk, life } = node;
    const refused = this.#refused.get(node);
    const reason = running?.gate.closedBecause;
    const isAble = running !== undefined && life?.isPaused === false && disk.full.size === 0;
    // Once it said so, it may go on as soon as another write succeeds, such as in another place.
    const isOver = disk.full.size === 0 || reason !== undefined;
    if (refused === undefined || refused.running !== running || isOver) this.#refused.delete(node);
    else if (life?.isPaused === false && time.nowMs - refused.atMs > heardMs)
      throw new Violation("disk", `node ${node.index} does not say that it cannot write`);
    if (!isAble || reason === undefined) this.#idle.delete(node);
    else if (time.nowMs - (this.#idle.get(node) ?? time.nowMs) > reopensMs)
      throw new Violation("disk", `node ${node.index} does not go on: ${reason}`);
    else if (!this.#idle.has(node)) this.#idle.set(node, time.nowMs);
    if (reason !== undefined) this.counts.gateClosed += 1;
  }

  /** Nothing that a peer made up may ever be written, not even for a moment. */
  #checkDownload(node: WorldNode): void {
    const { download } = snapshotDirectories(ledgerDirectory);
    for (const [key, record] of node.disk.entriesOf(download) ?? []) {
      if (!key.startsWith("h/") || !stateKeyOf(key).startsWith("sim/total/")) continue;
      const height = heightOfKey(key) ?? 0;
      const total = this.#options.canon.blocks[height - 1]?.totals.get(stateKeyOf(key).slice(10));
      const value = decodeHistory(decodeRecord(key, record));
      if (value !== undefined && value === String(total)) continue;
      const what = `${stateKeyOf(key)} = ${value} instead of ${total} at ${height}`;
      throw new Violation("pruned", `node ${node.index} wrote ${what} of a snapshot`);
    }
  }

  async #ask(node: WorldNode, running: Running): Promise<void> {
    const { random, canon } = this.#options;
    const height = 1 + random.below(running.ledger.tip.height);
    const final = canon.blocks[height - 1];
    const key = `sim/total/k${random.below(totalKeys)}`;
    const kind = random.below(4);
    const place = random.below(Math.max(1, final?.ids.length ?? 0));
    if (final === undefined) return;
    if (kind === 0) return this.#askBlock(node, running, final);
    if (kind === 1) return this.#askStatus(node, running, { final, place });
    if (kind === 2) return this.#askValue(node, running, { final, key });
    return this.#askAsPeer(node, running, final);
  }

  async #askBlock(node: WorldNode, running: Running, final: FinalBlock): Promise<void> {
    const { height } = final.block.header;
    const stored = await this.#answer(node, running, height, () =>
      running.ledger.readBlock(height),
    );
    if (stored === undefined) return;
    this.#checkBlock(node, final, stored.value?.block.hash, stored.value?.certificate);
  }

  async #askAsPeer(node: WorldNode, running: Running, final: FinalBlock): Promise<void> {
    const { height } = final.block.header;
    const answer = await this.#answer(node, running, height, () =>
      running.shell.handlers.readBlocks(height, 2, limits.syncBytesMax),
    );
    const [bytes] = answer?.value ?? [];
    if (answer === undefined) return;
    const decided = bytes && decodeDecided(bytes);
    this.#checkBlock(node, final, decided?.block.hash, decided?.certificate);
  }

  async #askStatus(
    node: WorldNode,
    running: Running,
    { final, place }: { readonly final: FinalBlock; readonly place: number },
  ): Promise<void> {
    const { height } = final.block.header;
    const id = final.ids[place];
    if (id === undefined) return;
    const baseBefore = running.store.baseHeight;
    const status = await unlessClosed(running.ledger.status(id));
    if (status === undefined) return;
    const isRight =
      status.status === "final"
        ? status.height === height && status.index === place && height > baseBefore
        : status.status === "pruned" && height <= running.store.baseHeight;
    if (isRight) return;
    const what = `${id.slice(0, 8)} of ${height} is ${JSON.stringify(status)}`;
    throw new Violation("pruned", `node ${node.index} with base ${baseBefore} says ${what}`);
  }

  async #askValue(
    node: WorldNode,
    running: Running,
    { final, key }: { readonly final: FinalBlock; readonly key: string },
  ): Promise<void> {
    const { height } = final.block.header;
    // At the base itself the state is known.
    const answer = await this.#answer(node, running, height + 1, () =>
      running.store.readValueAt(key, height),
    );
    if (answer === undefined) return;
    const total = final.totals.get(key.slice("sim/total/".length));
    const expected = total === undefined ? undefined : String(total);
    if (answer.value?.value === expected) return;
    const what = `${key} at ${height} is ${answer.value?.value}, not ${expected}`;
    throw new Violation("pruned", `node ${node.index}: ${what}`);
  }

  /**
   * Asks for what is pruned up to the base, and there above it.
   *
   * @param height - What lies below may be gone: the least height that must be answered is above.
   * @returns `undefined` when it is rightly gone, or the disk is closed at the moment.
   * @throws {Violation}
   */
  async #answer<T>(
    node: WorldNode,
    { store }: Running,
    height: number,
    question: () => Promise<T>,
  ): Promise<{ readonly value: T } | undefined> {
    const baseBefore = store.baseHeight;
    try {
      const value = await question();
      if (height > baseBefore) return { value };
    } catch (error) {
      if (isLedgerError(error, "LEDGER_STORE_CLOSED")) return undefined;
      if (!isLedgerError(error, "LEDGER_PRUNED")) throw error;
      if (height <= store.baseHeight) return undefined;
      throw new Violation("pruned", `node ${node.index} has lost ${height} above ${baseBefore}`);
    }
    throw new Violation("pruned", `node ${node.index} answers ${height} below ${baseBefore}`);
  }

  #checkBlock(
    node: WorldNode,
    { block }: FinalBlock,
    hash: string | undefined,
    certificate: Certificate | undefined,
  ): void {
    const { height } = block.header;
    if (hash !== block.hash || certificate === undefined)
      throw new Violation("density", `node ${node.index} lacks ${height}`);
    this.#options.canon.checkCertificate(block, certificate);
  }

  #checkWhole(node: WorldNode, { block, ids }: FinalBlock): void {
    const { height } = block.header;
    const entries = node.disk.entriesOf();
    const wanted = [
      ...[recordKeys.block(height), recordKeys.certificate(height), recordKeys.receipts(height)],
      ...ids.map((id) => recordKeys.transaction(id)),
    ];
    const missing = wanted.filter((key) => entries?.has(key) !== true);
    if (missing.length > 0)
      throw new Violation("density", `node ${node.index} has ${height} without ${missing}`);
  }

  #checkSwept(node: WorldNode, base: number): void {
    const { canon } = this.#options;
    const bytes = bytesBelow(node, base);
    if (bytes > 0)
      throw new Violation("pruned", `node ${node.index} has ${bytes} bytes below its base ${base}`);
    const entries = node.disk.entriesOf();
    for (const { ids } of canon.blocks.slice(0, base))
      for (const id of ids)
        if (entries?.has(recordKeys.transaction(id)) === true)
          throw new Violation("pruned", `node ${node.index} still lists ${id.slice(0, 8)}`);
  }

  /** The snapshots that a node offers must be the state that was certified. */
  async #checkServed(node: WorldNode, { shell, store }: Running): Promise<void> {
    const { interval, canon } = this.#options;
    const { snapshots } = shell.handlers;
    const heights = snapshots?.heights ?? [];
    const newest = interval === undefined ? 0 : store.tip.height - (store.tip.height % interval);
    if (newest > 0 && heights[0] !== newest)
      throw new Violation("pruned", `node ${node.index} serves ${heights}, not ${newest}`);
    for (const height of heights) {
      const entries: (readonly [string, string])[] = [];
      for (let from: string | undefined = ""; from !== undefined; ) {
        const bytes = await snapshots?.chunk(height, from);
        if (bytes === undefined) throw new Violation("pruned", `a chunk of ${height} is missing`);
        const chunk = decodeChunk(bytes);
        entries.push(...chunk.entries);
        from = chunk.to;
      }
      const { header } = (canon.blocks[height - 1] as FinalBlock).block;
      if (stateRootOf(entries) !== header.stateRoot)
        throw new Violation("pruned", `node ${node.index} serves another state of ${height}`);
    }
  }
}

/** Bytes of records that a base makes needless: blocks and what they led to, and old values. */
function bytesBelow(node: WorldNode, base: number): number {
  let bytes = 0;
  let former: { readonly key: string; readonly size: number } | undefined;
  const keys = [...(node.disk.entriesOf() ?? [])].sort(([left], [right]) =>
    left < right ? -1 : 1,
  );
  for (const [key, record] of keys) {
    const height = heightOfKey(key) ?? 0;
    const isOld = height > 0 && height <= base;
    if (isOld && /^[bcru]\//.test(key)) bytes += record.length;
    if (!key.startsWith("h/") || height > base) continue;
    if (former !== undefined && stateKeyOf(former.key) === stateKeyOf(key)) bytes += former.size;
    former = { key, size: record.length };
  }
  return bytes;
}

async function unlessClosed<T>(question: Promise<T>): Promise<T | undefined> {
  try {
    return await question;
  } catch (error) {
    if (isLedgerError(error, "LEDGER_STORE_CLOSED")) return undefined;
    throw error;
  }
}
