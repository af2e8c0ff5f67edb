/**
 * Who proposes at a height, restated from the rule: the order starts after the proposer of the
 * last block and puts validators that missed their last turn at the end for a while. The model
 * itself is content with any order; traces need the one that nodes use.
 */

/** The order of proposers of one height. */
export type Order = {
  readonly height: number;
  /** Sorted ascending. */
  readonly validators: readonly string[];
  /** Round r is proposed by entry r modulo their count. */
  readonly order: readonly string[];
  readonly turns: ReadonlyMap<string, Turn>;
};

/** How a validator's missed turns count. */
type Turn = { readonly exponent: number; readonly untilHeight: number };

const exponentMax = 6;
const epochHeights = 1_024;

/** Returns the order of height 1. */
export function firstOrder(validators: readonly string[]): Order {
  return orderOf(1, validators, "", new Map());
}

/**
 * Returns the order of the height after a block.
 *
 * @param former - Order of the block's height.
 * @param proposer - Who proposed the block first (`header.proposer`).
 * @param validators - Those of the next height, sorted ascending.
 */
export function nextOrder(former: Order, proposer: string, validators: readonly string[]): Order {
  const { height, order } = former;
  const isAnew = height % epochHeights === 0 || validators.join() !== former.validators.join();
  const turns = new Map(isAnew ? [] : former.turns);
  const skipped = isAnew ? [] : order.slice(0, Math.max(0, order.indexOf(proposer)));
  for (const validator of skipped) {
    const exponent = turns.get(validator)?.exponent ?? 0;
    const next = Math.min(exponent + 1, exponentMax);
    turns.set(validator, { exponent: next, untilHeight: height + 2 ** exponent });
  }
  turns.delete(proposer);
  return orderOf(height + 1, validators, proposer, turns);
}

function orderOf(
  height: number,
  validators: readonly string[],
  proposer: string,
  turns: ReadonlyMap<string, Turn>,
): Order {
  const inTurn = [
    ...validators.filter((validator) => validator > proposer),
    ...validators.filter((validator) => validator <= proposer),
  ];
  const isPassedOver = (validator: string) => (turns.get(validator)?.untilHeight ?? 0) >= height;
  const order = [
    ...inTurn.filter((validator) => !isPassedOver(validator)),
    ...inTurn.filter(isPassedOver),
  ];
  return { height, validators, order, turns };
}
