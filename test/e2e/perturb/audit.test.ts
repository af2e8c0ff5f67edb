/**
 * The audit of perturbed ledgers finds what is wrong: a good run passes, and every row below spoils
 * one thing in it. The chain is made by the product's codecs, so the formats that the audit has of
 * its own are compared with them, too.
 */
import { describe, expect, it } from "vitest";
import { bytesToHex } from "../../../src/base/bytes.ts";
import { type Block, blockOf, encodeHeader } from "../../../src/base/format/block.ts";
import { didOf } from "../../../src/base/format/did.ts";
import { encodeCertificate } from "../../../src/base/format/message.ts";
import {
  decodeWindow,
  encodeWindow,
  useNonce,
  windowKey,
} from "../../../src/base/format/replay-window.ts";
import { signTransaction } from "../../../src/base/format/transaction.ts";
import { valueHashOf } from "../../../src/base/hash.ts";
import { merkleRoot } from "../../../src/base/proof/merkle.ts";
import { portableSigner } from "../../../src/base/signer.ts";
import { StateTree } from "../../../src/ledger/state-tree.ts";
import { certify, testGenesis } from "../../helpers/chain.ts";
import { type AuditInput, audit } from "./audit.ts";
import type { BlockCopy, ChangeCopy } from "./chain-copy.ts";
import type { TimedEntry } from "./history.ts";
import { drawPlan, kinds } from "./plan.ts";

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
type Transaction = BlockCopy["transactions"][number];
type SpoiltBlock = Mutable<Omit<BlockCopy, "transactions">> & { transactions: Transaction[] };

/** A run that may be changed. */
type Spoilt = {
  founding: Mutable<AuditInput["founding"]>;
  chains: SpoiltBlock[][];
  changes: Map<string, readonly ChangeCopy[]>;
  history: TimedEntry[];
};

const blockCount = 30;
const sender = portableSigner(new Uint8Array(32).fill(77));
const did = didOf(sender.publicKey);
const genesis = testGenesis();
const good = goodRun();

/** A run without a fault, with all that may happen in one. */
function goodRun(): AuditInput {
  const { chainId, validators, state } = genesis;
  const texts = new Map(state);
  const changes = new Map<string, { key: string; valueHash: string }[]>();
  const history: TimedEntry[] = [];
  const chain: BlockCopy[] = [copyOf(blockOf(genesis.header, []), null, [])];
  let parent = blockOf(genesis.header, []);
  for (let height = 1; height <= blockCount; height += 1) {
    const timestampMs = parent.header.timestampMs + 1_000;
    const nonces = [2 * height, 2 * height + 1];
    const signed = nonces.map((nonce) => transactionOf(nonce, timestampMs + 5_000));
    for (const { id, nonce } of signed) {
      texts.set("toy/latest", `${nonce}`);
      changes.set(id, [{ key: "toy/latest", valueHash: valueHashOf(`${nonce}`) }]);
      const window = useNonce(decodeWindow(texts.get(windowKey(did))), nonce);
      texts.set(windowKey(did), encodeWindow(window));
    }
    const hashes = [...texts].sort().map(([key, text]) => [key, valueHashOf(text)] as const);
    const header = {
      ...genesis.header,
      ...{ chainId, height, parentHash: parent.hash, timestampMs },
      transactionsRoot: merkleRoot(signed.map(({ bytes }) => bytes)),
      stateRoot: StateTree.fromSorted(hashes).root,
    };
    parent = blockOf(header, []);
    const lines = signed.map(({ id, nonce }) => ({ id, sender: did, nonce, outcome: "ok" }));
    chain.push(copyOf(parent, bytesToHex(encodeCertificate(certify(parent))), lines));
    history.push(...toldOf(chain[height] as BlockCopy, timestampMs + 5_000));
  }
  history.push(...unfinished(chain[1] as BlockCopy));
  const chains = [chain, structuredClone(chain), structuredClone(chain).slice(0, -1)];
  return { founding: { chainId, validators, quorum: 3, state }, chains, changes, history };
}

function transactionOf(nonce: number, expiresAtMs: number) {
  const call = { contract: "toy", method: "put", argsJson: "{}" };
  const body = { chainId: genesis.chainId, nonce, expiresAtMs, ...call, gasLimit: 3_000_000 };
  return signTransaction(body, sender);
}

function copyOf(
  { header, hash }: Block,
  certificateBytes: string | null,
  transactions: BlockCopy["transactions"],
): BlockCopy {
  const { height, parentHash, timestampMs, stateRoot } = header;
  const headerBytes = bytesToHex(encodeHeader(header));
  const told = { height, hash, parentHash, timestampMs, stateRoot };
  return { ...told, headerBytes, certificateBytes, transactions };
}

/** What clients learn of a block. */
function toldOf(block: BlockCopy, expiresAtMs: number): TimedEntry[] {
  const { height, hash, stateRoot } = block;
  const of = block.transactions.flatMap(({ id, nonce, outcome }, index): TimedEntry[] => [
    { atMs: height, kind: "signed", id, sender: did, nonce, expiresAtMs },
    { atMs: height, kind: "sent", id, node: 0 },
    { atMs: height, kind: "accepted", id, node: 0 },
    { atMs: height, kind: "final", id, node: 1, height, index, blockHash: hash, outcome },
    { atMs: height, kind: "final", id, node: 2, height, index, outcome },
  ]);
  return [...of, { atMs: height, kind: "tip", node: height % 2, height, hash, stateRoot }];
}

/** Transactions that are not in the chain for good reasons, and a node that begins anew. */
function unfinished({ height, hash, stateRoot }: BlockCopy): TimedEntry[] {
  const atMs = 99;
  const never = Number.MAX_SAFE_INTEGER;
  return [
    { atMs, kind: "signed", id: "expired", sender: did, nonce: 900, expiresAtMs: 1 },
    { atMs, kind: "accepted", id: "expired", node: 2 },
    { atMs, kind: "signed", id: "rival", sender: did, nonce: 2, expiresAtMs: never },
    { atMs, kind: "accepted", id: "rival", node: 2 },
    { atMs, kind: "dropped", id: "rival", node: 1, code: "TRANSACTION_NONCE_USED" },
    { atMs, kind: "signed", id: "forgotten", sender: did, nonce: 901, expiresAtMs: never },
    { atMs, kind: "accepted", id: "forgotten", node: 0 },
    { atMs, kind: "ended", node: 0 },
    { atMs, kind: "wiped", node: 0 },
    { atMs, kind: "tip", node: 0, height, hash, stateRoot },
  ];
}

/** What is found after one thing was spoilt. */
function found(spoil: (run: Spoilt) => void): string {
  const run = structuredClone(good) as unknown as Spoilt;
  spoil(run);
  return audit(run).join("\n");
}

function blockOfRun({ chains }: Spoilt, height: number, node = 0): SpoiltBlock {
  return chains[node]?.[height] as SpoiltBlock;
}

function entryOf<K extends TimedEntry["kind"]>({ history }: Spoilt, kind: K) {
  return history.find((entry) => entry.kind === kind) as Mutable<Extract<TimedEntry, { kind: K }>>;
}

it("finds nothing in a run without a fault", () => {
  expect(audit(good)).toEqual([]);
});

const ofChains: Readonly<Record<string, [spoil: (run: Spoilt) => void, problem: RegExp]>> = {
  "a fork": [
    (run) => blockOfRun(run, 5, 1).transactions.reverse(),
    /node 1: block 5 is not that of node 0/,
  ],
  "a block that is not its header": [
    (run) => {
      blockOfRun(run, 5).timestampMs += 1;
    },
    /block 5 is not its header/,
  ],
  "a header with another hash": [
    (run) => {
      for (const node of [0, 1, 2])
        blockOfRun(run, 5, node).headerBytes = blockOfRun(run, 6).headerBytes;
    },
    /block 5 is not its header/,
  ],
  "a broken link": [(run) => run.chains[0]?.splice(7, 1), /block 8 has another parent|at height 7/],
  "a certificate of another block": [
    (run) => {
      blockOfRun(run, 5).certificateBytes = blockOfRun(run, 6).certificateBytes;
    },
    /block 5 is certified by 0 validators/,
  ],
  "a forged signature": [
    (run) => {
      const block = blockOfRun(run, 5);
      block.certificateBytes = `${block.certificateBytes?.slice(0, -2)}00`;
    },
    /block 5 is certified by 2 validators/,
  ],
  "a quorum that is too small": [
    (run) => {
      run.founding.quorum = 4;
    },
    /block 1 is certified by 3 validators/,
  ],
  "another genesis": [
    (run) => {
      run.founding.chainId = blockOfRun(run, 1).hash;
    },
    /another genesis/,
  ],
  "a transaction twice": [
    (run) => {
      for (const chain of run.chains)
        chain[9]?.transactions.push({
          ...(chain[3]?.transactions[0] as Transaction),
          nonce: 500,
        });
    },
    /transaction \w+ is in blocks 3 and 9/,
  ],
  "a nonce twice": [
    (run) => {
      for (const node of [0, 1, 2])
        Object.assign(blockOfRun(run, 9, node).transactions[0] ?? {}, { nonce: 4 });
    },
    /nonce 4 of did:key:\w+ is in blocks 2 and 9/,
  ],
  "a change that no receipt lists": [
    (run) => run.changes.set(blockOfRun(run, blockCount).transactions[1]?.id ?? "", []),
    /block 30 has another state root/,
  ],
};

const ofHistory: Readonly<Record<string, [spoil: (run: Spoilt) => void, problem: RegExp]>> = {
  "a final transaction that is missing": [
    (run) => {
      entryOf(run, "final").id = "unknown";
    },
    /told final by node 1: unknown at .*, found: undefined/,
  ],
  "a final transaction at another place": [
    (run) => {
      entryOf(run, "final").index = 1;
    },
    /told final by node 1/,
  ],
  "a final transaction in another block": [
    (run) => {
      entryOf(run, "final").blockHash = genesis.chainId;
    },
    /told final by node 1/,
  ],
  "a word that was never proven": [
    (run) => {
      const entry = run.history.find((each) => each.kind === "final" && each.node === 2);
      Object.assign(entry ?? {}, { index: 7 });
    },
    /told final by node 2/,
  ],
  "a word that was never proven, of what is in no block": [
    (run) => {
      const entry = run.history.find((each) => each.kind === "final" && each.node === 2);
      Object.assign(entry ?? {}, { id: "forgotten" });
    },
    /told final by node 2: forgotten at .* found: undefined/,
  ],
  "a false proof": [
    (run) => run.history.push({ atMs: 1, kind: "unproven", id: "any", node: 1, text: "path" }),
    /node 1 calls any final without proof: path/,
  ],
  "another outcome": [
    (run) => {
      entryOf(run, "final").outcome = "CONTRACT_TRAP";
    },
    /told final by node 1.*\n.*failed: CONTRACT_TRAP/,
  ],
  "a tip that is not in the chain": [
    (run) => {
      entryOf(run, "tip").hash = genesis.chainId;
    },
    /node 1 told tip 1/,
  ],
  "a tip with another state": [
    (run) => {
      entryOf(run, "tip").stateRoot = genesis.chainId;
    },
    /node 1 told tip 1/,
  ],
  "a node that lost blocks": [
    (run) => {
      run.history = run.history.filter(({ kind }) => kind !== "wiped");
    },
    /node 0 fell from height 30 to 1/,
  ],
  "a transaction that nobody signed": [
    (run) => run.history.shift(),
    /block 1 holds \w+, which nobody signed/,
  ],
  "an expired transaction in a block": [
    (run) => {
      entryOf(run, "signed").expiresAtMs = blockOfRun(run, 1).timestampMs;
    },
    /block 1 holds \w+, which expired/,
  ],
  "a dropped transaction that is final": [
    (run) => {
      entryOf(run, "dropped").id = entryOf(run, "final").id;
    },
    /node 1 dropped \w+ \(TRANSACTION_NONCE_USED\), which is final/,
  ],
  "an accepted transaction that was forgotten": [
    (run) => {
      run.history = run.history.filter(({ kind }) => kind !== "ended");
    },
    /forgotten was accepted by node 0 and is neither final nor expired/,
  ],
  "an accepted transaction that is not expired yet": [
    (run) => {
      const entry = run.history.find((each) => each.kind === "signed" && each.id === "expired");
      Object.assign(entry ?? {}, { expiresAtMs: blockOfRun(run, blockCount).timestampMs + 1 });
    },
    /expired was accepted by node 2/,
  ],
};

describe("finds in the chains", () => {
  it.each(Object.entries(ofChains))("%s", (_, [spoil, problem]) => {
    expect(found(spoil)).toMatch(problem);
  });
});

describe("finds in what clients were told", () => {
  it.each(Object.entries(ofHistory))("%s", (_, [spoil, problem]) => {
    expect(found(spoil)).toMatch(problem);
  });
});

describe("plans", () => {
  const plans = Array.from({ length: 24 }, (_, index) => drawPlan(7, index));

  it("follow from their seed and index", () => {
    expect(plans).toEqual(plans.map((_, index) => drawPlan(7, index)));
    expect(new Set(plans.map((plan) => JSON.stringify(plan.phases))).size).toBe(24);
    expect(drawPlan(8, 0).phases).not.toEqual(plans[0]?.phases);
  });

  it("do every kind to every set of nodes within 24 of a seed, but never wipe all nodes", () => {
    const done = new Set(
      plans.flatMap(({ phases }) =>
        phases.flatMap(({ perturbations }) =>
          perturbations.map(({ kind, nodes }) => `${kind} ${nodes.join("")}`),
        ),
      ),
    );
    const subsets = Array.from({ length: 15 }, (_, place) =>
      [0, 1, 2, 3].filter((node) => ((place + 1) >> node) & 1).join(""),
    );
    const wanted = kinds.flatMap((kind) => subsets.map((nodes) => `${kind} ${nodes}`));
    expect(wanted.filter((each) => !done.has(each))).toEqual(["wipe 0123"]);
  });

  it("never do two things to one node at a time", () => {
    for (const { phases } of plans)
      for (const { perturbations } of phases) {
        const nodes = perturbations.flatMap((each) => each.nodes);
        expect(new Set(nodes).size).toBe(nodes.length);
      }
  });
});
