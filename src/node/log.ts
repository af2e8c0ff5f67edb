/** Structured logging of a node, one JSON object a line on stderr. */
import pino from "pino";
import type { Log } from "../base/log.ts";

/** Makes the node's logger. Keys and passphrases are never passed to it. */
export function nodeLog(name: string, level: string): Log {
  return pino({ name, level, base: { name } }, pino.destination({ dest: 2, sync: true }));
}
