/**
 * What watches single nodes in the simulator passes what is right and finds the one thing that is
 * made wrong: signatures, votes, words about others, cores, acknowledged blocks.
 */
import { describe, expect, it } from "vitest";
import { type Claim, encodeMessage } from "../../../src/base/format/message.ts";
import type { SigningRecord } from "../../../src/base/format/signing-record.ts";
import { directFrame } from "../../../src/node/transaction-intake.ts";
import { signedBy } from "../fake-keys.ts";
import { checkBlame } from "./blame.ts";
import { peerKey, validatorKey } from "./chain.ts";
import { checkCore } from "./core-watch.ts";
import { EquivocationSight } from "./equivocation-sight.ts";
import { found } from "./found.ts";
import { Kept } from "./kept.ts";
import type { WorldNode } from "./node.ts";
import type { SetModel } from "./set-model.ts";
import { SetWatch } from "./set-watch.ts";
import { signedBytes } from "./signed-bytes.ts";
import { SigningWatch } from "./signing-watch.ts";
import {
  quietPlan,
  readyOf,
  reportOf,
  SmallChain,
  simCall,
  systemCall,
  twoHashes,
} from "./small-chain.ts";
import { VoterWatch } from "./voters.ts";

const { chainId } = new SmallChain().genesis;
const [blockHash, otherHash] = twoHashes;
const zero = "00".repeat(32);

type VoteKind = "proposal" | "prepare" | "commit";
const vote = (kind: VoteKind, height = 1, round = 0, hash = blockHash) =>
  ({ kind, height, round, blockHash: hash }) as const;
const roundChange = (height: number, round: number, prepared?: { round: number }): Claim => {
  return { kind: "roundChange", height, round, prepared: prepared && { ...prepared, blockHash } };
};

/** A node as far as these checks look at it. */
function nodeOf(index: number, fields: object = {}): WorldNode {
  return { index, key: validatorKey(index), isLiar: false, ...fields } as unknown as WorldNode;
}

describe("signing", () => {
  const record = (height: number, round: number, claims: readonly Claim[]): SigningRecord => {
    return { height, round, claims, proposal: undefined, prepared: undefined };
  };
  const key = validatorKey(0);

  /** Signs claims with the record that each must have, or with this one. */
  function signing(claims: readonly Claim[], on?: SigningRecord | null): string | undefined {
    const watch = new SigningWatch(chainId);
    return found(() => {
      for (const claim of claims) {
        const own = record(claim.height, claim.round, [claim]);
        watch.note(key, signedBytes(chainId, claim), on === null ? undefined : (on ?? own));
      }
    });
  }

  it("goes upwards, and the same again", () => {
    const ascending = [vote("proposal"), vote("prepare"), vote("commit"), roundChange(1, 1)];
    expect(signing(ascending)).toBeUndefined();
    expect(signing([vote("prepare"), vote("prepare"), vote("commit")])).toBeUndefined();
  });

  it("two things in one place is found, and one below the highest", () => {
    expect(signing([vote("prepare"), vote("prepare", 1, 0, otherHash)])).toBe(
      "signing: two prepares of one validator in 1/0",
    );
    expect(signing([roundChange(1, 2), roundChange(1, 2, { round: 0 })])).toBe(
      "signing: two roundChanges of one validator in 1/2",
    );
    expect(signing([vote("prepare", 2), vote("commit", 1)])).toBe(
      "signing: a commit below the highest slot in 1/0",
    );
  });

  it("is of each key its own matter", () => {
    const watch = new SigningWatch(chainId);
    for (const [index, hash] of [blockHash, otherHash].entries()) {
      const claim = vote("prepare", 1, 0, hash);
      watch.note(validatorKey(index), signedBytes(chainId, claim), record(1, 0, [claim]));
    }
  });

  it.each<[string, SigningRecord | null]>([
    ["nothing", null],
    ["a record of another claim", record(1, 0, [vote("prepare", 1, 0, otherHash)])],
    ["a record of an earlier round", record(1, 0, [])],
    ["a record of another height", record(2, 0, [vote("commit", 2)])],
    ["a later round that forgets what was committed", record(1, 2, [])],
  ])("with %s on disk is found", (_, on) => {
    expect(signing([vote("commit", 1, 1)], on)).toBe(
      "signing: commit 1/1 is not on disk when signed",
    );
  });

  it("is covered by a later round that knows what was committed", () => {
    const prepared = { round: 1, block: undefined as never, prepares: [] };
    expect(signing([vote("commit", 1, 1)], { ...record(1, 2, []), prepared })).toBeUndefined();
  });

  it("over other bytes than the rules say is found", () => {
    const watch = new SigningWatch(chainId);
    const bytes = signedBytes(otherHash, vote("prepare"));
    const on = record(1, 0, [vote("prepare")]);
    expect(found(() => watch.note(key, bytes, on))).toBe(
      "signing: a prepare is signed over other bytes than the rules say",
    );
  });
});

describe("voters", () => {
  /** Node 3 votes at height 3 and later. */
  function watchAt(height: number) {
    const at = { height };
    const all = [0, 1, 2, 3].map(validatorKey);
    const sets = { at: (of: number) => (of < 3 ? all.slice(0, 3) : all) } as unknown as SetModel;
    return { at, watch: new VoterWatch({ chainId, sets, finalHeight: () => at.height }) };
  }
  const bytes = (height: number) => signedBytes(chainId, vote("prepare", height));
  const name = validatorKey(3).slice(0, 8);

  it("may sign where they vote, and nowhere else", () => {
    const { watch } = watchAt(2);
    expect(found(() => watch.note(validatorKey(3), bytes(3)))).toBeUndefined();
    expect(found(() => watch.note(validatorKey(0), bytes(2)))).toBeUndefined();
    expect(found(() => watch.note(validatorKey(3), bytes(2)))).toBe(
      `voters: ${name} signs for 2 and is no validator`,
    );
  });

  it("that sign early are looked at when it is known who votes", () => {
    const early = (height: number, key: string) => {
      const { at, watch } = watchAt(0);
      watch.note(key, bytes(height));
      at.height = height - 1;
      return found(() => watch.noteFinal());
    };
    expect(early(3, validatorKey(3))).toBeUndefined();
    expect(early(2, validatorKey(3))).toBe(`voters: ${name} signs for 2 and is no validator`);
  });
});

describe("words of nodes", () => {
  const liarKeys = new Set([validatorKey(3)]);

  function watched() {
    const chain = new SmallChain((key) => !liarKeys.has(key)).add(simCall(1)).add(simCall(2));
    const { sets, canon, sent } = chain;
    const liars = [{ index: 3, tricks: ["equivocate"] }] as const;
    const plan = { ...quietPlan, liars };
    const watch = new SetWatch({ plan, chainId, sets, canon, liarKeys, sent });
    return { chain, watch };
  }
  const at = (height: number) => ({ running: { ledger: { tip: { height } } } });

  it("that accuse a liar are right, and those that accuse another are found", () => {
    const say = (of: number, isLiar = false) => {
      const call = systemCall(1, "reportEquivocation", reportOf(of, 1));
      return found(() => watched().watch.onOwnCall(nodeOf(1, { ...at(2), isLiar }), call.bytes));
    };
    expect(say(3)).toBeUndefined();
    expect(say(2, true)).toBeUndefined();
    const name = validatorKey(2).slice(0, 8);
    expect(say(2)).toBe(`equivocation: node 1 accuses ${name}, wrongly`);
  });

  it("about what their own ledger has on record are found", () => {
    const { chain, watch } = watched();
    chain.add(systemCall(1, "reportEquivocation", reportOf(3, 1), peerKey(0)));
    const say = (nonce: number, height: number, tip: number) => {
      const call = systemCall(nonce, "reportEquivocation", reportOf(3, height));
      return found(() => watch.onOwnCall(nodeOf(1, at(tip)), call.bytes));
    };
    expect(say(2, 1, 2)).toBeUndefined();
    expect(say(3, 2, 3)).toBeUndefined();
    expect(say(4, 1, 3)).toBe("reports: node 1 reports what is on record");
  });

  it("of a candidate name blocks of the chain", () => {
    const { chain, watch } = watched();
    const hash = chain.told[1]?.block.hash as string;
    const say = (height: number, of: string) => {
      const call = systemCall(height + 1, "declareReady", readyOf(5, height, of));
      return found(() => watch.onOwnCall(nodeOf(5), call.bytes));
    };
    expect(say(2, hash)).toBeUndefined();
    expect(say(0, chainId)).toBeUndefined();
    expect(say(9, blockHash)).toBeUndefined();
    expect(say(1, hash)).toBe("readiness: a candidate has another block 1");
  });

  it("that put an honest validator on record are found in the chain", () => {
    const { chain } = watched();
    const call = systemCall(1, "reportEquivocation", reportOf(2, 1), peerKey(0));
    const name = validatorKey(2).slice(0, 8);
    expect(found(() => chain.add(call))).toBe(`equivocation: 3: ${name} is honest`);
  });

  it("about a liar that everybody saw must come", () => {
    const { chain, watch } = watched();
    const core = { height: 3, validators: [0, 1, 2, 3].map(validatorKey) };
    const witness = nodeOf(0, { running: { driver: { core } }, life: { isPaused: false } });
    watch.watchLiars([witness], [[0, 1, 2, 3]]);
    expect(watch.areLiarsReported).toBe(true);
    for (const hash of [blockHash, otherHash])
      watch.onDeliver(witness, frameOf(3, vote("prepare", 3, 0, hash)), 1_000);
    expect(watch.areLiarsReported).toBe(false);
    chain.add(systemCall(1, "reportEquivocation", reportOf(3, 3), peerKey(0)));
    expect(watch.areLiarsReported).toBe(true);
  });
});

function frameOf(index: number, claim: ReturnType<typeof vote>, chain = chainId): Uint8Array {
  const message = signedBy(validatorKey(index), claim, chain) as Parameters<
    typeof encodeMessage
  >[0];
  return directFrame("consensus", encodeMessage(message));
}

describe("the sight of a contradiction", () => {
  const core = { height: 3, validators: [0, 1, 2, 3].map(validatorKey) };
  const witness = (life = { isPaused: false }) =>
    nodeOf(0, { running: { driver: { core } }, life });

  /** Whether two frames show that validator 3 contradicts itself. */
  function shows(first: Uint8Array, second: Uint8Array, apartMs = 100, node = witness()): boolean {
    const sight = new EquivocationSight(chainId, [validatorKey(3)]);
    sight.note(node, first, 0);
    sight.note(node, second, apartMs);
    return sight.visible.size > 0;
  }
  const frame = (hash: string, height = 3, index = 3, chain = chainId) =>
    frameOf(index, vote("commit", height, 0, hash), chain);

  it("is two votes of a liar for one place of the height at work, soon after each other", () => {
    expect(shows(frame(blockHash), frame(otherHash))).toBe(true);
    expect(shows(frame(blockHash), frame(blockHash))).toBe(false);
    expect(shows(frame(blockHash), frame(otherHash, 4))).toBe(false);
    expect(shows(frame(blockHash), frame(otherHash, 3, 2))).toBe(false);
    expect(shows(frame(blockHash), frame(otherHash, 3, 3, otherHash))).toBe(false);
    expect(shows(frame(blockHash), frame(otherHash), 3_001)).toBe(false);
    expect(shows(frame(blockHash), frame(otherHash), 0, witness({ isPaused: true }))).toBe(false);
  });
});

describe("acknowledged blocks", () => {
  const node = nodeOf(1);
  const hashes = [chainId, blockHash, otherHash];

  function kept(height: number): Kept {
    const all = new Kept((of) => hashes[of]);
    for (let next = 1; next <= height; next += 1) all.onAppended(node, next);
    return all;
  }

  it("come one after the other and stay", () => {
    expect(found(() => kept(3).onOpened(node, { height: 3, hash: zero }))).toBeUndefined();
    expect(found(() => kept(2).onOpened(node, { height: 1, hash: blockHash }))).toBe(
      "density: node 1 lost 2 to 2",
    );
    expect(found(() => kept(1).onAppended(node, 3))).toBe("density: node 1 has 3 after 1");
    expect(found(() => kept(1).onAppended(node, 1))).toBe("density: node 1 has 1 after 1");
  });

  it("are the final ones when a node opens", () => {
    expect(found(() => kept(2).onOpened(node, { height: 2, hash: otherHash }))).toBeUndefined();
    expect(found(() => kept(2).onOpened(node, { height: 2, hash: blockHash }))).toBe(
      "agreement: node 1 opens with another 2",
    );
    expect(found(() => kept(0).onOpened(node, { height: 0, hash: zero }))).toBe(
      "agreement: node 1 opens with another 0",
    );
  });

  it("may be gone when the ledger was wiped, and are remembered then", () => {
    const all = kept(2);
    all.onWiped(node);
    expect(node.heightBeforeWipe).toBe(2);
    expect(found(() => all.onOpened(node, { height: 0, hash: chainId }))).toBeUndefined();
  });
});

describe("a core", () => {
  const many = (size: number) => new Map(Array.from({ length: size }, (_, key) => [key, key]));
  const votes = (prepares: number, commits: number) => ({
    prepares: many(prepares),
    commits: many(commits),
  });
  const full = {
    validators: [0, 1, 2, 3].map(validatorKey),
    votes: new Map(Array.from({ length: 33 }, (_, round) => [round, votes(4, 4)])),
    roundChanges: many(4),
    blocks: Array(4).fill(0),
    future: many(16),
    own: Array(4).fill(0),
    record: { claims: Array(4).fill(0) },
  };
  const foundOf = (fields: object, status: object = {}, isLiar = false) => {
    const driver = { core: { ...full, ...fields }, status };
    return found(() => checkCore(nodeOf(1, { isLiar, running: { driver } })));
  };

  it("that is full to its bounds and votes is well", () => {
    expect(foundOf({})).toBeUndefined();
    expect(found(() => checkCore(nodeOf(1)))).toBeUndefined();
  });

  it("that votes no more is found, unless it lies", () => {
    expect(foundOf({}, { halted: "a fault" })).toBe("halt: node 1 votes no more: a fault");
    expect(foundOf({}, { halted: "a fault" }, true)).toBeUndefined();
  });

  it.each<[object, string]>([
    [{ votes: many(34) }, "34 rounds of votes"],
    [{ votes: new Map([[0, votes(5, 0)]]) }, "5 votes of a round"],
    [{ votes: new Map([[0, votes(0, 6)]]) }, "6 votes of a round"],
    [{ roundChanges: many(5) }, "5 round changes"],
    [{ blocks: Array(5).fill(0) }, "5 former blocks"],
    [{ future: many(17) }, "17 messages of the next height"],
    [{ own: Array(5).fill(0) }, "5 own messages"],
    [{ record: { claims: Array(5).fill(0) } }, "5 claims of a round"],
  ])("that keeps too much is found: %#", (fields, what) => {
    expect(foundOf(fields)).toBe(`memory: a core keeps ${what}`);
  });
});

it("blame between two honest nodes is found, and none other", () => {
  const [honest, other, liar] = [nodeOf(0), nodeOf(1), nodeOf(2, { isLiar: true })];
  expect(found(() => checkBlame(honest, liar))).toBeUndefined();
  expect(found(() => checkBlame(liar, honest))).toBeUndefined();
  expect(found(() => checkBlame(honest, other))).toBe("blame: node 0 refuses what node 1 gossips");
});
