/** What the parts of an offline verification share: options, problems and verdict. */
import type { GenesisBlock } from "../base/format/genesis.ts";
import type { Hash } from "../base/hash.ts";
import type { Verifier } from "../base/keys.ts";
import { limits } from "../base/limits.ts";
import type { Base } from "./base-record.ts";
import type { TipRecord } from "./block-store.ts";
import type { Database } from "./database.ts";
import type { Family } from "./records.ts";
import type { Execute } from "./types.ts";

/** Something that is not as it must be. */
export type ChainProblem = {
  /** Height it belongs to; `undefined` when that cannot be told. */
  readonly height: number | undefined;
  /** Kind of what is bad, such as `file`, `record`, `block`, `certificate`, `signature`, `root`. */
  readonly what: string;
  /** What exactly is bad, for people. */
  readonly detail: string;
};

/** What a verification found. */
export type ChainVerdict = {
  /** Nothing bad was found, and the expected block, if given, is in the chain. */
  readonly isValid: boolean;
  /**
   * Height of the certified snapshot that stands for all below it, which is not here; 0 when all
   * blocks from the genesis on are.
   */
  readonly baseHeight: number;
  /** Everything up to this height was re-checked and holds; -1: not even the genesis. */
  readonly validHeight: number;
  /** Hash of the block at `validHeight`. */
  readonly validHash: Hash | undefined;
  readonly firstBadHeight: number | undefined;
  /** By height, those without one first; at most `verifyProblemsMax`. */
  readonly problems: readonly ChainProblem[];
  readonly problemCount: number;
  readonly transactionCount: number;
  /** One sentence for people. */
  readonly summary: string;
};

/** How far a verification is. */
export type VerifyProgress = {
  readonly stage: "files" | "records" | "blocks";
  readonly done: number;
  /** Unknown while records are counted. */
  readonly total: number | undefined;
};

/** What is verified, and against what. */
export type VerifyOptions = {
  /** Directory of the store; the node must not be running. */
  readonly directory?: string | undefined;
  /** Instead of a directory: an open database, which stays open. */
  readonly database?: Database | undefined;
  readonly genesis: GenesisBlock;
  readonly verifier: Verifier;
  readonly execute: Execute;
  /** A block that must be in the chain. */
  readonly expect?: { readonly height: number; readonly hash: Hash } | undefined;
  readonly onProgress?: ((progress: VerifyProgress) => void) | undefined;
};

/** What the scan of all records found. */
export type RecordScan = {
  readonly tip: TipRecord | undefined;
  /** What there is no block below of; `undefined` when the chain begins with the genesis. */
  readonly base: Base | undefined;
  /** The deletion of what lies below the base has not ended: it is not counted. */
  readonly isPruning: boolean;
  /** Greatest height of any block. */
  readonly greatest: number;
  readonly counts: ReadonlyMap<Family, number>;
};

/** Collects problems, a bounded number of them, and counts the rest. */
export class ProblemList {
  readonly #problems: ChainProblem[] = [];
  #count = 0;
  #firstBadHeight: number | undefined;

  /** Number of problems added. */
  get count(): number {
    return this.#count;
  }

  /** Least height among the problems. */
  get firstBadHeight(): number | undefined {
    return this.#firstBadHeight;
  }

  /** The problems kept, by height. */
  get sorted(): ChainProblem[] {
    return this.#problems.toSorted((left, right) => (left.height ?? -1) - (right.height ?? -1));
  }

  /** Adds a problem. */
  add(what: string, detail: string, height?: number): void {
    this.#count += 1;
    if (height !== undefined && height < (this.#firstBadHeight ?? Number.POSITIVE_INFINITY))
      this.#firstBadHeight = height;
    if (this.#problems.length < limits.verifyProblemsMax)
      this.#problems.push({ height, what, detail });
  }
}

/** What the walk over the blocks gives. */
export type WalkResult = {
  /** Greatest height up to which every block holds; -1: not even the genesis. */
  readonly validHeight: number;
  /** Hashes of the blocks up to it, by height; of those below a base only what was kept. */
  readonly hashes: readonly Hash[];
  readonly transactionCount: number;
};

/** Returns the message of whatever was thrown. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
