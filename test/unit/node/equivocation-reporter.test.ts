/** What is seen of a liar is reported, and nothing is sent that could have no effect. */
import { describe, expect, it } from "vitest";
import { didOf } from "../../../src/base/format/did.ts";
import type { Equivocation } from "../../../src/base/format/equivocation.ts";
import { zeroHash } from "../../../src/base/hash.ts";
import { limits } from "../../../src/base/limits.ts";
import { silentLog } from "../../../src/base/log.ts";
import { StateOverlay } from "../../../src/ledger/state-overlay.ts";
import { equivocationReporter } from "../../../src/node/equivocation-reporter.ts";
import type { SystemCall } from "../../../src/node/node-transactions.ts";
import { keyOf, signedBy } from "../../sim/fake-keys.ts";

const liar = keyOf(1);
const pairAt = (height: number): Equivocation => {
  const vote = (blockHash: string) =>
    signedBy(liar, { kind: "prepare", height, round: 0, blockHash });
  return [vote("aa".repeat(32)), vote("bb".repeat(32))];
};
const placeOf = (height: number) =>
  `system/equivocation/${didOf(liar)}/${height.toString(16).padStart(14, "0")}/prepare/0`;

function reporterOver(entries: readonly string[]) {
  const empty = { get: () => undefined, range: () => [] };
  const state = new StateOverlay(empty);
  for (const key of entries) state.set(key, "{}");
  const calls: SystemCall[] = [];
  const submit = (call: SystemCall) => calls.push(call);
  const ledger = { chainId: zeroHash, state };
  return { report: equivocationReporter({ ledger, log: silentLog, submit }), calls, state };
}

describe("the reporter of equivocations", () => {
  it("submits a pair that is not on record", () => {
    const { report, calls } = reporterOver([placeOf(8)]);
    report(pairAt(7));
    expect(calls.map(({ method }) => method)).toEqual(["reportEquivocation"]);
    expect(calls[0]?.isMoot?.()).toBe(false);
  });

  it("has calls dropped that are on record, or once enough of the validator is", () => {
    const known = reporterOver([placeOf(7)]);
    known.report(pairAt(7));
    expect(known.calls.map((call) => call.isMoot?.())).toEqual([true]);
    const heights = Array.from({ length: limits.equivocationsPerValidatorMax }, (_, at) => at + 10);
    const full = reporterOver(heights.map(placeOf));
    full.report(pairAt(7));
    expect(full.calls.map((call) => call.isMoot?.())).toEqual([true]);
  });

  it("lets a call that waits be dropped once another node's report is recorded", () => {
    const { report, calls, state } = reporterOver([]);
    report(pairAt(7));
    state.set(placeOf(7), "{}");
    expect(calls[0]?.isMoot?.()).toBe(true);
  });
});
