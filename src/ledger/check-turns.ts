/**
 * Shares the turns of the event loop among all that check transactions: blocks of others, clients,
 * and as many peers as there are. Consensus waits for a turn to end, so it must be short however
 * many have something to check.
 *
 * The unit is the check of one small transaction, some 80 us.
 *
 * Invariants:
 *
 * (1) Once `unitsPerTurn` are given in one turn, nothing more is: so it ends within that and one
 *     piece of work.
 * (2) A block comes first, but leaves a part of each turn to the others; these are served in order.
 */

const unitsPerTurn = 32;
/** What the check of a block takes of one turn: it is awaited by all validators. */
export const blockUnitsPerTurn = 24;
/** Decoding takes 20 to 50 us for so many bytes of arguments, and 250 KB take as long as 80 checks. */
const bytesPerUnit = 4_096;
/** Looking whether a transaction is known takes hashing only. */
const knownShare = 1 / 8;

/** Returns what checking signed bytes costs, in units; for known ones it is the look alone. */
export function unitsOf(bytes: Uint8Array, isKnown: boolean): number {
  return (1 + bytes.length / bytesPerUnit) * (isKnown ? knownShare : 1);
}

type Waiting = { readonly units: number; readonly resume: () => void };

/** The turns of one node. */
export class CheckTurns {
  readonly #blocks: Waiting[] = [];
  readonly #others: Waiting[] = [];
  #left = unitsPerTurn;
  #isTurnAwaited = false;

  /** Returns when work of so many units may be done, at once if this turn has room for it. */
  async take(units: number, isForBlock = false): Promise<void> {
    const queue = isForBlock ? this.#blocks : this.#others;
    this.#awaitTurn();
    if (this.#left > 0 && queue.length === 0) this.#left -= units;
    else await new Promise<void>((resume) => queue.push({ units, resume }));
  }

  #awaitTurn(): void {
    if (this.#isTurnAwaited) return;
    this.#isTurnAwaited = true;
    setImmediate(() => this.#begin());
  }

  #begin(): void {
    this.#isTurnAwaited = false;
    this.#left = unitsPerTurn;
    this.#serve(this.#blocks);
    this.#serve(this.#others);
    if (this.#left < unitsPerTurn) this.#awaitTurn();
  }

  #serve(queue: Waiting[]): void {
    while (this.#left > 0) {
      const next = queue.shift();
      if (next === undefined) return;
      this.#left -= next.units;
      next.resume();
    }
  }
}
