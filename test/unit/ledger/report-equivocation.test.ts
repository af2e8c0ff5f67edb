/** Equivocation on the ledger: who is convicted by what, once, and how much of it is kept. */
import { beforeEach, expect, it } from "vitest";
import { didOf } from "../../../src/base/format/did.ts";
import { type Equivocation, encodeEquivocation } from "../../../src/base/format/equivocation.ts";
import { parseJson } from "../../../src/base/format/json.ts";
import { type Claim, claimMessage, type Signed } from "../../../src/base/format/message.ts";
import type { Signer } from "../../../src/base/keys.ts";
import { limits } from "../../../src/base/limits.ts";
import { readEquivocations } from "../../../src/ledger/system/report-equivocation.ts";
import { administrators, candidateOf, keysOf, SystemBench } from "./system-fixture.ts";

const liar = keysOf(2).validator;
const reporter = keysOf(1).peer;

let bench: SystemBench;
beforeEach(() => {
  bench = new SystemBench();
});

function signed(claim: Claim, signer: Signer = liar): Signed<Claim> {
  const signature = signer.sign(claimMessage(claim, bench.chainId));
  return { ...claim, validator: signer.publicKey, signature };
}

function pairAt(height: number, signer: Signer = liar): Equivocation {
  const [first, second] = ["aa", "bb"].map((text) =>
    signed({ kind: "commit", height, round: 1, blockHash: text.repeat(32) }, signer),
  );
  return [first as Signed<Claim>, second as Signed<Claim>];
}

const report = (pair: Equivocation, by = reporter) =>
  bench.outcome(by, "reportEquivocation", parseJson(encodeEquivocation(pair, bench.chainId)));

it("records what convicts a validator, with who reported it and when", async () => {
  expect(await report(pairAt(9))).toBe("ok");
  expect(readEquivocations(bench.reader, 10)).toMatchObject([
    {
      validator: didOf(liar.publicKey),
      height: 9,
      round: 1,
      kind: "commit",
      recordedAtHeight: bench.height,
      recordedAtMs: bench.timeMs,
      reportedBy: didOf(reporter.publicKey),
    },
  ]);
});

it("records it once, whoever reports it and in whatever order", async () => {
  const [first, second] = pairAt(9);
  expect(await report([first, second])).toBe("ok");
  const [ada] = administrators as readonly [Signer];
  expect(await report([second, first], ada)).toBe("SYSTEM_EQUIVOCATION_KNOWN");
  expect(readEquivocations(bench.reader, 10)).toHaveLength(1);
});

it("believes no signature, and no validator that was none at that height", async () => {
  const [first, second] = pairAt(9);
  const forged: Equivocation = [first, { ...second, signature: first.signature }];
  expect(await report(forged)).toBe("SYSTEM_EQUIVOCATION_INVALID");
  expect(await report([first, first])).toBe("SYSTEM_EQUIVOCATION_INVALID");
  expect(await report(pairAt(9, keysOf(9).validator))).toBe("SYSTEM_MEMBER_UNKNOWN");
  await bench.admitReady(5);
  await bench.approve({ kind: "add", ids: [candidateOf(5).id] });
  expect(await report(pairAt(bench.height, keysOf(5).validator))).toBe("SYSTEM_MEMBER_UNKNOWN");
  expect(await report(pairAt(bench.height + 1, keysOf(5).validator))).toBe("ok");
});

it("still convicts who was removed since", async () => {
  await bench.approve({ kind: "remove", ids: [candidateOf(2).id] });
  bench.advance(5);
  expect(await report(pairAt(9))).toBe("ok");
  expect(await report(pairAt(bench.height))).toBe("SYSTEM_MEMBER_UNKNOWN");
});

it("keeps no more of one validator than the limit", async () => {
  for (let height = 1; height <= limits.equivocationsPerValidatorMax; height += 1)
    expect(await report(pairAt(height))).toBe("ok");
  expect(await report(pairAt(100))).toBe("SYSTEM_EQUIVOCATIONS_TOO_MANY");
  expect(await report(pairAt(1, keysOf(3).validator))).toBe("ok");
});

it("refuses arguments of another form", async () => {
  const outcome = (args: object) =>
    bench.outcome(reporter, "reportEquivocation", args as Record<string, never>);
  expect(await outcome({})).toBe("SYSTEM_ARGUMENTS_INVALID");
  const args = JSON.parse(encodeEquivocation(pairAt(9), bench.chainId));
  const noKey = { ...args, validator: "did:key:z6Mkfoo" };
  expect(await outcome(noKey)).toBe("SYSTEM_MEMBER_UNKNOWN");
  expect(await outcome({ ...args, more: 1 })).toBe("SYSTEM_ARGUMENTS_INVALID");
});
