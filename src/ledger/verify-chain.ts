/**
 * Checks the whole chain of a stopped node offline: files, checksums, links, signatures,
 * certificates, roots, and execution from the genesis on; then that receipts, index, state and
 * history on disk are just what follows. It changes nothing and never throws on damage.
 *
 * What it cannot see: whether the chain once was longer. Records that were cut off without a trace
 * (a copy of last week, a log cut between two batches) leave a shorter valid chain. Hence `expect`:
 * a height and block hash known from elsewhere, such as another node or a receipt.
 *
 * The parts: level-files.ts (bytes of the files), this file (records and verdict),
 * verify-walk.ts (blocks in order, execution, comparison).
 *
 * Of a pruned store, or one that began with a snapshot, the certified base is checked instead of
 * what lies below it, and the verdict says so.
 */
import { LedgerError } from "../base/errors.ts";
import { type Base, readBase } from "./base-record.ts";
import { BlockStore, decodePlace } from "./block-store.ts";
import { type Database, entriesOf } from "./database.ts";
import { openDatabaseCopy } from "./database-copy.ts";
import { checkLevelFiles } from "./level-files.ts";
import {
  decodeRecord,
  derivedFamilies,
  type Family,
  familyRange,
  heightOfKey,
  recordKeys,
} from "./records.ts";
import {
  type ChainVerdict,
  ProblemList,
  type RecordScan,
  reasonOf,
  type VerifyOptions,
  type WalkResult,
} from "./verify-types.ts";
import { walkChain } from "./verify-walk.ts";

const families: readonly Family[] = ["m", "b", "c", "k", ...derivedFamilies];

/**
 * Verifies a chain.
 *
 * @throws {LedgerError} LEDGER_STORE_MISSING, LEDGER_STORE_LOCKED; node faults of
 *   `execute`. Damage is never thrown but part of the verdict.
 */
export async function verifyChain(options: VerifyOptions): Promise<ChainVerdict> {
  const problems = new ProblemList();
  const { directory } = options;
  if (directory === undefined)
    return verifyDatabase(options, options.database as Database, problems);
  const copy = await openDatabaseCopy(directory).catch((error: unknown) => {
    if (error instanceof LedgerError && error.code === "LEDGER_STORE_UNREADABLE") return error;
    throw error;
  });
  try {
    await verifyFiles(directory, options, problems);
    if (!(copy instanceof LedgerError))
      return await verifyDatabase(options, copy.database, problems);
    problems.add("store", `LevelDB cannot open it: ${copy.facts.reason}`);
    const nothing = { validHeight: -1, hashes: [], transactionCount: 0 };
    return verdictOf(options, problems, { ...nothing, baseHeight: 0 });
  } finally {
    if (!(copy instanceof LedgerError)) await copy.close();
  }
}

async function verifyFiles(
  directory: string,
  { onProgress }: VerifyOptions,
  problems: ProblemList,
): Promise<void> {
  onProgress?.({ stage: "files", done: 0, total: undefined });
  for (const { file, offset, reason } of await checkLevelFiles(directory))
    problems.add("file", `${file}, from byte ${offset} on: ${reason}`);
}

async function verifyDatabase(
  options: VerifyOptions,
  database: Database,
  problems: ProblemList,
): Promise<ChainVerdict> {
  const scan = await scanRecords(options, database, problems);
  const walked = await walkChain({ ...options, database }, scan, problems);
  return verdictOf(options, problems, { ...walked, baseHeight: scan.base?.height ?? 0 });
}

/** Checks the checksum of every record, and finds the end of the chain. */
async function scanRecords(
  { onProgress }: VerifyOptions,
  database: Database,
  problems: ProblemList,
): Promise<RecordScan> {
  const counts = new Map<Family, number>();
  const base = await readBase(database).catch((error: unknown) => {
    problems.add("base", reasonOf(error));
    return undefined;
  });
  const mark = await database.get(recordKeys.pruning).catch((error: unknown) => {
    problems.add("store", reasonOf(error));
    return undefined;
  });
  const isPruning = mark !== undefined;
  let greatest = -1;
  let done = 0;
  const scanFamily = async (family: Family) => {
    for await (const [key, record] of entriesOf(database, familyRange(family))) {
      const payload = checkedRecord(key, record, problems);
      if (isPruning && isBelow(base, key, payload)) continue;
      counts.set(family, (counts.get(family) ?? 0) + 1);
      if (key === recordKeys.rebuilding)
        problems.add("store", "the node marked it for repair at its next start");
      if (family === "b") greatest = Math.max(greatest, heightOfKey(key) ?? -1);
      done += 1;
      if (done % 10_000 === 0) onProgress?.({ stage: "records", done, total: undefined });
    }
  };
  for (const family of families)
    await scanFamily(family).catch((error: unknown) =>
      problems.add("store", `LevelDB cannot list ${family}/: ${reasonOf(error)}`),
    );
  const tip = await new BlockStore(database).readTip().catch((error: unknown) => {
    problems.add("tip", reasonOf(error));
    return undefined;
  });
  if (tip === undefined) problems.add("tip", "the tip record is missing or damaged");
  return { tip, base, isPruning, greatest, counts };
}

function checkedRecord(
  key: string,
  record: Uint8Array,
  problems: ProblemList,
): Uint8Array | undefined {
  try {
    return decodeRecord(key, record);
  } catch {
    problems.add("record", `${printable(key)} does not have its checksum`, heightOfKey(key));
    return undefined;
  }
}

/** Tells whether a record is one that a pruning under way will come to, or keep as it is. */
function isBelow(base: Base | undefined, key: string, payload: Uint8Array | undefined): boolean {
  if (base === undefined || payload === undefined) return false;
  if (key.startsWith("t/")) return decodePlace(payload).height <= base.height;
  const height = heightOfKey(key);
  if (height === undefined || key.startsWith("s/") || key.startsWith("k/")) return false;
  return height <= base.height && (height > 0 || key.startsWith("h/") || key.startsWith("u/"));
}

function verdictOf(
  { expect }: VerifyOptions,
  problems: ProblemList,
  walked: WalkResult & { readonly baseHeight: number },
): ChainVerdict {
  const { validHeight, hashes, transactionCount, baseHeight } = walked;
  const found = expect === undefined ? undefined : hashes[expect.height];
  if (expect !== undefined && found !== expect.hash) {
    const is = found === undefined ? "is not among the valid blocks" : `is ${found}`;
    problems.add("expectation", `expected block ${expect.hash}; it ${is}`, expect.height);
  }
  const { count: problemCount, firstBadHeight } = problems;
  const isValid = problemCount === 0;
  const end =
    expect === undefined ? "cannot know whether more existed" : "the expected block is in it";
  const first = problems.sorted.find(({ height }) => height === firstBadHeight);
  return {
    isValid,
    baseHeight,
    validHeight,
    validHash: hashes[validHeight],
    firstBadHeight,
    problems: problems.sorted,
    problemCount,
    transactionCount,
    summary: isValid
      ? `${validFrom(baseHeight)} up to ${validHeight}; ${end}`
      : `damaged at ${firstBadHeight === undefined ? "an unknown height" : `height ${firstBadHeight}`}: ${first?.what}: ${first?.detail}`,
  };
}

function validFrom(baseHeight: number): string {
  if (baseHeight === 0) return "valid";
  return `verified from the certified snapshot at ${baseHeight}, what lies before is not here; valid`;
}

/** Damaged keys may hold anything; what goes to a terminal may not. */
function printable(key: string): string {
  return JSON.stringify(key.length > 300 ? `${key.slice(0, 300)}...` : key);
}
