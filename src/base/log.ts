/** What a part needs of a logger and a clock; the composition root brings the real ones. */

/** A structured logger. Facts are plain data; secrets never go in. */
export interface Log {
  debug(facts: object, message: string): void;
  info(facts: object, message: string): void;
  warn(facts: object, message: string): void;
  error(facts: object, message: string): void;
}

/** A logger that says nothing. */
export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} };

/** Milliseconds since 1970-01-01T00:00:00Z. A node's clock never steps back. */
export interface Clock {
  nowMs(): number;
}
