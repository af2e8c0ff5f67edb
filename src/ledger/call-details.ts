/** What failed calls said, for people: this node's word, in memory only, and only the latest. */
import type { Hash } from "../base/hash.ts";
import { limits } from "../base/limits.ts";
import type { FinalStatus } from "./ledger-types.ts";

/** Free text by transaction id. */
export class CallDetails {
  readonly #details = new Map<Hash, string>();

  /** Keeps what the calls of a block said. */
  remember(details: ReadonlyMap<Hash, string>): void {
    for (const [id, detail] of details) {
      this.#details.set(id, detail.slice(0, limits.callDetailCharsMax));
      if (this.#details.size <= limits.callDetailsMax) continue;
      const [oldest] = this.#details.keys();
      this.#details.delete(oldest as Hash);
    }
  }

  /** Adds what is known to the status of a transaction. */
  added(id: Hash, final: FinalStatus): FinalStatus {
    const detail = this.#details.get(id);
    return detail === undefined ? final : { ...final, detail };
  }
}
