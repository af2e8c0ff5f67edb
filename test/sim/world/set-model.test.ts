/**
 * The simulator's model of the system contract: what becomes of each call by the rules, told apart
 * from the product, whose own tests are in `test/unit/ledger/system.test.ts`.
 */
import { describe, expect, it } from "vitest";
import { didOf } from "../../../src/base/format/did.ts";
import { administratorKey, peerKey, validatorKey } from "./chain.ts";
import { SetModel } from "./set-model.ts";
import { readyOf, reportOf, SmallChain, systemCall, timeOf, twoHashes } from "./small-chain.ts";

const { chainId } = new SmallChain().genesis;
const [blockHash, otherHash] = twoHashes;
const did = (index: number) => didOf(validatorKey(index));

describe("the model of the system contract", () => {
  /** Three validators, four administrators; node 3 may come. */
  class Calls {
    readonly model = new SetModel({ chainId, initial: [0, 1, 2], administrators: 4 });
    height = 1;
    timeMs = timeOf(1);
    #nonce = 0;

    say(method: string, args: unknown, sender: string): string {
      this.#nonce += 1;
      const { height, timeMs } = this;
      return this.model.execute(systemCall(this.#nonce, method, args, sender), { height, timeMs });
    }

    approve(change: object, administrator: number): string {
      return this.say("approveChange", { change }, administratorKey(administrator));
    }

    /** All that is needed say yes. @returns The last outcome. */
    decide(change: object): string {
      return [0, 1, 2].map((administrator) => this.approve(change, administrator)).at(-1) ?? "";
    }

    admitted(): this {
      expect(this.decide(admit)).toBe("ok");
      this.height += 1;
      return this;
    }

    ready(height = this.height - 1): string {
      return this.say("declareReady", readyOf(3, height), peerKey(3));
    }
  }

  const candidate = { id: "m3", validatorKey: did(3), peerKey: didOf(peerKey(3)) };
  const admit = { kind: "admit", candidate };
  const add = { kind: "add", ids: ["m3"] };
  const remove = (...ids: string[]) => ({ kind: "remove", ids });
  const current = ({ model }: Calls) => model.current.map((key) => key.slice(0, 4)).join();
  const keys = (...indexes: number[]) =>
    indexes.map((index) => validatorKey(index).slice(0, 4)).join();

  it("takes three of four administrators, each once", () => {
    const calls = new Calls();
    expect(calls.approve(remove("m2"), 0)).toBe("ok");
    expect(calls.approve(remove("m2"), 0)).toBe("SYSTEM_CHANGE_APPROVED_BEFORE");
    expect(calls.approve(remove("m2"), 1)).toBe("ok");
    expect(current(calls)).toBe(keys(0, 1, 2));
    expect(calls.approve(remove("m2"), 3)).toBe("ok");
    expect(current(calls)).toBe(keys(0, 1));
    // Of the height it is decided at the former ones are the validators.
    expect(calls.model.at(1)).toHaveLength(3);
    expect(calls.model.at(2)).toHaveLength(2);
  });

  it("adds who was admitted and is ready", () => {
    const calls = new Calls();
    expect(calls.approve(add, 0)).toBe("SYSTEM_CANDIDATE_UNKNOWN");
    calls.admitted();
    expect(calls.approve(admit, 0)).toBe("SYSTEM_ID_TAKEN");
    expect(calls.approve(add, 0)).toBe("SYSTEM_CANDIDATE_NOT_READY");
    expect(calls.ready()).toBe("ok");
    expect(calls.decide(add)).toBe("ok");
    expect(current(calls)).toBe(keys(0, 1, 2, 3));
  });

  it("lets a word that somebody is ready hold an hour", () => {
    const calls = new Calls().admitted();
    calls.ready();
    calls.timeMs += 3_600_000;
    expect(calls.approve(add, 0)).toBe("ok");
    calls.timeMs += 1;
    expect(calls.approve(add, 1)).toBe("SYSTEM_CANDIDATE_NOT_READY");
  });

  it("refuses a word of another height, chain or key", () => {
    const calls = new Calls().admitted();
    expect(calls.ready(calls.height)).toBe("SYSTEM_READY_INVALID");
    calls.height += 1_024;
    expect(calls.ready(0)).toBe("SYSTEM_READY_INVALID");
    expect(calls.ready(calls.height - 1_024)).toBe("ok");
    const foreign = readyOf(3, 5, blockHash, otherHash);
    expect(calls.say("declareReady", foreign, peerKey(3))).toBe("SYSTEM_READY_INVALID");
    const word = readyOf(3, 5);
    expect(calls.say("declareReady", word, peerKey(4))).toBe("SYSTEM_CANDIDATE_UNKNOWN");
  });

  it("refuses the next change before the last one has decided a height", () => {
    const calls = new Calls();
    calls.decide(remove("m2"));
    for (const height of [1, 2]) {
      calls.height = height;
      expect(calls.approve(remove("m1"), 0)).toBe("SYSTEM_CHANGE_TOO_SOON");
    }
    calls.height = 3;
    expect(calls.approve(remove("m1"), 0)).toBe("ok");
  });

  it("removes members only, and never all", () => {
    const calls = new Calls();
    expect(calls.approve(remove("m3"), 0)).toBe("SYSTEM_MEMBER_UNKNOWN");
    expect(calls.approve(remove("m0", "m1", "m2"), 0)).toBe("SYSTEM_MEMBERS_TOO_FEW");
  });

  it("takes reports of who votes, that hold, once for a place, and 16 in all", () => {
    const calls = new Calls();
    const report = (args: object) => calls.say("reportEquivocation", args, peerKey(0));
    expect(report(reportOf(3, 1))).toBe("SYSTEM_MEMBER_UNKNOWN");
    expect(report(reportOf(2, 1, [blockHash, blockHash]))).toBe("SYSTEM_EQUIVOCATION_INVALID");
    const forged = { ...reportOf(2, 1), validator: did(1) };
    expect(report(forged)).toBe("SYSTEM_EQUIVOCATION_INVALID");
    expect(report(reportOf(2, 1))).toBe("ok");
    expect(report(reportOf(2, 1))).toBe("SYSTEM_EQUIVOCATION_KNOWN");
    for (let height = 2; height <= 16; height += 1) expect(report(reportOf(2, height))).toBe("ok");
    expect(report(reportOf(2, 17))).toBe("SYSTEM_EQUIVOCATIONS_TOO_MANY");
    expect(calls.model.reported).toEqual([validatorKey(2)]);
  });

  it("knows no other call", () => {
    expect(new Calls().say("anything", {}, peerKey(0))).toBe("CONTRACT_METHOD_UNKNOWN");
  });

  it("lists the rows that the calls leave", () => {
    const calls = new Calls().admitted();
    calls.ready();
    const tables = () => calls.model.expectedKeys().map((key) => key.replace("system/", ""));
    const members = ["member/m0", "member/m1", "member/m2"];
    const first = "validators/000000000001";
    expect(tables()).toEqual(["candidate/m3", ...members, "ready/m3", first]);
    calls.decide(add);
    expect(tables()).toEqual([...members, "member/m3", first, "validators/000000000003"]);
  });
});
