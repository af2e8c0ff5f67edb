/** Watches that nobody signs for a height at which it is no validator: before it is added, or after. */
import { readClaim, Violation } from "./checkers.ts";
import type { SetModel } from "./set-model.ts";

/** Holds signatures against the sets that the final blocks lead to. */
export class VoterWatch {
  readonly #chainId: string;
  readonly #sets: SetModel;
  readonly #finalHeight: () => number;
  /** Keys that signed for heights whose validators are not known yet. */
  readonly #early = new Map<number, Set<string>>();

  constructor(options: {
    readonly chainId: string;
    readonly sets: SetModel;
    finalHeight(): number;
  }) {
    this.#chainId = options.chainId;
    this.#sets = options.sets;
    this.#finalHeight = options.finalHeight;
  }

  /** Sees a signature come into being. @throws {Violation} */
  note(key: string, message: Uint8Array): void {
    const { height } = readClaim(message, this.#chainId);
    if (height <= this.#finalHeight() + 1) this.#check(key, height);
    else this.#early.set(height, (this.#early.get(height) ?? new Set()).add(key));
  }

  /** Looks at what waited; to be called when a block became final. @throws {Violation} */
  noteFinal(): void {
    const height = this.#finalHeight() + 1;
    for (const key of this.#early.get(height) ?? []) this.#check(key, height);
    this.#early.delete(height);
  }

  #check(key: string, height: number): void {
    if (!this.#sets.at(height).includes(key))
      throw new Violation("voters", `${key.slice(0, 8)} signs for ${height} and is no validator`);
  }
}
