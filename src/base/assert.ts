/**
 * Assertions on broken invariants. They stay on in production: a node that breaks an invariant
 * must stop before it signs anything, so nobody catches `AssertionError` but the top of the node.
 */

/** Says that an invariant of this program (never of its input) does not hold. */
export class AssertionError extends Error {
  override readonly name = "AssertionError";
}

/**
 * Checks one invariant.
 *
 * @param invariant - The invariant as a positive sentence, such as "height is dense".
 * @throws {AssertionError} when the condition is false.
 */
export function assert(condition: boolean, invariant: string): asserts condition {
  if (!condition) throw new AssertionError(`broken invariant: ${invariant}`);
}

/** Marks a branch that the types prove cannot be reached. */
export function unreachable(value: never): never {
  throw new AssertionError(`unreachable value: ${JSON.stringify(value)}`);
}
