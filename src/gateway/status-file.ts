/**
 * Status of a gateway as a small file beside its outbox, because LevelDB lets only one process
 * in. It is replaced as a whole, so a reader never sees half of it. It is a report, not a record:
 * what counts is in the outbox, and a status that cannot be written stops nothing.
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
  /** `running`, `complete` when all is final or refused, `killed`, else why it stopped. */
  state: z.string(),
  processId: Count,
  updatedAtMs: Count,
  /** Readings that wait to be signed. */
  queued: Count,
  /** Readings in signed transactions that are not final yet. */
  inFlight: Count,
  final: Count,
  refused: Count,
  /** When the oldest reading that waits was accepted, UTC milliseconds; null when none waits. */
  oldestAcceptedAtMs: Count.nullable(),
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

/**
 * Reads the status of a gateway, running or not. One that runs no more without having said so was
 * killed; start it again and it goes on.
 *
 * @throws {LedgerError} FILE_UNREADABLE
 */
export function readStatus(directory: string): GatewayStatus {
  const file = join(directory, fileName);
  try {
    const status = GatewayStatus.parse(JSON.parse(readFileSync(file, "utf8")));
    const isKilled = status.state === "running" && !isAlive(status.processId);
    return isKilled ? { ...status, state: "killed" } : status;
  } catch (cause) {
    const reason = (cause as NodeJS.ErrnoException).code ?? "not a status file";
    throw new LedgerError("FILE_UNREADABLE", { file, reason }, { cause });
  }
}

function isAlive(processId: number): boolean {
  try {
    return process.kill(processId, 0);
  } catch (error) {
    // It lives, but belongs to somebody else.
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** What a gateway knows of itself but for state, process and time. */
type StatusFacts = Omit<GatewayStatus, "state" | "processId" | "updatedAtMs">;

/** Writes statuses one after the other, so that the last one asked for is the one that stays. */
export class StatusWriter {
  readonly #collect: () => Promise<StatusFacts>;
  readonly #directory: string;
  #turn: Promise<void> = Promise.resolve();

  constructor(directory: string, collect: () => Promise<StatusFacts>) {
    this.#directory = directory;
    this.#collect = collect;
  }

  /** Writes the status with a state. Never rejects: a full disk is met by the outbox as well. */
  write(state: string): Promise<void> {
    this.#turn = this.#turn.then(async () => {
      const facts = await this.#collect();
      const now = { processId: process.pid, updatedAtMs: Date.now() };
      writeStatus(this.#directory, { ...facts, ...now, state });
    });
    this.#turn = this.#turn.catch(() => undefined);
    return this.#turn;
  }
}
