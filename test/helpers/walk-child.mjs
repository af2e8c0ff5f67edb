/**
 * Lets LevelDB read databases in every direction and write them anew, one after the other, and says
 * so after each: damaged tables may end its process, which is what a test wants to see.
 *
 * Arguments: directories. Prints a line for each that it came through.
 */
import { writeSync } from "node:fs";
import { Level } from "level";

for (const directory of process.argv.slice(2)) {
  const database = new Level(directory, { createIfMissing: false });
  for (const step of [open, walk, walkBack, seek, compact]) await step(database).catch(() => {});
  await database.close().catch(() => {});
  // At once: what is buffered would be lost with the process.
  writeSync(1, `${directory}\n`);
}

function open(database) {
  return database.open();
}

async function walk(database) {
  await database.iterator().all();
}

async function walkBack(database) {
  await database.iterator({ reverse: true }).all();
}

async function seek(database) {
  for (let first = 0; first < 300; first += 7)
    await database
      .iterator({ gte: `reading/${first}`, limit: 2 })
      .all()
      .catch(() => {});
}

async function compact(database) {
  await database.compactRange("", "~");
}
