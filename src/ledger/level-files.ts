/**
 * Checks the files of a LevelDB at rest, byte by byte, without LevelDB: its own reads do not verify
 * block checksums, and on opening it drops damaged stretches of a log in silence.
 *
 * | file | what is checked | a flipped byte is found |
 * |---|---|---|
 * | `*.log`, `MANIFEST-*` | checksum, length and order of every fragment, zero padding | everywhere |
 * | `*.ldb`, `*.sst` that the manifest names | see level-table.ts | everywhere |
 * | `CURRENT` | one line that names a manifest that is there | everywhere |
 * | `LOCK`, `LOG`, `LOG.old` | nothing: empty, and text for people | no; they hold no data |
 *
 * A log that ends within a fragment is reported, too: after a power cut LevelDB drops that rest at
 * the next start, but a damaged length looks the same. What cannot be seen here: a log that was cut
 * exactly between two batches. It then simply holds fewer batches.
 *
 * Source of the formats: LevelDB 1.20, doc/log_format.md and doc/table_format.md.
 */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { maskedCrc32c } from "./crc32c.ts";
import { liveTables } from "./level-manifest.ts";
import { isFinished, isWalkable, tableProblem } from "./level-table.ts";

/** A place in a file that is not as LevelDB wrote it. */
export type FileProblem = {
  readonly file: string;
  /** Offset of the damaged piece in the file; the flipped byte is in it. */
  readonly offset: number;
  readonly reason: string;
};

const tableName = /^\d+\.(ldb|sst)$/;
const logBlockBytes = 32 * 1024;
const headBytes = 7;

const tornReason = "it ends within a batch: a power cut, or damage";

/** Kinds of log fragments: a record is `full`, or `first`, any number of `middle`, and `last`. */
const full = 1;
const first = 2;
const middle = 3;
const last = 4;

/** Checks all files of a directory; gives at most one problem a file. */
export async function checkLevelFiles(directory: string): Promise<FileProblem[]> {
  const files = (await readdir(directory)).sort();
  const unused = await unusedTables(directory, files);
  const problems: FileProblem[] = [];
  for (const file of files) {
    if (unused.has(file)) continue;
    const problem = await fileProblem(directory, file, files);
    if (problem !== undefined) problems.push({ file, ...problem });
  }
  return problems;
}

/**
 * Checks the tables that LevelDB finished writing, which a kill never damages. LevelDB itself does
 * not verify their checksums when it reads and may end the whole process over what it finds then.
 */
export async function damagedTables(directory: string): Promise<FileProblem[]> {
  const problems: FileProblem[] = [];
  for (const file of (await readdir(directory)).sort()) {
    if (!tableName.test(file)) continue;
    const bytes = await readFile(join(directory, file));
    const problem = isFinished(bytes) ? tableProblem(bytes) : undefined;
    if (problem !== undefined) problems.push({ file, ...problem });
  }
  return problems;
}

/**
 * Checks the logs, of which LevelDB drops damaged stretches in silence. That the newest one ends
 * within a batch, or in zeros, is what a kill or power cut may leave, and no problem here: what it
 * lost came last.
 */
export async function damagedLogs(directory: string): Promise<FileProblem[]> {
  const problems: FileProblem[] = [];
  const logs = (await readdir(directory)).filter((file) => /^\d+\.log$/.test(file)).sort();
  for (const file of logs) {
    const bytes = await readFile(join(directory, file));
    const problem = logProblem(bytes);
    if (problem === undefined || (file === logs.at(-1) && isEnd(problem, bytes))) continue;
    problems.push({ file, ...problem });
  }
  return problems;
}

function isEnd({ offset, reason }: Problem, bytes: Buffer): boolean {
  return reason === tornReason || bytes.subarray(offset).every((byte) => byte === 0);
}

/**
 * Names the tables that no manifest in use names: no data is in them, and a process that ended in
 * the middle of making one leaves it unfinished. Where the manifest is damaged, all count as used.
 */
async function unusedTables(
  directory: string,
  files: readonly string[],
): Promise<ReadonlySet<string>> {
  const none = new Set<string>();
  if (!files.includes("CURRENT")) return none;
  const name = (await readFile(join(directory, "CURRENT"), "latin1")).trimEnd();
  if (!files.includes(name)) return none;
  const manifest = await readFile(join(directory, name));
  const live = logProblem(manifest) === undefined ? liveTables(manifest) : undefined;
  if (live === undefined) return none;
  const isUnused = (file: string) => tableName.test(file) && !live.has(Number.parseInt(file, 10));
  return new Set(files.filter(isUnused));
}

/** Names the finished tables over which LevelDB may end the process, see `isWalkable`. */
export async function fatalTables(directory: string): Promise<string[]> {
  const names: string[] = [];
  for (const { file } of await damagedTables(directory))
    if (!isWalkable(await readFile(join(directory, file)))) names.push(file);
  return names;
}

type Problem = Omit<FileProblem, "file">;

async function fileProblem(
  directory: string,
  file: string,
  files: readonly string[],
): Promise<Problem | undefined> {
  if (/^(\d+\.log|MANIFEST-\d+)$/.test(file))
    return logProblem(await readFile(join(directory, file)));
  if (tableName.test(file)) return tableProblem(await readFile(join(directory, file)));
  if (file !== "CURRENT") return undefined;
  const text = await readFile(join(directory, file), "latin1");
  if (/^MANIFEST-\d+\n$/.test(text) && files.includes(text.trimEnd())) return undefined;
  return { offset: 0, reason: "it names no manifest" };
}

/** Returns what is wrong with the bytes of a log, `undefined` when nothing is. */
export function logProblem(bytes: Buffer): Problem | undefined {
  let isWithin = false;
  let offset = 0;
  while (offset < bytes.length) {
    const blockRest = logBlockBytes - (offset % logBlockBytes);
    if (blockRest < headBytes) {
      const padding = bytes.subarray(offset, offset + blockRest);
      if (padding.some((byte) => byte !== 0)) return { offset, reason: "padding is not zero" };
      offset += blockRest;
      continue;
    }
    if (bytes.length - offset < headBytes) return torn(offset);
    const length = bytes.readUInt16LE(offset + 4);
    const type = bytes.readUInt8(offset + 6);
    const end = offset + headBytes + length;
    if (headBytes + length > blockRest) return { offset, reason: "a fragment leaves its block" };
    if (end > bytes.length) return torn(offset);
    if (bytes.readUInt32LE(offset) !== maskedCrc32c(bytes.subarray(offset + 6, end)))
      return { offset, reason: "a fragment does not have its checksum" };
    if (type < full || type > last || isWithin !== (type === middle || type === last))
      return { offset, reason: "a fragment is out of order" };
    isWithin = type === first || type === middle;
    offset = end;
  }
  return isWithin ? torn(offset) : undefined;
}

function torn(offset: number): Problem {
  return { offset, reason: tornReason };
}
