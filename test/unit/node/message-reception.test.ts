/**
 * What messages cost before the core sees them, counted in signature checks; that evidence is not
 * lost by what is dropped; and, the other way round, that honest nodes decide among all of it.
 */
import { describe, expect, it } from "vitest";
import { type Block, blockOf } from "../../../src/base/format/block.ts";
import {
  type Claim,
  type ConsensusMessage,
  claimMessage,
  decodeMessage,
  encodeMessage,
  type ProposalMessage,
  type VoteMessage,
} from "../../../src/base/format/message.ts";
import { zeroHash } from "../../../src/base/hash.ts";
import type { Verifier } from "../../../src/base/keys.ts";
import { merkleRoot } from "../../../src/base/proof/merkle.ts";
import { nativeVerifier } from "../../../src/node/native-crypto.ts";
import { blockAt, chainId, drive, sorted, until } from "./driver-fixture.ts";

type Attachments = Partial<Pick<ProposalMessage, "roundChanges" | "prepares">>;

const keys = sorted.map(({ publicKey }) => publicKey);
const block = blockAt(1, zeroHash);
const other = blockOf({ ...block.header, timestampMs: 2 }, []);

/** A verifier that counts its checks. */
function counting() {
  const counted = {
    checks: 0,
    verifier: {
      verify(...what) {
        counted.checks += 1;
        return nativeVerifier.verify(...what);
      },
    } satisfies Verifier,
  };
  return counted;
}

function signed<C extends Claim>(signer: number, claim: C) {
  const { publicKey: validator, sign } = sorted[signer] as (typeof sorted)[0];
  return { ...claim, validator, signature: sign(claimMessage(claim, chainId)) };
}

function vote(signer: number, kind: "prepare" | "commit", of: Block = block, round = 0) {
  return signed(signer, { kind, height: 1, round, blockHash: of.hash });
}

function proposal(signer: number, round: number, of: Block, more: Attachments = {}) {
  const claim = signed(signer, { kind: "proposal", height: 1, round, blockHash: of.hash });
  return { ...claim, block: of, roundChanges: [], prepares: [], ...more };
}

function roundChange(signer: number, round: number, prepared?: readonly VoteMessage[]) {
  const reported = prepared && { round: 0, blockHash: block.hash };
  const claim = signed(signer, { kind: "roundChange", height: 1, round, prepared: reported });
  return { ...claim, preparedBlock: prepared && block, prepares: prepared ?? [] };
}

/** A driver without a key of its own, at height 1 or later, that proposes nothing by itself. */
function listener(height = 1, tipHash = zeroHash) {
  const counted = counting();
  const clock = { timeMs: 1_000, nowMs: () => clock.timeMs };
  const ledger = {
    chainId,
    tip: { height: height - 1, hash: tipHash },
    validators: () => keys,
    proposers: () => keys,
    hasWork: () => false,
    buildBlock: async () => undefined,
    checkBlock: async () => {},
  };
  const found = drive({ ledger, signer: undefined, verifier: counted.verifier, clock });
  const hear = (...messages: readonly ConsensusMessage[]) => {
    for (const message of messages) found.driver.receive(encodeMessage(message));
  };
  return { ...found, counted, hear, ledger, clock };
}

/** Waits until the core has taken all that came. */
const settled = () => new Promise((resolve) => setTimeout(resolve, 5));

describe("no signature is checked", () => {
  it("in a proposal out of turn, however long its lists are", async () => {
    const { driver, counted, hear } = listener();
    driver.start();
    const roundChanges = [0, 1, 2, 3].map((signer) => roundChange(signer, 3));
    hear(proposal(1, 3, block, { roundChanges }), proposal(2, 0, block));
    expect(counted.checks).toBe(0);
    await driver.stop();
  });

  it("in a message of a decided height, whatever it is", async () => {
    const { driver, counted, hear } = listener(100, "44".repeat(32));
    driver.start();
    const prepares = [0, 1, 2].map((signer) => vote(signer, "prepare"));
    hear(vote(1, "commit"), proposal(0, 0, block), roundChange(1, 1, prepares));
    expect(counted.checks).toBe(0);
    await driver.stop();
  });

  it("in what the core holds already, which is still seen", async () => {
    const { driver, counted, hear, clock } = listener();
    driver.start();
    const all = [vote(1, "prepare"), vote(1, "commit"), roundChange(2, 1), proposal(0, 0, block)];
    hear(...all);
    await settled();
    const { checks } = counted;
    expect(checks).toBe(4);
    clock.timeMs = 6_000;
    for (let copy = 0; copy < 10; copy += 1) hear(...all);
    expect(counted.checks).toBe(checks);
    expect(driver.status.validators.map(({ lastSeenMs }) => lastSeenMs)).toEqual([
      1_000,
      6_000,
      6_000,
      undefined,
    ]);
    await driver.stop();
  });

  it("of a stranger within a justification, and none before it", async () => {
    const { driver, counted, hear } = listener();
    const stranger = { ...vote(3, "prepare"), validator: "77".repeat(32) };
    const prepares = [vote(0, "prepare"), vote(1, "prepare"), vote(2, "prepare"), stranger];
    const prepared = { round: 0, blockHash: block.hash };
    const claim = signed(1, { kind: "roundChange", height: 2, round: 1, prepared });
    const ahead = { ...claim, preparedBlock: block, prepares };
    expect(() => hear(ahead)).toThrow("CONSENSUS_SIGNATURE_INVALID");
    expect(counted.checks).toBe(0);
    await driver.stop();
  });
});

describe("the content of a block", () => {
  const bytes = new Uint8Array(200).fill(1);
  const { header } = block;
  const full = blockOf({ ...header, transactionsRoot: merkleRoot([bytes]) }, [bytes]);
  const forged = { ...full, transactions: [new Uint8Array(200)] };
  const votes = [0, 1, 2].map((signer) => vote(signer, "prepare", full));
  const change = (signer: number, preparedBlock: Block) => {
    const prepared = { round: 0, blockHash: full.hash };
    const claim = signed(signer, { kind: "roundChange", height: 1, round: 1, prepared });
    return { ...claim, preparedBlock, prepares: votes };
  };

  it("is held against its header, also when a block of that hash is known", async () => {
    const { driver, hear } = listener();
    driver.start();
    expect(() => hear(change(1, forged))).toThrow("BLOCK_INVALID");
    hear(proposal(0, 0, full));
    await settled();
    expect(driver.core.proposal?.block.hash).toBe(full.hash);
    expect(() => hear(change(1, forged))).toThrow("BLOCK_INVALID");
    expect(() => hear(change(1, { ...full, transactions: [] }))).toThrow("BLOCK_INVALID");
    hear(change(1, full));
    await settled();
    expect(driver.core.roundChanges.size).toBe(1);
    await driver.stop();
  });
});

describe("evidence", () => {
  it("is found in a second vote, a proposal and a round change that the core has no use for", async () => {
    const { driver, counted, hear, equivocations } = listener();
    driver.start();
    hear(proposal(0, 0, block), vote(1, "commit"), roundChange(2, 1));
    await settled();
    const before = counted.checks;
    const late = { round: 0, blockHash: other.hash };
    const claim = signed(2, { kind: "roundChange", height: 1, round: 1, prepared: late });
    hear(proposal(0, 0, other), vote(1, "commit", other));
    hear({ ...claim, preparedBlock: other, prepares: [] });
    expect(equivocations.map(([{ kind }]) => kind)).toEqual(["proposal", "commit", "roundChange"]);
    expect(counted.checks).toBe(before + 3);
    await driver.stop();
  });

  it("costs one check a place: what else came with it is not looked at", async () => {
    const { driver, counted, hear, equivocations, ledger } = listener();
    driver.start();
    hear(roundChange(1, 1));
    await settled();
    ledger.tip = { height: 1, hash: block.hash };
    driver.noteAppended();
    await settled();
    const before = counted.checks;
    const prepares = [0, 1, 2].map((signer) => vote(signer, "prepare"));
    for (let copy = 0; copy < 5; copy += 1) hear(roundChange(1, 1, prepares));
    expect(equivocations).toHaveLength(1);
    expect(counted.checks).toBe(before + 1);
    await driver.stop();
  });

  it("is not taken from a claim that nobody signed", async () => {
    const { driver, hear, equivocations } = listener();
    driver.start();
    hear(vote(1, "commit"));
    await settled();
    const forged = { ...vote(2, "commit", other), validator: keys[1] as string };
    expect(() => hear(forged)).toThrow("CONSENSUS_SIGNATURE_INVALID");
    expect(equivocations).toEqual([]);
    await driver.stop();
  });

  it("of two claims that are of no use: proposals out of turn, votes of a decided height", async () => {
    const { driver, counted, hear, equivocations } = listener(100, "44".repeat(32));
    driver.start();
    const ahead = (of: Block) =>
      signed(1, { kind: "proposal", height: 100, round: 3, blockHash: of.hash });
    const outOfTurn = (of: Block) => ({ ...ahead(of), block: of, roundChanges: [], prepares: [] });
    hear(vote(1, "commit"), vote(1, "commit"), outOfTurn(block), vote(2, "commit"));
    expect(counted.checks).toBe(0);
    hear(vote(1, "commit", other), outOfTurn(other));
    expect(equivocations.map(([{ kind }]) => kind)).toEqual(["commit", "proposal"]);
    expect(counted.checks).toBe(4);
    // Once convicted for a place, more of the same costs nothing.
    hear(vote(1, "commit", other), vote(1, "commit"));
    expect(counted.checks).toBe(4);
    await driver.stop();
  });

  it("of a claim that was of no use and a later one that is", async () => {
    const { driver, hear, equivocations } = listener();
    driver.start();
    // Unjustified, so nobody looks at it; then a vote of the same key would do, too.
    hear(proposal(1, 1, other));
    const roundChanges = [0, 2, 3].map((signer) => roundChange(signer, 1));
    const own = blockOf({ ...block.header, proposer: keys[1] as string }, []);
    hear(proposal(1, 1, own, { roundChanges }));
    expect(equivocations.map(([{ kind }]) => kind)).toEqual(["proposal"]);
    await driver.stop();
  });

  it("is not kept back by a forged claim that came first or last", async () => {
    const { driver, hear, equivocations } = listener(100, "44".repeat(32));
    driver.start();
    const third = blockOf({ ...block.header, timestampMs: 3 }, []);
    const forged = (of: Block) => ({ ...vote(2, "commit", of), validator: keys[1] as string });
    hear(forged(third), vote(1, "commit"));
    expect(equivocations).toEqual([]);
    expect(() => hear(forged(third))).toThrow("CONSENSUS_SIGNATURE_INVALID");
    hear(vote(1, "commit", other));
    expect(equivocations).toHaveLength(1);
    // Nor by a forged signature for what it says itself.
    const mimicked = { ...vote(2, "prepare"), validator: keys[1] as string };
    hear(mimicked, vote(1, "prepare"), vote(1, "prepare", other));
    expect(equivocations).toHaveLength(2);
    await driver.stop();
  });
});

describe("an honest round", () => {
  it("is decided, each message checked once, while everything comes three times among junk", async () => {
    const counted = counting();
    const found = drive({ verifier: counted.verifier });
    const { driver, decisions, sent } = found;
    driver.start();
    await until(() => sent.some((bytes) => decodeMessage(bytes).kind === "prepare"));
    const honest = [1, 2].flatMap((signer) =>
      (["prepare", "commit"] as const).map((kind) => encodeMessage(vote(signer, kind))),
    );
    const junk = [proposal(3, 2, other), proposal(1, 0, other)].map(encodeMessage);
    for (let copy = 0; copy < 3; copy += 1) {
      for (const bytes of [...junk, ...honest]) driver.receive(bytes);
      await settled();
    }
    await until(() => decisions.length === 1);
    expect(decisions[0]?.block.hash).toBe(block.hash);
    expect(counted.checks).toBe(honest.length);
    await driver.stop();
  });
});
