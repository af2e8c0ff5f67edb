/**
 * Asks every node for its tip again and again and writes down what changes. It knows the greatest
 * height told, so it sees when a ledger goes on, and when it must not.
 */
import type { Hash } from "../../../src/base/hash.ts";
import { pause, type TestNode } from "../../helpers/devnet.ts";
import type { History } from "./history.ts";

const periodMs = 100;
const answerMsMax = 1_500;

type Tip = { readonly height: number; readonly hash: Hash; readonly stateRoot: Hash };

/** Watches the nodes of a devnet. */
export class Observer {
  readonly #nodes: readonly TestNode[];
  readonly #history: History;
  readonly #heights: number[];
  /** Raised when a node's process ends: an answer of before is then of no use. */
  readonly #lives: number[];
  /** The newest question that a node answered. */
  readonly #answered: number[];
  readonly #loops: readonly Promise<void>[];
  #questions = 0;
  #isEnding = false;

  constructor(nodes: readonly TestNode[], history: History) {
    this.#nodes = nodes;
    this.#history = history;
    this.#heights = nodes.map(() => -1);
    this.#lives = nodes.map(() => 0);
    this.#answered = nodes.map(() => 0);
    this.#loops = nodes.map((_, node) => this.#watch(node));
  }

  /** The greatest height that any node told. */
  get heightMax(): number {
    return Math.max(...this.#heights);
  }

  /** The height that a node told last. */
  heightOf(node: number): number {
    return this.#heights[node] as number;
  }

  /** Must be called when the process of a node ended. */
  onEnded(node: number, options: { readonly isWiped: boolean }): void {
    this.#lives[node] = (this.#lives[node] as number) + 1;
    this.#history.append({ kind: "ended", node });
    if (options.isWiped) this.#history.append({ kind: "wiped", node });
  }

  /** Asks all nodes at once; those that do not answer are passed over. */
  async look(): Promise<void> {
    await Promise.all(this.#nodes.map((_, node) => this.#ask(node)));
  }

  async end(): Promise<void> {
    this.#isEnding = true;
    await Promise.all(this.#loops);
  }

  async #watch(node: number): Promise<void> {
    while (!this.#isEnding) {
      await this.#ask(node);
      await pause(periodMs);
    }
  }

  async #ask(node: number): Promise<void> {
    const life = this.#lives[node];
    const question = ++this.#questions;
    const tip = await tipOf(this.#nodes[node] as TestNode);
    // Two questions may be under way: the answer to the later one may have come first.
    const isOld = this.#lives[node] !== life || question < (this.#answered[node] as number);
    if (tip === undefined || isOld) return;
    this.#answered[node] = question;
    const { height, hash, stateRoot } = tip;
    if (height === this.#heights[node]) return;
    this.#heights[node] = height;
    this.#history.append({ kind: "tip", node, height, hash, stateRoot });
  }
}

async function tipOf({ url }: TestNode): Promise<Tip | undefined> {
  try {
    const response = await fetch(`${url}/v1/status`, { signal: AbortSignal.timeout(answerMsMax) });
    return response.ok ? ((await response.json()) as Tip) : undefined;
  } catch {
    return undefined;
  }
}
