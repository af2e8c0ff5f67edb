/**
 * How a contract says no. A refusal undoes every change of the call and ends in its receipt; the
 * code is stable and hashed, the message is for people and is not.
 */

const codePattern = /^[A-Z][A-Z0-9_]{2,63}$/;

/** Thrown by `refuse` and turned into an answer by the entry; contracts do not catch it. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/**
 * Ends the call without any change to the state.
 *
 * @param code - Stable code such as `METERING_METER_UNKNOWN`, 3 to 64 of `A-Z 0-9 _`.
 * @param message - Says what was wrong and what to do, for people.
 * @throws {Refusal} always.
 */
export function refuse(code: string, message: string): never {
  if (!codePattern.test(code)) throw new Error(`not a refusal code: ${code}`);
  throw new Refusal(code, message);
}
