/**
 * Reading of files that hold secrets: refused when anyone but the owner has a right to them, as
 * keys left readable were how other ledgers lost theirs.
 */
import { type FileHandle, open } from "node:fs/promises";
import { LedgerError } from "../base/errors.ts";

/**
 * Reads a text file of mode 0600 or less.
 *
 * @throws {LedgerError} FILE_UNREADABLE, KEY_FILE_MODE, or KEY_FILE_INVALID when it is too large.
 */
export async function readPrivateFile(file: string, bytesMax: number): Promise<string> {
  const handle = await openFile(file);
  try {
    // The open file is asked, not its name: between two looks at a name the file may change.
    const found = await handle.stat();
    const { mode, size } = found;
    if (found.isDirectory()) throw new LedgerError("FILE_UNREADABLE", { file, reason: "EISDIR" });
    // Windows has no such bits; there the directory's access list must do.
    if (process.platform !== "win32" && (mode & 0o077) !== 0)
      throw new LedgerError("KEY_FILE_MODE", { file, mode: (mode & 0o777).toString(8) });
    if (size > bytesMax)
      throw new LedgerError("KEY_FILE_INVALID", { file, reason: `longer than ${bytesMax} bytes` });
    return await handle.readFile("utf8");
  } finally {
    await handle.close();
  }
}

async function openFile(file: string): Promise<FileHandle> {
  try {
    return await open(file, "r");
  } catch (cause) {
    const reason = (cause as NodeJS.ErrnoException).code ?? "unknown";
    throw new LedgerError("FILE_UNREADABLE", { file, reason }, { cause });
  }
}
