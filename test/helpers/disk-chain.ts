/** A chain whose blocks write enough for LevelDB to make tables all the time. */
import { readFileSync, writeFileSync } from "node:fs";
import { deserialize, serialize } from "node:v8";
import type { AppendInput } from "../../src/ledger/types.ts";
import { TestChain, type ToyChanges, testGenesis } from "./chain.ts";

/** LevelDB takes no less: it makes a table of every few blocks then. */
export const writeBufferBytes = 64 * 1024;
const keysPerBlock = 60;

/** Where a child process can end itself: around a batch, and in the write of a signing record. */
export const boundaries = [
  ...(["before batch", "after batch"] as const),
  ...(["before record", "within record", "before sync", "after sync"] as const),
];

/** One of them. */
export type Boundary = (typeof boundaries)[number];

/** Makes the blocks of the chain of `testGenesis()`, from height 1 on. */
export async function diskBlocks(count: number): Promise<AppendInput[]> {
  const chain = new TestChain(testGenesis());
  const inputs: AppendInput[] = [];
  for (let height = 1; height <= count; height += 1) {
    const changes: Record<string, number> = {};
    for (let key = 0; key < keysPerBlock; key += 1)
      changes[`toy/${(height * 7 + key) % 150}`] = height * 1_000 + key;
    inputs.push(await chain.next([changes satisfies ToyChanges]));
  }
  return inputs;
}

/**
 * What a child process writes as its signing record before it appends a block: every sector of it
 * differs from that of any other height, and so does the length.
 */
export function signingPayload(height: number): Uint8Array {
  return Uint8Array.from({ length: 4_000 + height }, (_, index) => height * 7 + (index >> 4));
}

/** Writes blocks for a child process. */
export function saveBlocks(file: string, inputs: readonly AppendInput[]): void {
  writeFileSync(file, serialize(inputs));
}

/** Reads what `saveBlocks` wrote. */
export function loadBlocks(file: string): AppendInput[] {
  return deserialize(readFileSync(file));
}
