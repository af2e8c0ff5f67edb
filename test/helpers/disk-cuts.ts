/**
 * What a kill leaves of a LevelDB: mixtures of its files before and after a step, in the order in
 * which LevelDB writes them.
 *
 * | step | order |
 * |---|---|
 * | append | record at the end of the log; when the log is full, a new log first |
 * | new table | whole table, then a record at the end of the manifest, then the old log is deleted |
 * | opening | table of the old log, new log, new manifest, CURRENT, then the old files are deleted |
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Random } from "../sim/random.ts";

/** Files by name with their bytes. */
export type FileSet = ReadonlyMap<string, Buffer>;

/** Files as a kill may leave them. */
export type Cut = {
  readonly kind: "log" | "table" | "manifest" | "opening";
  readonly name: string;
  readonly files: FileSet;
  /** Whether the step's block is in them; `undefined` when both is right. */
  readonly isWhole: boolean | undefined;
};

const isData = (file: string) => /^(\d+\.(ldb|log)|MANIFEST-\d+|CURRENT)$/.test(file);

/**
 * Takes all files of an open LevelDB at one moment: none changes meanwhile, and what was in a full
 * log is in its table. Only when LevelDB merges tables is up to its own thread then.
 */
export async function takeFiles(directory: string): Promise<FileSet> {
  for (;;) {
    const first = await readAll(directory);
    const second = await readAll(directory);
    const isSame =
      [...second.keys()].filter((name) => name.endsWith(".log")).length === 1 &&
      first.size === second.size &&
      [...first].every(([name, bytes]) => second.get(name)?.equals(bytes) === true);
    if (isSame) return first;
  }
}

async function readAll(directory: string): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>();
  for (const name of (await readdir(directory)).filter(isData).sort()) {
    const bytes = await readFile(join(directory, name)).catch(() => undefined);
    if (bytes !== undefined) files.set(name, bytes);
  }
  return files;
}

/** Writes files into a new directory. */
export function placeFiles(directory: string, files: FileSet): void {
  mkdirSync(directory);
  for (const [name, bytes] of files) writeFileSync(join(directory, name), bytes);
}

/** Draws a cut of the step between two moments. */
export function cutBetween(before: FileSet, after: FileSet, random: Random): Cut {
  const isOpening = manifestOf(before) !== manifestOf(after);
  return isOpening ? cutOfOpening(before, after, random) : cutOfAppend(before, after, random);
}

function cutOfAppend(before: FileSet, after: FileSet, random: Random): Cut {
  const manifest = manifestOf(after);
  const grown = [...after.keys()].filter(
    (name) => name.endsWith(".log") && after.get(name)?.length !== before.get(name)?.length,
  );
  const log = grown.at(-1) as string;
  const tables = [...after.keys()].filter((name) => name.endsWith(".ldb") && !before.has(name));
  const hasTable = after.get(manifest)?.length !== before.get(manifest)?.length;
  const files = new Map(before);
  const [old, whole] = [before.get(log) ?? Buffer.alloc(0), after.get(log) as Buffer];
  // When tables went, too, others may have come and gone in between: those are not known here.
  const hasMerged = [...before.keys()].some((name) => name.endsWith(".ldb") && !after.has(name));
  const stage = hasTable && !hasMerged ? random.below(3) : 0;
  if (stage === 0) {
    const length = cutLength(old.length, whole, random);
    files.set(log, whole.subarray(0, length));
    const isWhole = length === whole.length;
    return { kind: "log", name: `${log} ${length}/${whole.length}`, files, isWhole };
  }
  files.set(log, whole);
  for (const [index, name] of tables.entries()) {
    const table = after.get(name) as Buffer;
    const isLast = index === tables.length - 1;
    const length = stage === 1 && isLast ? random.below(table.length + 1) : table.length;
    files.set(name, table.subarray(0, length));
    if (stage === 1 && isLast)
      return { kind: "table", name: `${name} ${length}/${table.length}`, files, isWhole: true };
  }
  const grownManifest = after.get(manifest) as Buffer;
  const length = cutLength((before.get(manifest) as Buffer).length, grownManifest, random);
  files.set(manifest, grownManifest.subarray(0, length));
  const name = `${manifest} ${length}/${grownManifest.length}`;
  return { kind: "manifest", name, files, isWhole: true };
}

function cutOfOpening(before: FileSet, after: FileSet, random: Random): Cut {
  const files = new Map(before);
  const news = [...after.keys()].filter((name) => !before.has(name));
  const order = [".ldb", ".log", "MANIFEST"].flatMap((kind) =>
    news.filter((name) => name.includes(kind)),
  );
  const stop = random.below(order.length + 2);
  for (const [index, name] of order.entries()) {
    if (index > stop) break;
    const bytes = after.get(name) as Buffer;
    files.set(name, index === stop ? bytes.subarray(0, random.below(bytes.length + 1)) : bytes);
  }
  if (stop >= order.length) files.set("CURRENT", after.get("CURRENT") as Buffer);
  if (stop > order.length)
    for (const name of before.keys()) if (!after.has(name)) files.delete(name);
  return { kind: "opening", name: `${stop} of ${order.join(" ")}`, files, isWhole: undefined };
}

/** A length at a boundary of the log's blocks of 32 KiB and heads, or anywhere. */
function cutLength(from: number, whole: Buffer, random: Random): number {
  const boundaries = [from, from + 1, from + 7, from + 8, whole.length - 1, whole.length];
  for (let block = 32_768; block < whole.length; block += 32_768)
    if (block > from) boundaries.push(block - 1, block, block + 7);
  const fitting = boundaries.filter((length) => length >= from && length <= whole.length);
  if (random.chance(0.4)) return fitting[random.below(fitting.length)] as number;
  return from + random.below(whole.length - from + 1);
}

function manifestOf(files: FileSet): string {
  return (files.get("CURRENT") as Buffer).toString("latin1").trimEnd();
}
