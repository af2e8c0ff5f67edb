/** Structured logging of a node, one JSON object a line on stderr. */
import pino from "pino";
import type { Log } from "../base/log.ts";

/** Makes the node's logger. Keys and passphrases are never passed to it. */
export function nodeLog(name: string, level: string): Log {
  const destination = pino.destination({ dest: 2, sync: true });
  // A full disk under the log must not end a node whose ledger is well.
  destination.on("error", () => {});
  return pino({ name, level, base: { name } }, destination);
}
