/**
 * Liars that flood in bursts, and what they bring from another chain of the same keys: that it
 * costs nodes what it is meant to, and that it is what the other chain signed.
 */
import { describe, expect, it } from "vitest";
import { encodeBlock } from "../../../src/base/format/block.ts";
import {
  claimMessage,
  encodeCertificate,
  type ProposalMessage,
} from "../../../src/base/format/message.ts";
import { decodeTransaction, verifyTransaction } from "../../../src/base/format/transaction.ts";
import { verifyCertificate } from "../../../src/base/proof/certificate.ts";
import { decodeDecided, encodeDecided } from "../../../src/node/chain-follower.ts";
import { Random } from "../random.ts";
import { validatorKey, worldGenesis, worldVerifier } from "./chain.ts";
import { messageIn } from "./liar.ts";
import { OtherChain } from "./other-chain.ts";
import { type Plan, planOf } from "./plan.ts";
import { quietPlan, SmallChain, simCall } from "./small-chain.ts";
import { runWorld } from "./world.ts";

it("a liar that floods in bursts uses up its budget, and no word of another chain counts", async () => {
  const plan: Plan = {
    ...quietPlan,
    liars: [{ index: 3, tricks: ["flood", "otherChain"], bursts: { frames: 250, everyTicks: 4 } }],
    checkMs: 3,
    submitEveryMs: 1_000,
    // Its node fetches blocks from all, the liar too.
    actions: [{ kind: "wipe", node: 1, atMs: 2_500, lastsMs: 200 }],
    safetyMs: 4_000,
  };
  const { violation, faults } = await runWorld(plan);
  expect(violation).toBeUndefined();
  expect(faults.burst).toBeGreaterThan(1);
  expect(faults.overBudget).toBeGreaterThan(100);
  expect(faults.otherChain).toBeGreaterThan(5);
});

it("bursts are in some plans, always with nodes for which checking costs time", () => {
  const plans = Array.from({ length: 400 }, (_, seed) => planOf(seed));
  const isBursting = ({ liars }: Plan) => liars.some(({ bursts }) => bursts !== undefined);
  expect(plans.filter(isBursting).length).toBeGreaterThan(10);
  for (const plan of plans) expect(plan.checkMs !== undefined).toBe(isBursting(plan));
});

describe("what comes from the other chain", () => {
  const chain = new SmallChain().add(simCall(1), simCall(2));
  const { block, certificate } = chain.told[0] as NonNullable<(typeof chain.told)[0]>;
  const here = chain.genesis.chainId;
  const there = worldGenesis(quietPlan, "other").chainId;
  const other = new OtherChain({ chainId: there, count: 4, random: new Random(1) });
  const validators = [0, 1, 2, 3].map(validatorKey);
  /** Of what is drawn both forms come. */
  const many = <T>(make: () => T) => Array.from({ length: 12 }, make);

  it("are votes and proposals that everybody signed there, and not here", () => {
    const at = { height: 1, round: 0, blockHash: block.hash };
    const proposals = many(() => other.proposal(block, 0));
    const later = other.proposal(block, 2);
    for (const frame of [...other.votes(at), ...proposals, later]) {
      const message = messageIn(frame) as ProposalMessage;
      const holds = (chainId: string) =>
        [message, ...(message.roundChanges ?? [])].every((claim) =>
          worldVerifier.verify(claimMessage(claim, chainId), claim.signature, claim.validator),
        );
      expect([holds(there), holds(here)]).toEqual([true, false]);
    }
    const chains = proposals.map((frame) => (messageIn(frame) as ProposalMessage).block.header);
    expect(new Set(chains.map(({ chainId }) => chainId))).toEqual(new Set([here, there]));
    expect((messageIn(later) as ProposalMessage).roundChanges).toHaveLength(4);
  });

  it("are blocks whose certificates hold there, and not here", () => {
    const bytes = encodeDecided(encodeBlock(block), encodeCertificate(certificate));
    const decided = many(() => decodeDecided(other.decided(bytes)));
    for (const { block: own, certificate: of } of decided) {
      const verify = (chainId: string) => () =>
        verifyCertificate(of, own.header, { chainId, validators, verifier: worldVerifier });
      expect(verify(here)).toThrow();
      if (own.header.chainId === there) expect(verify(there)).not.toThrow();
    }
    expect(new Set(decided.map(({ block: own }) => own.header.chainId)).size).toBe(2);
  });

  it("are transactions that clients signed there", () => {
    const transactions = other.transactions(block).map(decodeTransaction);
    expect(transactions.map(({ chainId }) => chainId)).toEqual([there, there]);
    expect(transactions.every((each) => verifyTransaction(each, worldVerifier))).toBe(true);
  });
});
