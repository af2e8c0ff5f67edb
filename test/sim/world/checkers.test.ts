/**
 * Each checker of the simulator passes what is right and finds the one thing that is made wrong.
 * What they find in whole runs that are sabotaged: sabotage.test.ts; of disks: holdings.test.ts.
 */
import { describe, expect, it } from "vitest";
import { didOf } from "../../../src/base/format/did.ts";
import type { Transaction } from "../../../src/base/format/transaction.ts";
import { signedBy } from "../fake-keys.ts";
import { validatorKey } from "./chain.ts";
import { Canon } from "./checkers.ts";
import { found } from "./found.ts";
import { valueHash } from "./merkle.ts";
import { isGrounded, isTelling } from "./refusals.ts";
import {
  type certificateOf,
  SmallChain,
  simCall,
  systemCall,
  timeOf,
  type Wrong,
} from "./small-chain.ts";
import type { ToldBlock } from "./untold.ts";

const zero = "00".repeat(32);
const did = (index: number) => didOf(validatorKey(index));

/** What a receipt lists for a total. */
function total(key: string, value: string) {
  return { key: `sim/total/${key}`, valueHash: valueHash(value) };
}

/** Three blocks with all that clients do, and what a fourth may hold. */
function goodChain(): SmallChain {
  return new SmallChain()
    .add(simCall(1), simCall(1, { sender: 1, key: "k1" }))
    .add(simCall(2), simCall(2, { sender: 1, method: "refuse" }))
    .add(simCall(4), simCall(3, { sender: 1, key: "k1", method: "forget" }));
}

const fourth = [simCall(5), simCall(6, { key: "k2" })] as const;

/** What the canon says to a fourth block after three good ones. */
function foundIn(make: (chain: SmallChain) => ToldBlock, nowMs = timeOf(4)): string | undefined {
  const chain = goodChain();
  return found(() => chain.canon.take(make(chain), nowMs));
}

const wrongFourth = (wrong: Wrong, of: readonly Transaction[] = fourth) =>
  foundIn((chain) => chain.next(of, wrong));

it("a chain without a fault passes, on the first node and on the next", () => {
  const chain = goodChain();
  const told = chain.next(fourth);
  expect(found(() => chain.canon.take(told, timeOf(4)))).toBeUndefined();
  for (const each of [...chain.told, told])
    expect(found(() => chain.canon.take(each, timeOf(4)))).toBeUndefined();
  expect(chain.canon.height).toBe(4);
});

describe("a certificate", () => {
  const spoilt: Readonly<Record<string, [Partial<ReturnType<typeof certificateOf>>, string]>> = {
    "of another height": [{ height: 5 }, "it is for another block"],
    "of another block": [{ blockHash: zero }, "it is for another block"],
    "of another round": [{ round: 1 }, "the signature of 0 does not hold"],
  };
  it.each(Object.entries(spoilt))("%s is refused", (_, [fields, reason]) => {
    const told = foundIn((chain) => {
      const { certificate, ...rest } = chain.next(fourth);
      return { ...rest, certificate: { ...certificate, ...fields } };
    });
    expect(told).toBe(`certificate: of 4: ${reason}`);
  });

  it("of another chain is refused", () => {
    const told = foundIn((chain) => {
      const { certificate, ...rest } = chain.next(fourth);
      const signatures = certificate.signatures.map(({ validatorIndex }) => {
        const { height, round, blockHash } = certificate;
        const claim = { kind: "commit", height, round, blockHash } as const;
        const { signature } = signedBy(validatorKey(validatorIndex), claim, zero);
        return { validatorIndex, signature };
      });
      return { ...rest, certificate: { ...certificate, signatures } };
    });
    expect(told).toBe("certificate: of 4: the signature of 0 does not hold");
  });

  it("needs three of four, each once, and validators only", () => {
    expect(wrongFourth({ signers: [0, 1, 3] })).toBeUndefined();
    expect(wrongFourth({ signers: [0, 3] })).toBe("certificate: of 4: only 2 signers");
    expect(wrongFourth({ signers: [0, 3, 3] })).toBe("certificate: of 4: only 2 signers");
    expect(wrongFourth({ signers: [0, 1, 3, 3] })).toBe("certificate: of 4: a signer counts twice");
    expect(wrongFourth({ signers: [0, 1, 3, 4] })).toContain("signature of 4 does not hold");
  });
});

describe("what is final", () => {
  it("is one block at a height", () => {
    expect(
      foundIn((chain) => {
        chain.told.pop();
        return chain.next([simCall(4)]);
      }),
    ).toBe("agreement: fork at 3");
  });

  it("has the same transactions and receipts on every node", () => {
    const other = (change: (third: ToldBlock) => Partial<ToldBlock>) =>
      foundIn(({ told }) => ({ ...(told[2] as ToldBlock), ...change(told[2] as ToldBlock) }));
    expect(other(() => ({}))).toBeUndefined();
    const fewer = other(({ block }) => ({
      block: { ...block, transactions: block.transactions.slice(1) },
    }));
    expect(fewer).toBe("agreement: two lists of transactions at 3");
    const swapped = other(({ block }) => ({
      block: { ...block, transactions: block.transactions.toReversed() },
    }));
    expect(swapped).toBe("agreement: two lists of transactions at 3");
    const dearer = other(({ receipts }) => ({
      receipts: receipts.map((receipt) => ({ ...receipt, gasUsed: 1 })),
    }));
    expect(dearer).toBe("execution: two lists of receipts at 3");
  });

  it("comes height by height", () => {
    expect(wrongFourth({ header: { height: 5 } })).toBe("density: 5 comes too early");
  });
});

describe("a header", () => {
  it("is what its block is known by", () => {
    const told = foundIn((chain) => {
      const { block, ...rest } = chain.next(fourth);
      return { ...rest, block: { ...block, header: { ...block.header, gasUsed: 7 } } };
    });
    expect(told).toBe("validity: 4 has the hash of another header");
  });

  const spoilt: Readonly<Record<string, [Wrong["header"], string]>> = {
    "with another parent": [{ parentHash: zero }, "validity: 4: it has another parent"],
    "of another chain": [{ chainId: zero }, "validity: 4: it is of another chain"],
    "as old as its parent": [{ timestampMs: timeOf(3) }, "validity: 4: its time is not above"],
    "of the future": [{ timestampMs: timeOf(4) + 8_001 }, "validity: 4: its time is in the future"],
    "proposed by a stranger": [{ proposer: zero }, "validity: 4: its proposer is no validator"],
    "proposed out of turn": [
      { proposer: validatorKey(0) },
      "validity: 4: its proposer has its turn in round 1, not 0",
    ],
    "with another state": [{ stateRoot: zero }, "execution: 4: stateRoot does not follow"],
    "with other gas": [{ gasUsed: 1 }, "execution: 4: gasUsed does not follow"],
    "with other receipts": [{ receiptsRoot: zero }, "execution: 4: receiptsRoot does not follow"],
    "with other transactions": [
      { transactionsRoot: zero },
      "execution: 4: transactionsRoot does not follow",
    ],
    "of other validators": [{ validatorsHash: zero }, "validators: 4 is of other validators"],
    "for other validators": [
      { nextValidatorsHash: zero },
      "validators: 4 leads to other validators",
    ],
  };
  it.each(Object.entries(spoilt))("%s is refused", (_, [header, message]) => {
    expect(wrongFourth({ header: header ?? {} })).toContain(message);
  });

  it("may be proposed by the next in turn once a round is over", () => {
    expect(wrongFourth({ header: { proposer: validatorKey(0) }, round: 1 })).toBeUndefined();
  });

  it("stands over no transactions only when the heartbeat is due", () => {
    expect(wrongFourth({}, [])).toBe("validity: 4: it is empty");
    const timestampMs = timeOf(13);
    const due = (chain: SmallChain) => chain.next([], { header: { timestampMs } });
    expect(foundIn(due, timestampMs)).toBeUndefined();
  });
});

describe("a transaction", () => {
  const lateMs = timeOf(4);

  it.each<[string, Transaction, string]>([
    ["is executed twice", simCall(4), "is executed twice"],
    ["has the nonce of another", simCall(4, { key: "k7" }), "uses a nonce twice"],
    ["has expired", simCall(5, { expiresAtMs: lateMs }), "has expired"],
  ])("that %s is found", (_, transaction, reason) => {
    expect(wrongFourth({}, [transaction])).toBe(
      `validity: 4: transaction ${transaction.id.slice(0, 8)} ${reason}`,
    );
  });

  it("that nobody sent, or not so, is found", () => {
    const first = simCall(5);
    const told = (sent: Uint8Array | undefined) =>
      foundIn((chain) => {
        const next = chain.next([first]);
        if (sent === undefined) chain.sent.delete(first.id);
        else chain.sent.set(first.id, sent);
        return next;
      });
    expect(told(first.bytes)).toBeUndefined();
    for (const sent of [undefined, simCall(6).bytes])
      expect(told(sent)).toContain("was sent by nobody");
  });

  it("that a client was told is dropped is found", () => {
    const soon = simCall(5, { expiresAtMs: lateMs + 1 });
    const told = foundIn((chain) => {
      chain.canon.noteExpired(soon, lateMs);
      return chain.next([soon]);
    });
    expect(told).toContain("validity: 4: transaction");
    expect(told).toContain("was dropped before");
  });

  it("of the system by a key that has no say is found", () => {
    const call = systemCall(5, "approveChange", { change: { kind: "remove", ids: ["m3"] } }, zero);
    expect(wrongFourth({}, [call])).toBe(
      "validity: 4: approveChange by a key that may not send it",
    );
  });
});

describe("receipts", () => {
  it.each<[string, NonNullable<Wrong["receipts"]>, string]>([
    ["one is missing", (right) => right.slice(1), "4: a receipt is missing"],
    ["they are out of order", (right) => right.toReversed(), "4: receipt 0 is another one"],
    [
      "they say that all failed",
      (right) => right.map((receipt) => ({ ...receipt, outcome: "SIM_REFUSED" })),
      "4: receipt 0 is another one",
    ],
    [
      "they hold another total",
      (right) => right.map((receipt) => ({ ...receipt, changes: [total("k0", "16")] })),
      "4: receipt 0 is another one",
    ],
  ])("are found when %s", (_, receipts, message) => {
    expect(wrongFourth({ receipts })).toBe(`execution: ${message}`);
  });

  it("of a failed call change nothing", () => {
    const refused = [simCall(5, { method: "refuse" })];
    expect(wrongFourth({}, refused)).toBeUndefined();
    const changes = [total("k0", "0")];
    const kept = wrongFourth(
      { receipts: (right) => right.map((receipt) => ({ ...receipt, changes })) },
      refused,
    );
    expect(kept).toBe("execution: 4: receipt 0 is another one");
  });

  it("of the system are those of the model", () => {
    const unknown = systemCall(1, "approveChange", { change: { kind: "remove", ids: ["m9"] } });
    expect(wrongFourth({}, [unknown])).toBe(
      "execution: 4: approveChange: ok, not SYSTEM_MEMBER_UNKNOWN",
    );
  });
});

describe("what a client was told", () => {
  const first = simCall(1);
  const place = { height: 1, index: 0 };
  const promised = (told: Parameters<Canon["checkPromise"]>[1], of = first) =>
    found(() => goodChain().canon.checkPromise(of.id, told));
  const name = first.id.slice(0, 8);

  it("is where it is said to be, with its receipt", () => {
    const { told } = goodChain();
    const receipt = told[0]?.receipts[0] as NonNullable<ToldBlock["receipts"][0]>;
    expect(promised({ ...place, receipt })).toBeUndefined();
    expect(promised({ height: 1, index: 1 })).toBe(`promise: ${name} at 1/1 is not there`);
    expect(promised({ height: 2, index: 0 })).toBe(`promise: ${name} at 2/0 is not there`);
    expect(promised({ ...place, receipt: { ...receipt, gasUsed: 1 } })).toBe(
      `promise: ${name} at 1/0 has another receipt`,
    );
  });

  it("before others knew comes true, or is found", () => {
    const waiting = (index: number, of: Transaction) => {
      const chain = goodChain();
      chain.canon.checkPromise(of.id, { height: 4, index });
      return chain;
    };
    const kept = waiting(0, fourth[0]);
    expect(found(() => kept.canon.checkNoneEarly())).toContain("at 4 never came");
    kept.add(...fourth);
    expect(found(() => kept.canon.checkNoneEarly())).toBeUndefined();
    expect(found(() => waiting(1, fourth[0]).add(...fourth))).toContain("is not there");
  });

  it("of what expired holds for every block to come, and of none that was", () => {
    const { canon } = goodChain();
    const name = first.id.slice(0, 8);
    expect(found(() => canon.noteExpired(first, timeOf(9_999)))).toBe(
      `promise: ${name} is not dropped`,
    );
    const open = simCall(9, { expiresAtMs: timeOf(4) + 2 });
    expect(found(() => canon.noteExpired(open, timeOf(4)))).toContain("a block could hold it");
    expect(found(() => canon.noteExpired(open, timeOf(4) + 1))).toBeUndefined();
  });

  it("of a used nonce is borne out by the chain, or stays open", () => {
    const { canon } = goodChain();
    const refusal = { code: "TRANSACTION_NONCE_USED", baseHeight: 0 };
    expect(isGrounded(simCall(4, { key: "k7" }), refusal, canon)).toBe(true);
    expect(isGrounded(simCall(3), refusal, canon)).toBe(false);
    expect(found(() => isGrounded(first, refusal, canon))).toBe(
      `refusal: ${name} is final, and refused as TRANSACTION_NONCE_USED`,
    );
    // A node that pruned it cannot know.
    expect(found(() => isGrounded(first, { ...refusal, baseHeight: 1 }, canon))).toBeUndefined();
  });

  it("of a nonce that is too old is borne out by one a window above", () => {
    const { canon } = goodChain().add(simCall(1_500));
    const refusal = { code: "TRANSACTION_NONCE_TOO_OLD", baseHeight: 0 };
    expect(isGrounded(simCall(476, { key: "k7" }), refusal, canon)).toBe(true);
    expect(isGrounded(simCall(477, { key: "k7" }), refusal, canon)).toBe(false);
  });

  it("of another one with its nonce needs another one", () => {
    const code = "TRANSACTION_NONCE_CONFLICT";
    expect(isTelling(first, code, true)).toBe(false);
    expect(found(() => isTelling(first, code, false))).toBe(
      `refusal: ${name} has no rival for nonce 1`,
    );
    expect(isTelling(first, "TRANSACTION_NONCE_USED", false)).toBe(true);
    expect(isTelling(first, "MEMPOOL_FULL", false)).toBe(false);
  });
});

describe("the state at the end", () => {
  const admit = { kind: "admit", candidate: { id: "m5", validatorKey: did(5), peerKey: did(6) } };

  /** What is found in a state, and in the same where a total has another value. */
  const foundAtEnd = (chain: SmallChain, key?: string) =>
    found(() => chain.canon.checkState(chain.entries(key)));

  it("has the root of its header", () => {
    expect(foundAtEnd(goodChain())).toBeUndefined();
    const root = "execution: the state has another root than its header";
    expect(foundAtEnd(goodChain(), "k0")).toBe(root);
  });

  it("has the totals of the transactions even where a call of the system changed others", () => {
    const changes = [total("k0", "7")];
    const chain = goodChain().addWrong([systemCall(1, "approveChange", { change: admit })], {
      receipts: (right) => right.map((receipt) => ({ ...receipt, changes })),
    });
    expect(foundAtEnd(chain, "k0")).toBe("execution: the totals are not those of the transactions");
  });

  it("has the members and candidates that the calls of the system lead to", () => {
    const chain = goodChain().addWrong([systemCall(1, "approveChange", { change: admit })]);
    const rows = [0, 1, 2, 3].map((node) => `system/member/m${node}`).join(" ");
    expect(foundAtEnd(chain)).toBe(
      `validators: the tables of members hold ${rows} system/validators/000000000001`,
    );
  });
});

it("a genesis that is not what it is hashed from is refused", () => {
  const { genesis, sets, sent } = new SmallChain();
  const options = { sets, sent, isHonest: () => true, heartbeatMs: 1 };
  const of = (change: Partial<typeof genesis>) =>
    found(() => new Canon({ ...options, genesis: { ...genesis, ...change } }));
  expect(of({})).toBeUndefined();
  const wrong = "execution: the genesis is not what it is hashed from";
  expect(of({ chainId: zero })).toBe(wrong);
  expect(of({ state: [...genesis.state].slice(1) as never })).toBe(wrong);
});
