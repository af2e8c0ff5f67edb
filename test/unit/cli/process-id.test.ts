/**
 * Claims about knowing a process again.
 *
 * Shown able to fail: without the comparison of start times in `isRunning` the second test fails.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, it } from "vitest";
import { isRunning, signalProcess, startTimeOf } from "../../../src/cli/devnet/process-id.ts";

it("knows a process while it runs and no longer when it has ended", async () => {
  const child = spawn(process.execPath, ["-e", "process.stdin.resume()"]);
  const pid = child.pid ?? -1;
  const id = { pid, startedAt: startTimeOf(pid) ?? "" };
  expect(isRunning(id)).toBe(true);
  const ended = once(child, "exit");
  expect(signalProcess(id, "SIGKILL")).toBe(true);
  await ended;
  expect(isRunning(id)).toBe(false);
  expect(signalProcess(id, "SIGKILL")).toBe(false);
});

it("leaves alone a process that has the number but another start time", () => {
  const own = { pid: process.pid, startedAt: startTimeOf(process.pid) ?? "" };
  expect(isRunning(own)).toBe(true);
  const former = { ...own, startedAt: `${own.startedAt}0` };
  expect(isRunning(former)).toBe(false);
  expect(signalProcess(former, "SIGKILL")).toBe(false);
});

it("takes a remembered process without number or time for none", () => {
  const nothing = JSON.parse("{}") as { pid: number; startedAt: string };
  expect(isRunning(nothing)).toBe(false);
});
