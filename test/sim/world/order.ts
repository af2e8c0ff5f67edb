/**
 * The order of proposers, written a second time from the rules ("Passing over the dead" in
 * docs/CONSENSUS.md).
 */

type Row = { readonly exponent: number; readonly untilHeight: number };

/** What the order at a height follows from. */
export type OrderState = {
  readonly height: number;
  readonly validators: readonly string[];
  /** Proposer of the block before; empty before the first. */
  readonly former: string;
  readonly rows: ReadonlyMap<string, Row>;
};

/** The order at height 1. */
export function orderAtStart(validators: readonly string[]): OrderState {
  return { height: 1, validators, former: "", rows: new Map() };
}

/** Returns the validators in the order of rounds. */
export function expectedOrder({ height, validators, former, rows }: OrderState): string[] {
  const after = validators.filter((key) => key > former);
  const turn = [...after, ...validators.filter((key) => !after.includes(key))];
  const isPassed = (key: string) => (rows.get(key)?.untilHeight ?? 0) >= height;
  return [...turn.filter((key) => !isPassed(key)), ...turn.filter(isPassed)];
}

/** Returns what follows from a block that a validator proposed first, for the next validators. */
export function orderAfter(
  state: OrderState,
  proposer: string,
  validators: readonly string[],
): OrderState {
  const { height } = state;
  const next = { height: height + 1, validators, former: proposer };
  // At 1, 1,025, 2,049, ... and with other validators all begin anew.
  if (height % 1_024 === 0 || validators.join() !== state.validators.join())
    return { ...next, rows: new Map() };
  const rows = new Map(state.rows);
  for (const key of expectedOrder(state)) {
    if (key === proposer) break;
    const k = rows.get(key)?.exponent ?? 0;
    rows.set(key, { exponent: Math.min(k + 1, 6), untilHeight: height + 2 ** k });
  }
  rows.set(proposer, { exponent: 0, untilHeight: 0 });
  return { ...next, rows };
}
