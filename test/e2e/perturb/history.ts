/**
 * What clients did and were told, in the order they learnt it. Only appended to: the audit holds
 * the chains to it, so nothing here may be corrected afterwards.
 */
import { writeFileSync } from "node:fs";
import type { Hash } from "../../../src/base/hash.ts";

/** One thing that a client, or who perturbs, knows for certain. Nodes are indexes. */
export type Entry =
  | {
      readonly kind: "signed";
      readonly id: Hash;
      readonly sender: string;
      readonly nonce: number;
      readonly expiresAtMs: number;
    }
  /** Bytes went out to a node; whether they arrived is not known. */
  | { readonly kind: "sent"; readonly id: Hash; readonly node: number }
  /** The node took them: it holds them in memory. */
  | { readonly kind: "accepted"; readonly id: Hash; readonly node: number }
  | { readonly kind: "refused"; readonly id: Hash; readonly node: number; readonly code: string }
  /** The node says that it can never become final. */
  | { readonly kind: "dropped"; readonly id: Hash; readonly node: number; readonly code: string }
  /** The node says that it is final; the block's hash is known once it has proven it. */
  | {
      readonly kind: "final";
      readonly id: Hash;
      readonly node: number;
      readonly height: number;
      readonly index: number;
      readonly blockHash?: Hash;
      readonly outcome: string;
    }
  /** The node calls it final and presents a proof that does not hold. */
  | { readonly kind: "unproven"; readonly id: Hash; readonly node: number; readonly text: string }
  /** A node's word about its tip. */
  | {
      readonly kind: "tip";
      readonly node: number;
      readonly height: number;
      readonly hash: Hash;
      readonly stateRoot: Hash;
    }
  /** A process ended by a signal: its memory is gone. */
  | { readonly kind: "ended"; readonly node: number }
  | { readonly kind: "wiped"; readonly node: number }
  | { readonly kind: "noted"; readonly text: string };

/** An entry with the time it was learnt. */
export type TimedEntry = Entry & { readonly atMs: number };

/** The history of one run. */
export class History {
  readonly #entries: TimedEntry[] = [];
  readonly #endings = new Map<number, number>();
  readonly #startMs = performance.now();

  get entries(): readonly TimedEntry[] {
    return this.#entries;
  }

  /** Milliseconds since the beginning. */
  get nowMs(): number {
    return Math.round(performance.now() - this.#startMs);
  }

  /** How often a node's process was ended so far. */
  endingsOf(node: number): number {
    return this.#endings.get(node) ?? 0;
  }

  append(entry: Entry): void {
    if (entry.kind === "ended") this.#endings.set(entry.node, this.endingsOf(entry.node) + 1);
    this.#entries.push({ atMs: this.nowMs, ...entry });
  }

  /** Writes it for people: one JSON object a line. */
  write(file: string): void {
    writeFileSync(file, this.#entries.map((entry) => `${JSON.stringify(entry)}\n`).join(""));
  }
}
