/** Claims about how the ledger on disk is measured: all its files, once a minute, and on demand. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { LedgerSize } from "../../../src/node/ledger-size.ts";
import { until } from "../api/http.ts";
import { VirtualTimers } from "./virtual-timers.ts";

const directory = mkdtempSync(join(tmpdir(), "loopledger-size-"));
afterAll(() => rmSync(directory, { recursive: true }));
const write = (name: string, length: number) =>
  writeFileSync(join(directory, name), new Uint8Array(length));

it("counts the files of the directory, at first, each minute and when asked", async () => {
  write("000001.ldb", 1_000);
  write("000002.log", 23);
  mkdirSync(join(directory, "lost"));
  write("lost/000000.ldb", 500_000);
  const timers = new VirtualTimers();
  const size = new LedgerSize(directory, timers);
  expect(size.bytes).toBeUndefined();
  size.start();
  await until(() => size.bytes === 1_023);
  write("000003.log", 7);
  await timers.advance(59_000);
  expect(size.bytes).toBe(1_023);
  await timers.advance(1_000);
  await until(() => size.bytes === 1_030);
  rmSync(join(directory, "000001.ldb"));
  // Whoever asks twice gets what is there after the second time.
  const first = size.measure();
  void first.then(() => write("000004.log", 100));
  expect(await Promise.all([first, size.measure()])).toEqual([30, 130]);
  expect(size.bytes).toBe(130);
  await size.stop();
  write("000005.log", 1);
  await timers.advance(120_000);
  await size.stop();
  expect(size.bytes).toBe(130);
});

it("knows nothing of a directory that cannot be read, and goes on", async () => {
  const missing = join(directory, "later");
  const size = new LedgerSize(missing, new VirtualTimers());
  expect(await size.measure()).toBeUndefined();
  mkdirSync(missing);
  write("later/CURRENT", 16);
  expect(await size.measure()).toBe(16);
});
