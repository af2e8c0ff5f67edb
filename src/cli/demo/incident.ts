/** One node of the demo is killed midway and started again later. */
import type { DevnetNode } from "../devnet/layout.ts";
import { startNodeProcess, stopNodes, waitReady } from "../devnet/processes.ts";
import type { Terminal } from "../terminal.ts";
import { readingsExpected } from "./control.ts";

/** Shares of the readings at which a node is killed, and started again. */
const killAt = 0.35;
const restartAt = 0.65;
/** What happens to the node while readings come in. */
export class Incident {
  readonly #node: DevnetNode;
  readonly #terminal: Terminal;
  #killed: Promise<unknown> | undefined;
  #restarted: Promise<void> | undefined;

  constructor(node: DevnetNode, terminal: Terminal) {
    this.#node = node;
    this.#terminal = terminal;
  }

  /** Acts when the share of final readings is reached. */
  onProgress(final: number): void {
    if (final > killAt * readingsExpected) this.#kill(final);
    if (final > restartAt * readingsExpected) this.#restart(final);
  }

  /** Waits until the node has caught up. */
  async end(signal: AbortSignal): Promise<void> {
    this.#kill(readingsExpected);
    this.#restart(readingsExpected);
    await this.#restarted;
    await waitReady([this.#node], { signal });
  }

  #kill(final: number): void {
    if (this.#killed !== undefined) return;
    this.#killed = stopNodes([this.#node], "SIGKILL");
    this.#terminal.note(`${this.#node.name} killed at ${final} readings`);
  }

  #restart(final: number): void {
    if (this.#restarted !== undefined || this.#killed === undefined) return;
    this.#restarted = this.#killed.then(() => {
      startNodeProcess(this.#node, { isTied: true });
    });
    this.#terminal.note(`${this.#node.name} started again at ${final} readings`);
  }
}
