/** Where a node writes what it must not lose, and how much room is left there. */
import { statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { limits } from "../base/limits.ts";
import type { NodeConfig } from "./config.ts";
import { signingRecordPath } from "./key-file.ts";
import type { StoragePlace } from "./storage-gate.ts";

/** Returns the places of a node's ledger and, if it votes, of its signing record. */
export function storagePlaces(config: NodeConfig): StoragePlace[] {
  const record = signingRecordOf(config);
  const ledger = placeOf(config.ledgerDirectory, limits.storageRoomBytesMin);
  if (record === undefined) return [ledger];
  return [ledger, placeOf(dirname(record), limits.recordRoomBytesMin)];
}

/** Returns where the signing record of a node is; `undefined` for one that does not vote. */
export function signingRecordOf(config: NodeConfig): string | undefined {
  const { validatorKeyFile, signingRecordFile } = config;
  if (validatorKeyFile === undefined) return undefined;
  return signingRecordFile ?? signingRecordPath(validatorKeyFile);
}

function placeOf(directory: string, bytesMin: number): StoragePlace {
  return { directory, bytesMin, freeBytes: () => freeBytes(directory) };
}

async function freeBytes(directory: string): Promise<number> {
  const { bavail, bsize } = await statfs(directory);
  return bavail * bsize;
}
