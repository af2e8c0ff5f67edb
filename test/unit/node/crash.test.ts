/**
 * Claims about the end of a process with a broken invariant, and about what is left of it. The
 * first one with a real process: what a handler does in a test runner proves little.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { afterAll, describe, expect, it } from "vitest";
import { assert } from "../../../src/base/assert.ts";
import { LedgerError } from "../../../src/base/errors.ts";
import {
  crashesMax,
  crashJournalOf,
  isBrokenInvariant,
  noteRunning,
  recentCrashes,
} from "../../../src/node/crash.ts";

const directory = mkdtempSync(join(tmpdir(), "loopledger-crash-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const journal = crashJournalOf({ ledgerDirectory: join(directory, "ledger") });

async function crashingProgram(statement: string, journalFile = journal): Promise<string> {
  const outfile = join(directory, "crash.mjs");
  const module = fileURLToPath(new URL("../../../src/node/crash.ts", import.meta.url));
  const contents = `
    import { endOnBrokenInvariant, surface } from ${JSON.stringify(module)};
    const log = { error: (facts, message) => process.stderr.write(facts.error + message) };
    endOnBrokenInvariant({ log, journalFile: ${JSON.stringify(journalFile)} });
    setInterval(() => {}, 1_000);
    ${statement}`;
  const stdin = { contents, resolveDir: directory };
  await build({ stdin, outfile, bundle: true, platform: "node", format: "esm", logLevel: "error" });
  return outfile;
}

function caught(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  throw new Error("it threw nothing");
}

describe("a broken invariant", () => {
  it.each([
    ["is thrown in a timer", `setTimeout(() => { throw new Error("one is two"); }, 1);`],
    ["is a rejection nobody handles", `void Promise.reject(new Error("one is two"));`],
    ["is surfaced past a handler", `try { surface(new Error("one is two")); } catch {}`],
  ])("ends the process with 70, logged and noted, when it %s", async (_, statement) => {
    const before = recentCrashes(journal);
    const { status, stderr } = spawnSync(process.execPath, [await crashingProgram(statement)], {
      encoding: "utf8",
      timeout: 20_000,
    });
    expect(status).toBe(70);
    expect(stderr).toContain("one is two");
    expect(stderr).toContain("broken invariant");
    expect(recentCrashes(journal)).toBe(before + 1);
  });

  it("ends the process also when it cannot be noted, as on a full disk, and the log says so", async () => {
    const nowhere = join(directory, "missing", "ledger.crashes");
    const program = await crashingProgram(`surface(new Error("one is two"));`, nowhere);
    const { status, stderr } = spawnSync(process.execPath, [program], { encoding: "utf8" });
    expect(status).toBe(70);
    expect(stderr).toContain("one is two");
    expect(stderr).toMatch(/ENOENT.*could not be noted/s);
  });

  it("is neither what is refused with a code, nor what the system says of files and ports", () => {
    const refused = new LedgerError("NODE_STOPPED", {});
    const ofSystem = caught(() => readFileSync(join(directory, "missing")));
    const bugs = [caught(() => assert(false, "one is one")), new TypeError("x"), "x", undefined];
    expect([refused, ofSystem].map(isBrokenInvariant)).toEqual([false, false]);
    expect(bugs.map(isBrokenInvariant)).toEqual([true, true, true, true]);
  });

  it("is forgotten after ten minutes, so that a node may vote again", () => {
    const nowMs = 1_000_000_000;
    const lines = [nowMs - 700_000, nowMs - 500_000, nowMs - 1_000];
    writeFileSync(journal, `${lines.join("\n")}\n`);
    expect(recentCrashes(journal, nowMs)).toBe(2);
    expect(recentCrashes(journal, nowMs + 10 * 60_000)).toBe(0);
    expect(recentCrashes(journal, nowMs)).toBe(0);
    expect(crashesMax).toBe(3);
  });

  it("is not counted for ever when the clock was wrong, or its line was cut short", () => {
    const nowMs = 1_000_000_000;
    writeFileSync(journal, `${nowMs + 86_400_000}\n12${nowMs}\n${nowMs - 1}\n`);
    expect(recentCrashes(journal, nowMs)).toBe(1);
  });
});

describe("the end of a process", () => {
  it("is known at the next start, unless it was orderly", () => {
    const ledger = { ledgerDirectory: join(directory, "ledger") };
    const first = noteRunning(ledger);
    const second = noteRunning(ledger);
    expect([first.hasCrashed, second.hasCrashed]).toEqual([false, true]);
    second.endOrderly();
    expect(noteRunning(ledger).hasCrashed).toBe(false);
  });
});
