/**
 * What the sandbox puts in place before a contract bundle is evaluated: the global `host`.
 *
 * State keys are full keys `contract/table/key`; values are canonical JSON text. A contract reads
 * every key and writes only below its own name; a view writes nothing. The host enforces both.
 */

/** The functions of the sandbox, as a contract bundle sees them. */
export type Host = {
  /** Value of a state key, or undefined. */
  get(key: string): string | undefined;
  set(key: string, valueJson: string): void;
  delete(key: string): void;
  /** JSON text of `[key, value][]`; sees the call's own changes; `limit` is at most 1000. */
  range(fromInclusive: string, toExclusive: string, reverse: boolean, limit: number): string;
  emit(topic: string, json: string): void;
  /** Reaches the test runner; a node drops it. */
  log(text: string): void;
  /** SHA-256 of bytes given as hex, as hex. */
  sha256(hex: string): string;
  /** Ed25519 verification with the ledger's acceptance set; all arguments are hex. */
  verify(publicKeyHex: string, signatureHex: string, messageHex: string): boolean;
};

/** Returns the host of the running call; looked up each time, as tests exchange it. */
export function currentHost(): Host {
  return (globalThis as unknown as { readonly host: Host }).host;
}
