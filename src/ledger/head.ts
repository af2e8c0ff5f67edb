/** The end of the chain as the next block sees it. Read from the store, never changed in place. */
import { assert } from "../base/assert.ts";
import type { BlockContext } from "./block-rules.ts";
import type { StateView } from "./state-store.ts";
import type { LedgerStore } from "./store.ts";
import { readParameters, readValidators } from "./system-entries.ts";

/** The tip, its state, and all that the next block is judged by. */
export type Head = BlockContext & { readonly state: StateView };

/** Reads the head of a store's chain. */
export function readHead(store: LedgerStore): Head {
  const { state, chainId } = store;
  const { height, hash, header } = store.tip;
  const { timestampMs, proposer } = header;
  assert(state.height === height, "tip and state move together");
  return {
    chainId,
    parent: { height, hash, timestampMs, proposer },
    validators: readValidators(state),
    parameters: readParameters(state),
    state,
  };
}
