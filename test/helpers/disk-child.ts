/**
 * Child process of the kill test at write boundaries. It opens the store in `directory`, repairing
 * it if need be, and writes a signing record and a block in turn until it kills itself at the
 * boundary with number `killAt`: before or after a batch, or before, within and after the write of
 * a signing record, before its sync and after it. What was acknowledged it says on stdout first.
 */
import { writeSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { silentLog } from "../../src/base/log.ts";
import { type Database, openDatabase } from "../../src/ledger/database.ts";
import { openRepaired } from "../../src/ledger/repair.ts";
import { SigningRecordFile } from "../../src/node/signing-record-file.ts";
import { executeToys, testGenesis } from "./chain.ts";
import { loadBlocks, writeBufferBytes } from "./disk-chain.ts";

const [directory, record, blocks, killText, cutText] = process.argv.slice(2) as string[];
const killAt = Number(killText);
/** How much of a record's write is done when the kill falls into it, as a share. */
const cut = Number(cutText);
let boundary = 0;

function isKill(): boolean {
  boundary += 1;
  return boundary === killAt;
}

function killHere(): void {
  if (isKill()) process.kill(process.pid, "SIGKILL");
}

function withBoundaries(inner: Database): Database {
  return {
    get: (key) => inner.get(key),
    getSync: (key) => inner.getSync(key),
    keys: (range) => inner.keys(range),
    iterator: (range) => inner.iterator(range),
    close: () => inner.close(),
    batch: async (operations, options) => {
      killHere();
      await inner.batch(operations, options);
      killHere();
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
    killHere();
    const [bytes, offset, length, position] = args as [Uint8Array, number, number, number];
    if (isKill()) {
      // Whole sectors, as kernel and disk write them.
      const part = 512 * Math.floor((cut * length) / 512);
      await write.call(this, bytes, offset, part, position);
      process.kill(process.pid, "SIGKILL");
    }
    return write.call(this, ...args);
  };
  prototype.datasync = async function (this: FileHandle) {
    killHere();
    await datasync.call(this);
    killHere();
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
  const payload = new Uint8Array(4_000 + height).fill(height);
  await file.write(payload);
  writeSync(1, `record ${height}\n`);
  await store.append(input);
  writeSync(1, `block ${height}\n`);
}
