/**
 * The same bundle has the same image, and the same calls the same gas, in processes that differ in
 * all that a machine shows: directory (a copy and a symbolic link), time zone, locale, arguments,
 * environment, and how the host compiles WebAssembly.
 *
 * Mutations that must fail here: answering `environ_get` from the process, the local time from the
 * host's zone, the clock while the image is made from `Date.now`.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildSync } from "esbuild";
import { afterAll, beforeAll, expect, test } from "vitest";

const project = fileURLToPath(new URL("../../..", import.meta.url));

const script = `
import { ContractRuntime } from "./src/contracts/runtime.ts";
import { bundle, options, request, stateOf } from "./test/unit/contracts/bundle.ts";
const source = bundle("same", {
  dates: "return [new Date().toString(), new Date(2020, 6, 1).toISOString(), " +
    "Date.parse('2020-07-01T00:00'), new Date(NaN).getTimezoneOffset() === 0]",
  mixed: "const m = new Map(); for (let i = 0; i < 500; i++) m.set('k' + i * 7 % 97, i / 3);" +
    "return [...m].map(([k, v]) => k + v.toFixed(3)).sort().join().length + " +
    "'ä'.localeCompare('z') + (123456.789).toLocaleString().length",
  errors: "try { null.x } catch (e) { return e.stack }",
  recursion: "(function f() { [1].map(f) })()",
  state: "host.set('same/a/b', '1'); host.emit('e', '2'); return host.get('same/a/b')",
});
const runtime = await ContractRuntime.create(options);
const { imageHash } = await runtime.install("same", source);
const calls = [];
for (const method of ["dates", "mixed", "errors", "recursion", "state", "mixed"]) {
  calls.push(await runtime.call(request("same", method), stateOf()));
}
console.log(JSON.stringify({ engineHash: runtime.engineHash, imageHash, calls }));
`;

let folder: string;
const places: Record<string, string> = {};

beforeAll(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), "sandbox-")));
  const copy = join(folder, "a-directory-with-quite-a-long-name", "and another");
  mkdirSync(copy, { recursive: true });
  const { outputFiles } = buildSync({
    stdin: { contents: script, resolveDir: project, loader: "ts" },
    ...{ bundle: true, format: "esm", platform: "node", write: false },
  });
  const text = outputFiles[0]?.text as string;
  for (const place of [folder, copy]) {
    writeFileSync(join(place, "run.mjs"), text);
    symlinkSync(join(project, "node_modules"), join(place, "node_modules"));
  }
  symlinkSync(copy, join(folder, "link"));
  Object.assign(places, { plain: folder, copy, link: join(folder, "link") });
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs the script in a process of its own and returns what it printed. */
function run(place: string, flags: readonly string[], env: Record<string, string>): string {
  const path = join(places[place] as string, "run.mjs");
  const options = { env: { PATH: process.env.PATH ?? "", ...env }, encoding: "utf8" } as const;
  const { stdout, stderr, status } = spawnSync(
    process.execPath,
    [
      ...flags.filter((flag) => flag.startsWith("--")),
      path,
      ...flags.filter((f) => !f.startsWith("--")),
    ],
    options,
  );
  expect(`${stderr}${status}`).toBe("0");
  return stdout;
}

test("image, gas and results are the same wherever and however the process runs", () => {
  const first = run("plain", [], { TZ: "UTC", LANG: "C" });
  expect(JSON.parse(first).calls.map(({ outcome }: { outcome: string }) => outcome)).toEqual([
    ...["ok", "ok", "ok", "CONTRACT_OUT_OF_GAS", "ok", "ok"],
  ]);
  const variants = [
    ["copy", ["argument", "another"], { TZ: "Asia/Kathmandu", LANG: "de_DE.UTF-8" }],
    [
      "link",
      ["--preserve-symlinks-main"],
      { TZ: "America/New_York", LC_ALL: "tr_TR.UTF-8", USER: "x" },
    ],
    ["plain", ["--liftoff-only"], { TZ: "Australia/Lord_Howe", LANG: "ja_JP" }],
    ["plain", ["--no-liftoff", "--stack-size=700"], { HOME: "/nowhere" }],
  ] as const;
  for (const [place, flags, env] of variants) expect(run(place, flags, env)).toBe(first);
});
