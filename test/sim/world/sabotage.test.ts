/**
 * Whole simulated runs in which one node is sabotaged: the checker that must see it does, so all
 * are fitted into the world. Each ends with what it finds, after little virtual time. What each
 * checker finds one by one: checkers, watches, holdings and set-model, `.test.ts`.
 */
import { expect, it } from "vitest";
import { LedgerError } from "../../../src/base/errors.ts";
import { limits } from "../../../src/base/limits.ts";
import type { Appended } from "../../../src/ledger/ledger-types.ts";
import type { Running, WorldNode } from "./node.ts";
import type { Outcome, WorldObserver } from "./outcome.ts";
import type { Plan } from "./plan.ts";
import { quietPlan } from "./small-chain.ts";
import { noSnapshots } from "./snapshot-plan.ts";
import { runWorld } from "./world.ts";

const victim = 1;
/** Few heights. */
const slowly = { submitEveryMs: 1_500 };

/** Runs a world; `onOpened` and `onAppended` see the victim only. */
async function run(
  { onOpened, onAppended }: Pick<WorldObserver, "onOpened" | "onAppended">,
  change: Partial<Plan> = {},
): Promise<Outcome> {
  const of =
    <T>(see: ((node: WorldNode, what: T) => void) | undefined) =>
    (node: WorldNode, what: T) => {
      if (node.index === victim) see?.(node, what);
    };
  const observer = { onOpened: of<Running>(onOpened), onAppended: of<Appended>(onAppended) };
  return runWorld({ ...quietPlan, ...change }, { observer });
}

const nodes: Readonly<Record<string, [NonNullable<WorldObserver["onOpened"]>, RegExp]>> = {
  "signs what is not on disk": [
    (node) => {
      node.disk.writeRecord = async () => {};
    },
    /^signing: \w+ \d\/0 is not on disk when signed$/,
  ],
  "appends a block twice": [
    (_, { ledger }) => {
      const onAppend = ledger.onAppend.bind(ledger);
      ledger.onAppend = (listener) => {
        onAppend((appended) => listener(appended));
        return onAppend(listener);
      };
    },
    /^density: node 1 has 1 after 1$/,
  ],
  "blames an honest peer": [
    (_, { shell }) => {
      shell.intake.judge = async (_from, transactions) => transactions.map(() => "reject");
    },
    /^blame: node 1 refuses what node \d gossips$/,
  ],
  "votes no more": [
    (_, { driver }) => driver.halt("of the test"),
    /^halt: node 1 votes no more: of the test$/,
  ],
  "keeps too much in its core": [
    (_, { driver }) => {
      const { core } = driver;
      Object.defineProperty(driver, "core", { value: { ...core, own: Array(5).fill({}) } });
    },
    /^memory: a core keeps 5 own messages$/,
  ],
  "says that a transaction is final where it is not": [
    (_, { ledger }) => {
      ledger.status = async () => ({ status: "final", height: 1, index: 9 }) as never;
    },
    /^promise: \w+ at 1\/9 is not there$/,
  ],
  "says that a transaction has expired that has not": [
    (_, { ledger }) => {
      ledger.status = async () => ({ status: "dropped", code: "TRANSACTION_EXPIRED" });
    },
    /^promise: \w+ is (not dropped|dropped, and a block could hold it)$/,
  ],
  "speaks of a rival that there is not": [
    (_, { shell }) => {
      shell.submit = async () => {
        throw new LedgerError("TRANSACTION_NONCE_CONFLICT", {
          sender: "",
          nonce: 1,
          pendingId: "",
        });
      };
    },
    /^refusal: \w+ has no rival for nonce \d+$/,
  ],
  "answers that a block is not there": [
    (_, { ledger }) => {
      ledger.readBlock = async () => undefined;
    },
    /^density: node 1 lacks \d+$/,
  ],
  "has another state at the end": [
    (_, { ledger }) => {
      const { state } = ledger;
      const range = () => [];
      Object.defineProperty(ledger, "state", { value: { ...state, range } });
    },
    /^execution: the state has another root than its header$/,
  ],
};

it.each(Object.entries(nodes))("a node that %s is found", async (_, [onOpened, message]) => {
  const { violation } = await run({ onOpened }, slowly);
  expect(violation?.message).toMatch(message);
});

const blocks: Readonly<Record<string, [(appended: Appended) => Partial<Appended>, string]>> = {
  "with too few signers": [
    ({ certificate }) => {
      const signatures = certificate.signatures.slice(0, 2);
      return { certificate: { ...certificate, signatures } };
    },
    "certificate: of 2: only 2 signers",
  ],
  "with another receipt": [
    ({ receipts }) => ({ receipts: receipts.map((receipt) => ({ ...receipt, outcome: "no" })) }),
    "execution: two lists of receipts at 2",
  ],
  "without its transactions": [
    ({ block }) => ({ block: { ...block, transactions: [] } }),
    "agreement: two lists of transactions at 2",
  ],
};

it.each(Object.entries(blocks))("a block %s is found", async (_, [spoil, message]) => {
  const onAppended = (_: WorldNode, appended: Appended) => {
    if (appended.block.header.height === 2) Object.assign(appended, spoil(appended));
  };
  const { violation } = await run({ onAppended });
  expect(violation?.message).toBe(message);
});

it("nodes that remember totals wrongly are found by a question in the middle of a run", async () => {
  const onOpened = (_: WorldNode, { store }: Running) => {
    store.readValueAt = async () => ({ writtenAt: 1, value: "7" });
  };
  const { violation } = await runWorld({ ...quietPlan, ...slowly }, { observer: { onOpened } });
  expect(violation?.message).toMatch(/^pruned: node \d: sim\/total\/k\d at \d+ is 7, not /);
});

it("a node that never catches up is found 15 s after the faults ended, where it may need a snapshot", async () => {
  const deaf = (_: WorldNode, { driver, follower }: Running) => {
    driver.receive = () => {};
    follower.poke = () => {};
  };
  const nodes = Array.from({ length: quietPlan.count }, () => noSnapshots);
  const snapshots = { interval: limits.snapshotIntervalMin, nodes, strikeShare: 0 };
  const { violation } = await run(
    { onOpened: deaf },
    {
      ...slowly,
      ...{ safetyMs: 5_000, writeMsMax: 0, callMsMax: 0, snapshots },
    },
  );
  expect(violation?.message).toMatch(
    /^latency: without the blocks of others 15000 ms after the faults ended: /,
  );
});

it("a network that decides nothing is found after 10 s in which a quorum is there", async () => {
  const onOpened = ({ index }: WorldNode, { driver }: Running) => {
    if (index >= 2) driver.receive = () => {};
  };
  const { violation } = await runWorld({ ...quietPlan, ...slowly }, { observer: { onOpened } });
  expect(violation?.message).toMatch(/^latency: no block 10000 ms after a quorum was there: /);
});

it("a client that never hears of its transaction is found 5 s after the last one", async () => {
  const onOpened = (_: WorldNode, { ledger }: Running) => {
    ledger.status = () => new Promise(() => {});
  };
  const { violation } = await run({ onOpened }, slowly);
  expect(violation?.message).toMatch(/^latency: not settled 5000 ms after the last one \(\w+ open/);
});
