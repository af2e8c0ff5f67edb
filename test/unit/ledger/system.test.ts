/** The system contract: who may change the validators, when, and what stays when it is refused. */
import { beforeEach, describe, expect, it } from "vitest";
import { didOf } from "../../../src/base/format/did.ts";
import type { JsonValue } from "../../../src/base/format/json.ts";
import { changeId, ValidatorChange } from "../../../src/base/format/validator-change.ts";
import { limits } from "../../../src/base/limits.ts";
import { readValidators, SystemEntries } from "../../../src/ledger/system-entries.ts";
import { nativeSigner } from "../../../src/node/native-crypto.ts";
import {
  administrators,
  candidateOf,
  keysOf,
  SystemBench,
  systemGenesis,
} from "./system-fixture.ts";

const ok3 = ["ok", "ok", "ok"];
const [ada] = administrators as readonly [(typeof administrators)[number]];
const admit5: ValidatorChange = { kind: "admit", candidate: candidateOf(5) };

let bench: SystemBench;
beforeEach(() => {
  bench = new SystemBench();
});

describe("approvals", () => {
  it("make a change at a quorum of the administrators, in the block of the last one", async () => {
    expect(await bench.approve(admit5, 2)).toEqual(["ok", "ok"]);
    expect(bench.keysBelow("system/candidate/")).toEqual([]);
    expect(bench.keysBelow("system/change/")).toEqual([`system/change/${changeId(admit5)}`]);
    const { outcome, events } = await bench.call(administrators[2] as typeof ada, "approveChange", {
      change: admit5 as unknown as JsonValue,
    });
    expect(outcome).toBe("ok");
    expect(events.map(({ topic }) => topic)).toEqual(["changeApproved", "changeApplied"]);
    expect(bench.keysBelow("system/candidate/")).toEqual(["system/candidate/n5"]);
    expect(bench.keysBelow("system/change/")).toEqual([]);
  });

  it("count once an administrator, and only those of the genesis", async () => {
    await bench.approve(admit5, 1);
    const args = { change: admit5 as unknown as JsonValue };
    expect(await bench.outcome(ada, "approveChange", args)).toBe("SYSTEM_CHANGE_APPROVED_BEFORE");
    const late = nativeSigner(new Uint8Array(32).fill(209));
    const account = { member: "n1", name: "L", roles: ["administrator"], status: "active" };
    bench.state.set(`system/account/${didOf(late.publicKey)}`, JSON.stringify(account));
    expect(await bench.outcome(late, "approveChange", args)).toBe("SYSTEM_NOT_ADMINISTRATOR");
    const withdrawal = { change: changeId(admit5) };
    expect(await bench.outcome(late, "withdrawApproval", withdrawal)).toBe(
      "SYSTEM_NOT_ADMINISTRATOR",
    );
  });

  it("do not add up for changes that differ", async () => {
    await bench.approve(admit5, 2);
    const other = { kind: "admit", candidate: { ...candidateOf(5), name: "Other" } } as const;
    const args = { change: other as unknown as JsonValue };
    expect(await bench.outcome(administrators[2] as typeof ada, "approveChange", args)).toBe("ok");
    expect(bench.keysBelow("system/candidate/")).toEqual([]);
    expect(bench.keysBelow("system/change/")).toHaveLength(2);
  });

  it("can be taken back until the change is made", async () => {
    await bench.approve(admit5, 2);
    const change = { change: changeId(admit5) };
    expect(await bench.outcome(ada, "withdrawApproval", change)).toBe("ok");
    expect(await bench.outcome(ada, "withdrawApproval", change)).toBe("SYSTEM_CHANGE_UNKNOWN");
    const args = { change: admit5 as unknown as JsonValue };
    expect(await bench.outcome(administrators[2] as typeof ada, "approveChange", args)).toBe("ok");
    expect(bench.keysBelow("system/candidate/")).toEqual([]);
    for (const signer of administrators.slice(1, 3))
      expect(await bench.outcome(signer, "withdrawApproval", change)).toBe("ok");
    expect(bench.keysBelow("system/change/")).toEqual([]);
  });

  it("are forgotten with the change after 30 days", async () => {
    await bench.approve(admit5, 2);
    bench.timeMs += limits.changeMsMax + 1;
    expect(await bench.approve(admit5, 2)).toEqual(["ok", "ok"]);
    expect(bench.keysBelow("system/candidate/")).toEqual([]);
  });

  it("of one administrator fill no more than their share of the state", async () => {
    const max = limits.changesPerAdministratorMax;
    for (let number = 1; number <= max; number += 1)
      expect(
        await bench.approve({ kind: "admit", candidate: candidateOf(number + 10) }, 1),
      ).toEqual(["ok"]);
    const next: ValidatorChange = { kind: "admit", candidate: candidateOf(60) };
    expect(await bench.approve(next, 1)).toEqual(["SYSTEM_CHANGES_TOO_MANY"]);
    expect(bench.keysBelow("system/change/")).toHaveLength(max);
  });
});

describe("candidates", () => {
  it("get a sender for their node, and lose it when they are withdrawn", async () => {
    const did = candidateOf(5).peerKey;
    const sender = () => new SystemEntries().sender(bench.reader, did);
    await bench.approve(admit5);
    expect(sender()).toMatchObject({ member: "n5", roles: ["node"], status: "active" });
    expect(await bench.ready(5)).toBe("ok");
    expect(await bench.approve({ kind: "withdraw", id: "n5" })).toEqual(ok3);
    expect(sender()).toBeUndefined();
    expect(bench.keysBelow("system/candidate/")).toEqual([]);
    expect(bench.keysBelow("system/ready/")).toEqual([]);
  });

  it("use no id and no key that has another use", async () => {
    const account = didOf(ada.publicKey);
    const first = async (candidate: ReturnType<typeof candidateOf>) =>
      (await bench.approve({ kind: "admit", candidate }, 1))[0];
    const fresh = candidateOf(5);
    expect(await first({ ...fresh, id: "n1" })).toBe("SYSTEM_ID_TAKEN");
    for (const key of [candidateOf(1).validatorKey, candidateOf(1).peerKey, account]) {
      expect(await first({ ...fresh, validatorKey: key })).toBe("SYSTEM_KEY_TAKEN");
      expect(await first({ ...fresh, peerKey: key })).toBe("SYSTEM_KEY_TAKEN");
    }
    expect(await first({ ...fresh, peerKey: fresh.validatorKey })).toBe("SYSTEM_KEY_TAKEN");
    await bench.approve(admit5);
    expect(await first({ ...candidateOf(6), peerKey: fresh.peerKey })).toBe("SYSTEM_KEY_TAKEN");
    expect(await first({ ...candidateOf(6), id: "n5" })).toBe("SYSTEM_ID_TAKEN");
  });

  it("are refused with a key that no Ed25519 key is", async () => {
    const candidate = { ...candidateOf(5), validatorKey: "did:key:z6Mk" };
    expect(await bench.approve({ kind: "admit", candidate }, 1)).toEqual([
      "SYSTEM_ARGUMENTS_INVALID",
    ]);
  });

  it("are ready only by their own word, about a recent height of this chain", async () => {
    await bench.approve(admit5);
    bench.advance(limits.readyHeightsMax + 10);
    expect(await bench.ready(5, { signer: keysOf(6).validator })).toBe("SYSTEM_READY_INVALID");
    expect(await bench.ready(5, { signer: keysOf(5).peer })).toBe("SYSTEM_READY_INVALID");
    expect(await bench.ready(5, { chainId: "00".repeat(32) })).toBe("SYSTEM_READY_INVALID");
    expect(await bench.ready(5, { height: bench.height })).toBe("SYSTEM_READY_INVALID");
    const oldest = bench.height - limits.readyHeightsMax;
    expect(await bench.ready(5, { height: oldest - 1 })).toBe("SYSTEM_READY_INVALID");
    expect(await bench.ready(5, { height: oldest })).toBe("ok");
    expect(await bench.ready(6)).toBe("SYSTEM_CANDIDATE_UNKNOWN");
    expect(await bench.ready(1)).toBe("SYSTEM_CANDIDATE_UNKNOWN");
  });
});

describe("the set", () => {
  it("takes up candidates that are ready, and notes since when", async () => {
    await bench.admitReady(5, 6);
    expect(await bench.approve({ kind: "add", ids: ["n5", "n6"] })).toEqual(ok3);
    const keys = [1, 2, 3, 4, 5, 6].map((number) => keysOf(number).validator.publicKey).sort();
    expect(readValidators(bench.reader)).toEqual(keys);
    expect(bench.keysBelow("system/validators/")).toEqual([
      "system/validators/000000000001",
      "system/validators/00000000000b",
    ]);
    const noted = JSON.parse(bench.state.get("system/validators/00000000000b") ?? "") as string[];
    expect(noted).toEqual(keys.map(didOf));
    expect(bench.keysBelow("system/candidate/")).toEqual([]);
    expect(bench.keysBelow("system/ready/")).toEqual([]);
    expect(bench.state.has(`system/node/${candidateOf(5).peerKey}`)).toBe(true);
  });

  it("takes nobody up who is not ready, or was an hour ago", async () => {
    await bench.approve(admit5);
    const add: ValidatorChange = { kind: "add", ids: ["n5"] };
    expect(await bench.approve(add, 1)).toEqual(["SYSTEM_CANDIDATE_NOT_READY"]);
    await bench.ready(5);
    bench.timeMs += limits.readyMsMax;
    expect(await bench.approve(add, 2)).toEqual(["ok", "ok"]);
    bench.timeMs += 1;
    const [, , third] = administrators;
    const last = { change: add as unknown as JsonValue };
    expect(await bench.outcome(third as typeof ada, "approveChange", last)).toBe(
      "SYSTEM_CANDIDATE_NOT_READY",
    );
    expect(readValidators(bench.reader)).toHaveLength(4);
    await bench.ready(5);
    expect(await bench.outcome(third as typeof ada, "approveChange", last)).toBe("ok");
    expect(readValidators(bench.reader)).toHaveLength(5);
  });

  it("adds all of a change or none", async () => {
    await bench.admitReady(5);
    await bench.approve({ kind: "admit", candidate: candidateOf(6) });
    const before = [...bench.state];
    const add: ValidatorChange = { kind: "add", ids: ["n5", "n6"] };
    expect(await bench.approve(add, 1)).toEqual(["SYSTEM_CANDIDATE_NOT_READY"]);
    expect([...bench.state]).toEqual(before);
  });

  it("changes by two at most, each named once, in order", () => {
    const form = (change: unknown) => ValidatorChange.safeParse(change).success;
    for (const kind of ["add", "remove"]) {
      expect(form({ kind, ids: ["a", "b"] })).toBe(true);
      expect(form({ kind, ids: [] })).toBe(false);
      expect(form({ kind, ids: ["a", "b", "c"] })).toBe(false);
      expect(form({ kind, ids: ["b", "a"] })).toBe(false);
      expect(form({ kind, ids: ["a", "a"] })).toBe(false);
      expect(form({ kind, ids: ["a"], more: 1 })).toBe(false);
    }
  });

  it("must decide a block before it is changed again", async () => {
    await bench.approve({ kind: "remove", ids: ["n1"] });
    expect(await bench.approve({ kind: "remove", ids: ["n2"] }, 1)).toEqual([
      "SYSTEM_CHANGE_TOO_SOON",
    ]);
    bench.advance(1);
    expect(await bench.approve({ kind: "remove", ids: ["n2"] }, 1)).toEqual([
      "SYSTEM_CHANGE_TOO_SOON",
    ]);
    bench.advance(1);
    expect(await bench.approve({ kind: "remove", ids: ["n2"] })).toEqual(ok3);
    expect(readValidators(bench.reader)).toHaveLength(2);
  });

  it("may change in the first block of a ledger", async () => {
    bench.height = 1;
    expect(await bench.approve({ kind: "remove", ids: ["n1"] })).toEqual(ok3);
  });

  it("never loses its last member, and remembers who left", async () => {
    bench = new SystemBench(systemGenesis(2));
    expect(await bench.approve({ kind: "remove", ids: ["n1", "n2"] }, 1)).toEqual([
      "SYSTEM_MEMBERS_TOO_FEW",
    ]);
    expect(await bench.approve({ kind: "remove", ids: ["n3"] }, 1)).toEqual([
      "SYSTEM_MEMBER_UNKNOWN",
    ]);
    await bench.approve({ kind: "remove", ids: ["n1"] });
    const { peerKey, validatorKey } = candidateOf(1);
    expect(JSON.parse(bench.state.get("system/former/n1") ?? "")).toEqual({
      peerKey,
      validatorKey,
      removedAtHeight: 10,
      removedAtMs: bench.timeMs,
    });
    expect(bench.state.has(`system/node/${peerKey}`)).toBe(false);
    bench.advance(2);
    expect(await bench.approve({ kind: "remove", ids: ["n2"] }, 1)).toEqual([
      "SYSTEM_MEMBERS_TOO_FEW",
    ]);
  });

  it("takes a former member back like any candidate", async () => {
    await bench.approve({ kind: "remove", ids: ["n1"] });
    bench.advance(2);
    await bench.admitReady(1);
    expect(await bench.approve({ kind: "add", ids: ["n1"] })).toEqual(ok3);
    expect(bench.keysBelow("system/former/")).toEqual([]);
    expect(readValidators(bench.reader)).toHaveLength(4);
  });
});

describe("calls of the system contract", () => {
  it("leave no trace when they are refused, and pay the price of the method", async () => {
    const before = [...bench.state];
    const refused = await bench.call(ada, "approveChange", { change: { kind: "add", ids: ["x"] } });
    expect(refused).toMatchObject({ outcome: "SYSTEM_CANDIDATE_UNKNOWN", gasUsed: 3_000_000 });
    expect(refused.changes).toEqual([]);
    expect(refused.events).toEqual([]);
    expect([...bench.state]).toEqual(before);
  });

  it("are not begun below their price", async () => {
    const args = { change: admit5 as unknown as JsonValue };
    const outcome = await bench.call(ada, "approveChange", args, 2_999_999);
    expect(outcome).toMatchObject({ outcome: "CONTRACT_OUT_OF_GAS", gasUsed: 2_999_999 });
    expect(outcome.changes).toEqual([]);
  });

  it("have arguments of a fixed form", async () => {
    for (const args of [null, [], {}, { change: null }, { change: { kind: "burn" } }])
      expect(await bench.outcome(ada, "approveChange", args)).toBe("SYSTEM_ARGUMENTS_INVALID");
    expect(await bench.outcome(ada, "constructor", {})).toBe("CONTRACT_METHOD_UNKNOWN");
  });
});
