/**
 * Damaged files of LevelDB at start: finds them, puts damaged tables aside, and sees to it that
 * everything that can be made anew from the blocks is made anew afterwards. It mends no record;
 * that is repair.ts.
 *
 * Invariants:
 *
 * (1) Whatever files lost records, the mark `m/rebuilding` stands before the ledger is used again,
 *     also when the process dies meanwhile: which records went nobody can tell, and most of them
 *     nobody would miss at open. `lost/unmarked` says so until the mark is on disk.
 * (2) Where nobody else has the blocks, damaged files stay as they are, and LevelDB does not see
 *     them, unless the operator said so: what goes with them may be the last blocks, and the rest
 *     would look whole.
 */
import { existsSync } from "node:fs";
import { mkdir, open, rm } from "node:fs/promises";
import { join } from "node:path";
import { LedgerError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { type Database, openDatabase, salvageDatabase, unreadable } from "./database.ts";
import { checkLevelFiles, damagedLogs, damagedTables } from "./level-files.ts";
import { rebuildingOperation } from "./records.ts";

/** The store whose files are looked at: a directory, or a database without files. */
export type SalvageOptions = {
  readonly directory?: string | undefined;
  readonly database?: Database | undefined;
  readonly log: Log;
  readonly hasCrashed?: boolean | undefined;
  readonly isThorough?: boolean | undefined;
  readonly isAlone?: boolean | undefined;
};

/**
 * Looks for damage that LevelDB passes over in silence, or over which it ends the process.
 *
 * @throws {LedgerError} LEDGER_REPAIR_REFUSED (2)
 */
export async function checkFiles(options: SalvageOptions): Promise<void> {
  const { directory, database, log, hasCrashed, isThorough } = options;
  if (isThorough === true) await database?.batch([rebuildingOperation()], { sync: true });
  if (directory === undefined || !existsSync(directory)) return;
  const files =
    isThorough === true
      ? await checkLevelFiles(directory)
      : hasCrashed === true
        ? await damagedTables(directory)
        : [];
  const logs = isThorough === true ? [] : await damagedLogs(directory);
  for (const { file, offset, reason } of [...files, ...logs])
    log.error({ file, offset, reason }, "a ledger file is damaged");
  if (files.length > 0 || logs.length > 0) refuseIfAlone(options);
  if (logs.length > 0 || isThorough === true) await askForMark(directory);
  if (files.length > 0) await salvageFiles(directory, log);
}

/**
 * Puts damaged files aside.
 *
 * @throws {LedgerError} `damage` for a database without files; LEDGER_REPAIR_REFUSED (2).
 */
export async function salvage(options: SalvageOptions, damage: LedgerError): Promise<void> {
  const { directory, log } = options;
  if (directory === undefined) throw damage;
  refuseIfAlone(options);
  await salvageFiles(directory, log);
}

/**
 * Sets the mark for a rebuild if files lost records.
 *
 * @throws {LedgerError} LEDGER_STORE_UNREADABLE: then it is still to be set.
 */
export async function markIfLost({ directory }: SalvageOptions): Promise<void> {
  if (directory === undefined || !existsSync(unmarkedFile(directory))) return;
  const database = await openDatabase(directory);
  try {
    await database.batch([rebuildingOperation()], { sync: true });
  } catch (error) {
    throw unreadable(error, directory);
  } finally {
    await database.close();
  }
  await rm(unmarkedFile(directory));
}

/** Tells whether a table is damaged so that LevelDB takes it for an error of the system. */
export async function isTableDamaged(directory: string): Promise<boolean> {
  return (await checkLevelFiles(directory)).some(({ file }) => /\.(ldb|sst)$/.test(file));
}

/** (2) */
function refuseIfAlone({ isAlone, isThorough }: SalvageOptions): void {
  if (isAlone !== true || isThorough === true) return;
  const reason = "files are damaged, and this node can fetch what is in them from nobody";
  throw new LedgerError("LEDGER_REPAIR_REFUSED", { height: null, top: null, reason });
}

async function salvageFiles(directory: string, log: Log): Promise<void> {
  await askForMark(directory);
  const lost = await salvageDatabase(directory);
  log.warn({ directory, lost: lost.join(" ") }, "salvaged what is whole of the ledger files");
}

/** (1) On disk before the first file goes. */
async function askForMark(directory: string): Promise<void> {
  await mkdir(join(directory, "lost"), { recursive: true });
  const handle = await open(unmarkedFile(directory), "w");
  await handle.sync().finally(() => handle.close());
}

function unmarkedFile(directory: string): string {
  return join(directory, "lost", "unmarked");
}
