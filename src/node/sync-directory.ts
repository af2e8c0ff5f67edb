/** Makes names last: a file that was synced may yet be lost with the name that leads to it. */
import { open } from "node:fs/promises";

/** Returns once what was created, renamed or removed in a directory survives a power cut. */
export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
