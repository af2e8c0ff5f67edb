/**
 * Golden dialogues: each .txt below this folder is a script, a line `---`, and the log it must
 * give. The language is in README.md. `BLESS=1 npx vitest run test/scenario` rewrites the logs:
 * read the difference before you keep it. That each named failure comes back without its fix is
 * shown by test/deep/removed-fixes.test.ts.
 */
import { readdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { namedFailures, readGolden, removedFixes } from "./removed-fixes.ts";
import { runScript } from "./script.ts";

const folder = fileURLToPath(new URL(".", import.meta.url));
const paths = readdirSync(folder, { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".txt"))
  .sort();
const failures = paths.filter((path) => path.startsWith("failures/"));

it.each(paths)("%s gives the log that was read and kept", (path) => {
  const { script, log: expected } = readGolden(`${folder}${path}`);
  const log = runScript(script);
  if (process.env.BLESS === undefined) expect(log).toBe(expected);
  else writeFileSync(`${folder}${path}`, `${script}---\n${log}`);
});

it.each(Object.entries(namedFailures))("named failure %s (%s) has its scripts", (number, name) => {
  const own = failures.filter((path) => path.startsWith(`failures/${number.padStart(2, "0")}-`));
  const heads = own.map((path) => readGolden(`${folder}${path}`).script.split("\nnodes ")[0] ?? "");
  expect(heads.filter((head) => head.startsWith(`# ${number}`))).toHaveLength(own.length);
  expect(heads.some((head) => head.includes(name))).toBe(true);
});

it("knows the fix of every script of a named failure", () => {
  const known = new Set(removedFixes.flatMap(({ symptoms }) => Object.keys(symptoms)));
  expect(failures.map((path) => path.slice("failures/".length, -".txt".length))).toEqual(
    [...known].sort(),
  );
});

it.each([1, 2, 3, 4, 5, 7])("networks of %i have a dialogue of their own", (count) => {
  const sizes = paths.filter((path) => path.startsWith("sizes/"));
  const first = sizes.map((path) => /^nodes .*$/m.exec(readGolden(`${folder}${path}`).script)?.[0]);
  expect(first).toContain(`nodes ${count}`);
});
