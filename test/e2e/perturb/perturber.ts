/**
 * Does to nodes and links what a plan says, and undoes it. Perturbations that overlap may cut the
 * same link: it is healed when the last of them is over.
 */
import { rm } from "node:fs/promises";
import type { TestNode } from "../../helpers/devnet.ts";
import { until } from "../../helpers/devnet.ts";
import type { CutManner, Links } from "./links.ts";
import type { Observer } from "./observer.ts";
import type { Perturbation } from "./plan.ts";

/** Undoes a perturbation. */
export type Undo = () => Promise<void>;

const reachMsMax = 30_000;

/** Perturbs one devnet. */
export class Perturber {
  readonly #nodes: readonly TestNode[];
  readonly #links: Links;
  readonly #observer: Observer;
  readonly #cutCounts = new Map<string, number>();

  constructor(nodes: readonly TestNode[], links: Links, observer: Observer) {
    this.#nodes = nodes;
    this.#links = links;
    this.#observer = observer;
  }

  /** Puts a perturbation in force. */
  async begin({ kind, nodes, manner }: Perturbation): Promise<Undo> {
    if (kind === "cut" || kind === "oneway") return this.#cut(nodes, { kind, manner });
    if (kind === "pause") return this.#pause(nodes);
    if (kind === "wipe") await this.#wipe(nodes);
    else await this.#end(nodes, kind === "kill" ? "SIGKILL" : "SIGTERM");
    return async () => {
      for (const node of nodes) this.#node(node).start();
    };
  }

  async #end(nodes: readonly number[], signal: "SIGKILL" | "SIGTERM"): Promise<void> {
    await Promise.all(
      nodes.map(async (node) => {
        await this.#node(node).stop(signal);
        this.#observer.onEnded(node, { isWiped: false });
      }),
    );
  }

  async #pause(nodes: readonly number[]): Promise<Undo> {
    const goOn = await Promise.all(nodes.map((node) => this.#node(node).pause()));
    return async () => {
      await Promise.all(goOn.map((each) => each()));
    };
  }

  /**
   * Of what is final a quorum has all but the last block on disk, and that one in the signing
   * records. So of four, two may be wiped at any time. Before a third one is, the only one that
   * stays must be among those that decide: then it lacks no more than that last block, too.
   */
  async #wipe(nodes: readonly number[]): Promise<void> {
    const rest = this.#nodes.map((_, node) => node).filter((node) => !nodes.includes(node));
    const [survivor] = rest;
    if (survivor !== undefined && rest.length === 1) {
      const [first, ...others] = nodes;
      await this.#end([first as number], "SIGKILL");
      await this.#observer.look();
      const height = this.#observer.heightMax;
      const isThere = () => this.#observer.heightOf(survivor) > height;
      await until("the node that keeps its ledger has decided with the rest", isThere, reachMsMax);
      await this.#end(others, "SIGKILL");
    } else await this.#end(nodes, "SIGKILL");
    for (const node of nodes) {
      await rm(this.#node(node).files.ledgerDirectory, { recursive: true });
      this.#observer.onEnded(node, { isWiped: true });
    }
  }

  async #cut(
    nodes: readonly number[],
    { kind, manner }: { readonly kind: "cut" | "oneway"; readonly manner: CutManner },
  ): Promise<Undo> {
    const ways = this.#ways(nodes, kind);
    for (const [from, to] of ways) {
      this.#count(from, to, 1);
      await this.#links.cut(from, to, manner);
    }
    return async () => {
      for (const [from, to] of ways)
        if (this.#count(from, to, -1) === 0) await this.#links.heal(from, to);
    };
  }

  #ways(nodes: readonly number[], kind: "cut" | "oneway"): [number, number][] {
    const ways = new Map<string, [number, number]>();
    for (const node of nodes)
      for (const other of this.#nodes.keys()) {
        if (other === node) continue;
        ways.set(`${node}>${other}`, [node, other]);
        if (kind === "cut") ways.set(`${other}>${node}`, [other, node]);
      }
    return [...ways.values()];
  }

  #count(from: number, to: number, change: 1 | -1): number {
    const count = (this.#cutCounts.get(`${from}>${to}`) ?? 0) + change;
    this.#cutCounts.set(`${from}>${to}`, count);
    return count;
  }

  #node(index: number): TestNode {
    return this.#nodes[index] as TestNode;
  }
}
