/**
 * Kills a node at an exact moment: loaded before the program (`--import`), it counts what the
 * program does to its disk, and ends the process with SIGKILL before or after the n-th of these.
 *
 * The moment is in the file `<configuration>.kill`, as JSON; without the file nothing happens:
 *
 * | field | meaning |
 * |---|---|
 * | `call` | `batch` of LevelDB, `compactRange` of it, or `rename` of a directory |
 * | `match` | part of what it is given: `put m/snapshot`, `del b/`, a path |
 * | `count` | which of those that match, from 1 |
 * | `when` | `before` or `after` |
 */
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { Level } from "level";

const place = process.argv.indexOf("--config");
const file = place < 0 ? "" : `${process.argv[place + 1]}.kill`;
if (fs.existsSync(file)) arm(JSON.parse(fs.readFileSync(file, "utf8")));

function arm({ call, match, count, when }) {
  const texts = {
    batch: (operations) => operations.map(({ type, key }) => `${type} ${key}`).join("\n"),
    compactRange: (from, to) => `${from} ${to}`,
    rename: (from, to) => `${from} ${to}`,
  };
  let seen = 0;
  const target = call === "rename" ? fs.promises : Level.prototype;
  const original = target[call];
  target[call] = async function counted(...given) {
    const isIt = texts[call](...given).includes(match) && ++seen === count;
    if (isIt && when === "before") die();
    const result = await original.apply(this, given);
    if (isIt) die();
    return result;
  };
  syncBuiltinESMExports();
}

function die() {
  process.kill(process.pid, "SIGKILL");
}
