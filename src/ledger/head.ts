/** The end of the chain as the next block sees it. Read from the store, never changed in place. */
import { assert } from "../base/assert.ts";
import type { Header } from "../base/format/block.ts";
import {
  nextSchedule,
  type ProposerSchedule,
  scheduleAfter,
  scheduleBase,
} from "../base/proposer-schedule.ts";
import type { BlockContext } from "./block-rules.ts";
import type { StateView } from "./state-store.ts";
import type { LedgerStore } from "./store.ts";
import { readParameters, readValidators } from "./system-entries.ts";

/** The tip, its state, and all that the next block is judged by. */
export type Head = BlockContext & {
  readonly state: StateView;
  /** Who proposes the next block. */
  readonly schedule: ProposerSchedule;
};

/** Reads the head of a store's chain. */
export async function readHead(store: LedgerStore): Promise<Head> {
  const validators = readValidators(store.state);
  const { height } = store.tip;
  const headers: Header[] = [];
  for (let each = scheduleBase(height + 1); each < height; each += 1)
    headers.push(await store.readHeader(each));
  return headOf(store, scheduleAfter([...headers, store.tip.header], validators));
}

/** Returns the head after the block that the store just appended to a former head. */
export function nextHead(store: LedgerStore, former: Head): Head {
  const { header } = store.tip;
  const validators = readValidators(store.state);
  return headOf(store, nextSchedule(former.schedule, header, validators));
}

function headOf(store: LedgerStore, schedule: ProposerSchedule): Head {
  const { state, chainId } = store;
  const { height, hash, header } = store.tip;
  const { timestampMs, proposer } = header;
  assert(state.height === height, "tip and state move together");
  return {
    chainId,
    parent: { height, hash, timestampMs, proposer },
    validators: schedule.validators,
    parameters: readParameters(state),
    state,
    schedule,
  };
}
