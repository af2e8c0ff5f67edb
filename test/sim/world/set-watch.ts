/**
 * What must hold of validators and of what nodes say about each other, beside the chain itself.
 *
 * | checker | what it finds |
 * |---|---|
 * | voters | a signature for a height at which its key does not vote |
 * | equivocation | an honest node that accuses an honest one |
 * | reports | a node that reports what its own ledger has on record already |
 * | readiness | a candidate that names a block which is not on the chain |
 */
import { publicKeyOf } from "../../../src/base/format/did.ts";
import { decodeTransaction } from "../../../src/base/format/transaction.ts";
import { type Canon, Violation } from "./checkers.ts";
import { EquivocationSight } from "./equivocation-sight.ts";
import type { WorldNode } from "./node.ts";
import type { Plan } from "./plan.ts";
import type { Report, SetModel } from "./set-model.ts";
import { VoterWatch } from "./voters.ts";

/** What is watched. */
export type SetWatchOptions = {
  readonly plan: Plan;
  readonly chainId: string;
  readonly sets: SetModel;
  readonly canon: Canon;
  readonly liarKeys: ReadonlySet<string>;
  /** Signed bytes that somebody made, by id. */
  readonly sent: Map<string, Uint8Array>;
};

/** Watches signatures, own calls of nodes, and what they see of liars. */
export class SetWatch {
  readonly #options: SetWatchOptions;
  readonly #voters: VoterWatch;
  readonly #sight: EquivocationSight;
  /** Nodes that see liars contradict themselves and can report it. */
  #witnesses: ReadonlySet<WorldNode> = new Set();

  constructor(options: SetWatchOptions) {
    const { chainId, sets, canon, liarKeys } = options;
    this.#options = options;
    this.#voters = new VoterWatch({ chainId, sets, finalHeight: () => canon.height });
    this.#sight = new EquivocationSight(chainId, liarKeys);
  }

  /** Sees an honest node sign. @throws {Violation} */
  onSign(node: WorldNode, message: Uint8Array): void {
    this.#voters.note(node.key, message);
  }

  /** A block more is final. @throws {Violation} */
  onFinal(): void {
    this.#voters.noteFinal();
  }

  /** A frame reaches a node. */
  onDeliver(node: WorldNode | undefined, frame: Uint8Array, nowMs: number): void {
    if (node !== undefined && this.#witnesses.has(node)) this.#sight.note(node, frame, nowMs);
  }

  /** A node sends a transaction of its own. @throws {Violation} */
  onOwnCall(node: WorldNode, bytes: Uint8Array): void {
    const { sent } = this.#options;
    const { id, method, argsJson } = decodeTransaction(bytes);
    const isNew = !sent.has(id);
    sent.set(id, bytes);
    if (!isNew || node.isLiar) return;
    const args: unknown = JSON.parse(argsJson);
    if (method === "reportEquivocation") this.#checkReport(node, args as Report);
    if (method === "declareReady") this.#checkReady(args as { height: number; blockHash: string });
  }

  /** From now on, who contradicts itself before nodes that vote to the end must be reported. */
  watchLiars(healthy: readonly WorldNode[], sets: readonly (readonly number[])[]): void {
    if (!this.#options.plan.liars.some(({ tricks }) => tricks.includes("equivocate"))) return;
    const staying = healthy.filter(({ index }) => sets.every((set) => set.includes(index)));
    this.#witnesses = new Set(staying);
  }

  /** All whose contradictions were visible are on record. */
  get areLiarsReported(): boolean {
    const { sets } = this.#options;
    return [...this.#sight.visible].every((key) => sets.reported.includes(key));
  }

  #checkReport({ index, running }: WorldNode, report: Report): void {
    const { liarKeys, sets } = this.#options;
    const key = publicKeyOf(report.validator);
    if (!liarKeys.has(key))
      throw new Violation("equivocation", `node ${index} accuses ${key.slice(0, 8)}, wrongly`);
    const tip = running?.ledger.tip.height ?? 0;
    if (sets.isMoot(key, report, tip))
      throw new Violation("reports", `node ${index} reports what is on record`);
  }

  #checkReady({
    height,
    blockHash,
  }: {
    readonly height: number;
    readonly blockHash: string;
  }): void {
    const { canon, chainId } = this.#options;
    const final = height === 0 ? chainId : canon.blocks[height - 1]?.block.hash;
    if (final !== undefined && final !== blockHash)
      throw new Violation("readiness", `a candidate has another block ${height}`);
  }
}
