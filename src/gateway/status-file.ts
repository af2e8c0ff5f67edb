/**
 * Status of a gateway as a small file beside its outbox, because LevelDB lets only one process
 * in. It is replaced as a whole, so a reader never sees half of it.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { LedgerError } from "../base/errors.ts";

const Count = z.int().min(0);

/** Schema of the status file. */
export const GatewayStatus = z.object({
  gateway: z.string(),
  meter: z.string(),
  /** `running` with a live process, `complete` when all is final, else why it stopped. */
  state: z.string(),
  processId: Count,
  updatedAtMs: Count,
  queued: Count,
  inFlight: Count,
  final: Count,
  refused: Count,
  /** First refused readings with the code of the refusal. */
  refusals: z.array(
    z.object({ reading: z.array(z.union([z.string(), z.number()])), code: z.string() }),
  ),
  lastError: z.string().nullable(),
  nodes: z.array(z.object({ url: z.string(), failures: Count, lastError: z.string().nullable() })),
});

/** What a gateway says of itself. */
export type GatewayStatus = z.infer<typeof GatewayStatus>;

const fileName = "status.json";

/** Replaces the status file of a gateway's directory. */
export function writeStatus(directory: string, status: GatewayStatus): void {
  mkdirSync(directory, { recursive: true });
  const file = join(directory, fileName);
  writeFileSync(`${file}.new`, `${JSON.stringify(status, null, 2)}\n`);
  renameSync(`${file}.new`, file);
}

/** Reads the status of a gateway. @throws {LedgerError} FILE_UNREADABLE */
export function readStatus(directory: string): GatewayStatus {
  const file = join(directory, fileName);
  try {
    return GatewayStatus.parse(JSON.parse(readFileSync(file, "utf8")));
  } catch (cause) {
    const reason = (cause as NodeJS.ErrnoException).code ?? "not a status file";
    throw new LedgerError("FILE_UNREADABLE", { file, reason }, { cause });
  }
}
