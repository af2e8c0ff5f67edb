/**
 * Child process of the kill test at write boundaries. It opens the store in `directory`, repairing
 * it if need be, and writes a signing record and a block in turn until it kills itself when it is
 * at a boundary of a kind for the `killAt`-th time. What was acknowledged it says on stdout first.
 */
import { writeSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { silentLog } from "../../src/base/log.ts";
import { type Database, openDatabase } from "../../src/ledger/database.ts";
import { openRepaired } from "../../src/ledger/repair.ts";
import { SigningRecordFile } from "../../src/node/signing-record-file.ts";
import { executeToys, testGenesis } from "./chain.ts";
import { type Boundary, loadBlocks, signingPayload, writeBufferBytes } from "./disk-chain.ts";

const [directory, record, blocks, killKind, killText, cutText] = process.argv.slice(2) as string[];
const killAt = Number(killText);
/** How much of a record's write is done when the kill falls into it, as a share. */
const cut = Number(cutText);
let passed = 0;

function isKill(kind: Boundary): boolean {
  if (kind === killKind) passed += 1;
  return kind === killKind && passed === killAt;
}

function killHere(kind: Boundary): void {
  if (isKill(kind)) process.kill(process.pid, "SIGKILL");
}

function withBoundaries(inner: Database): Database {
  return {
    get: (key) => inner.get(key),
    getSync: (key) => inner.getSync(key),
    keys: (range) => inner.keys(range),
    iterator: (range) => inner.iterator(range),
    close: () => inner.close(),
    batch: async (operations, options) => {
      killHere("before batch");
      await inner.batch(operations, options);
      killHere("after batch");
    },
  };
}

/** All files of this process are slots of the record: LevelDB writes its own natively. */
async function cutFileWrites(probe: string): Promise<void> {
  const handle = await open(probe, "w");
  const prototype = Object.getPrototypeOf(handle);
  await handle.close();
  const write = prototype.write as (...args: unknown[]) => Promise<unknown>;
  const datasync = prototype.datasync as () => Promise<void>;
  prototype.write = async function (this: FileHandle, ...args: unknown[]) {
    killHere("before record");
    const [bytes, offset, length, position] = args as [Uint8Array, number, number, number];
    if (isKill("within record")) {
      // Whole sectors, as kernel and disk write them.
      const part = 512 * Math.floor((cut * length) / 512);
      await write.call(this, bytes, offset, part, position);
      process.kill(process.pid, "SIGKILL");
    }
    return write.call(this, ...args);
  };
  prototype.datasync = async function (this: FileHandle) {
    killHere("before sync");
    await datasync.call(this);
    killHere("after sync");
  };
}

await cutFileWrites(`${record}.probe`);
const database = withBoundaries(await openDatabase(directory as string, { writeBufferBytes }));
const options = { genesis: testGenesis(), log: silentLog, execute: executeToys };
const store = await openRepaired({ database, ...options });
const { file } = await SigningRecordFile.open(record as string);
writeSync(1, `block ${store.tip.height}\n`);
const inputs = loadBlocks(blocks as string);
for (const input of inputs.slice(store.tip.height)) {
  const { height } = input.block.header;
  await file.write(signingPayload(height));
  writeSync(1, `record ${height}\n`);
  await store.append(input);
  writeSync(1, `block ${height}\n`);
}
