/**
 * Drops the blocks of a store from a damaged one on, for peers to give again. Between the two
 * moments this may be the only place where they are, so nothing whole is deleted for good: before
 * the first record goes, all files are set aside, `<directory>.damaged-<height>-of-<top>`, as hard
 * links, which take room only as far as the ledger changes afterwards.
 *
 * Invariants:
 *
 * (1) Whole blocks go only after a complete copy of the files stands beside the ledger.
 * (2) There are at most `damagedCopiesMax` copies, and none is ever deleted here.
 * (3) A node that has nobody to fetch from drops nothing, unless its operator said so.
 */
import { existsSync } from "node:fs";
import { readdir, rename } from "node:fs/promises";
import { basename, dirname, resolve } from "node:path";
import { LedgerError } from "../base/errors.ts";
import type { GenesisBlock } from "../base/format/genesis.ts";
import { limits } from "../base/limits.ts";
import type { Log } from "../base/log.ts";
import { readBase } from "./base-record.ts";
import { BlockStore, tipOperation } from "./block-store.ts";
import { type Database, deleteRange, keysOf } from "./database.ts";
import { copyLiveFiles } from "./live-copy.ts";
import {
  familyRange,
  heightOfKey,
  rebuildingOperation,
  recordKeys,
  unlessDamaged,
} from "./records.ts";

/** How blocks are dropped. */
export type TruncateOptions = {
  readonly genesis: GenesisBlock;
  readonly log: Log;
  /** Where the files are; absent: there are none to set aside. */
  readonly directory?: string | undefined;
  /** Nobody else has the blocks. */
  readonly isAlone?: boolean | undefined;
  /** The operator asked for the repair. */
  readonly isThorough?: boolean | undefined;
};

/**
 * Drops the blocks from a height on, and those right below that are damaged as well; the last whole
 * one becomes the tip.
 *
 * @throws {LedgerError} LEDGER_REPAIR_REFUSED when that is for people to decide.
 */
export async function truncateFrom(
  database: Database,
  damagedHeight: number,
  options: TruncateOptions,
): Promise<void> {
  const { chainId } = options.genesis;
  const blocks = new BlockStore(database);
  const readWhole = (height: number) => unlessDamaged(blocks.readCertified(height));
  const base = await readBase(database);
  let height = damagedHeight;
  let kept = await readWhole(height - 1);
  while (kept === undefined && height > (base?.height ?? 0) + 1) {
    height -= 1;
    kept = await readWhole(height - 1);
  }
  const top = await topOf(database);
  if (top >= height) await beforeLoss({ height, top }, options);
  // What follows from the dropped blocks goes by a rebuild.
  await database.batch([rebuildingOperation()], { sync: true });
  // From the top down, so that a kill leaves no hole that was not there.
  await deleteRange(database, { ...familyRange("b"), gte: recordKeys.block(height) });
  await deleteRange(database, { ...familyRange("c"), gte: recordKeys.certificate(height) });
  const tip = { chainId, height: height - 1, hash: kept?.hash ?? base?.hash ?? chainId };
  await database.batch([tipOperation(tip)], { sync: true });
}

/** The greatest height that was ever here, as far as that can be told. */
async function topOf(database: Database): Promise<number> {
  let top = (await unlessDamaged(new BlockStore(database).readTip()))?.height ?? -1;
  for (const family of ["b", "c"] as const) {
    const last = { ...familyRange(family), reverse: true, limit: 1 };
    for await (const key of keysOf(database, last)) top = Math.max(top, heightOfKey(key) ?? -1);
  }
  return top;
}

type Loss = { readonly height: number; readonly top: number };

/** (3), then (1) */
async function beforeLoss(loss: Loss, options: TruncateOptions): Promise<void> {
  const { directory, log, isAlone, isThorough } = options;
  const { height, top } = loss;
  if (isAlone === true && isThorough !== true)
    throw new LedgerError("LEDGER_REPAIR_REFUSED", {
      height,
      top,
      reason: "blocks would be dropped that this node can fetch from nobody",
    });
  // The damaged one is the last: nothing whole goes.
  const copy =
    directory === undefined || top === height ? undefined : await setAside(directory, loss);
  log.warn({ from: height, top, copy }, "dropping blocks; they will be fetched from peers");
}

/** (1), (2) @returns Where the copy is. */
async function setAside(directory: string, { height, top }: Loss): Promise<string> {
  const prefix = `${resolve(directory)}.damaged-`;
  const copy = `${prefix}${height}-of-${top}`;
  // Made before a kill that came before the first record went.
  if (existsSync(copy)) return copy;
  const unfinished = `${resolve(directory)}.damaged`;
  const names = await readdir(dirname(prefix));
  if (names.filter((name) => name.startsWith(basename(prefix))).length >= limits.damagedCopiesMax)
    throw new LedgerError("LEDGER_REPAIR_REFUSED", {
      height,
      top,
      reason: `there are ${limits.damagedCopiesMax} copies of a damaged ledger already: ${prefix}*`,
    });
  await copyLiveFiles(directory, unfinished);
  await rename(unfinished, copy);
  return copy;
}
