/**
 * Orders the runs of a node: it may find out that it must begin with a snapshot as soon as it hears
 * peers, when it is still about to start its last parts.
 *
 * Invariants:
 *
 * (1) A restart begins when the start before it has ended, so that it stops all parts and finds
 *     their ports free. After a start that failed there is none.
 * (2) There is one restart at a time; what asks for another meanwhile is not heard.
 * (3) None begins once the node is to stop: it would open again what is being closed.
 */

/** One node: its start and its restarts. */
export class RunOrder {
  #started: Promise<unknown> = Promise.resolve();
  #restarting: Promise<void> | undefined;
  #isEnding = false;

  /** Starts the node for the first time. */
  start<T>(run: () => Promise<T>): Promise<T> {
    const started = run();
    this.#started = started;
    return started;
  }

  /**
   * Restarts the node.
   *
   * @param run - Stops all parts and starts them again; never throws.
   */
  restart(run: () => Promise<void>): void {
    if (this.#isEnding) return;
    const begin = () => (this.#isEnding ? undefined : run());
    this.#restarting ??= this.#started
      .then(begin, () => undefined)
      .finally(() => {
        this.#restarting = undefined;
      });
  }

  /** Lets no restart begin any more, and waits for one that is under way. */
  async end(): Promise<void> {
    this.#isEnding = true;
    await this.#restarting;
  }
}
