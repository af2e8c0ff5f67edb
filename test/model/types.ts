/**
 * Words of the executable model: QBFT at one height, as plain data. It restates the published
 * rules for a second time, apart from `src/consensus`, so that the two can be held against each
 * other. What states and explores the rules imports nothing from outside this folder.
 *
 * Validators are their index in the sorted list; sets of them are bit masks. A value stands for a
 * block. Signatures, time, transactions and what blocks mean do not exist here.
 */

/** Set of validators: bit v is validator v. */
export type Mask = number;

/** A value with a quorum of prepares in a round. */
export type Prepared = { readonly round: number; readonly value: number };

/** What a validator signs. Kinds in the order in which one round signs them. */
export type ModelClaim =
  | {
      readonly kind: "roundChange";
      readonly round: number;
      readonly prepared: Prepared | undefined;
    }
  | {
      readonly kind: "proposal" | "prepare" | "commit";
      readonly round: number;
      readonly value: number;
    };

/** Place of a kind within its round; a validator's claims ascend by (round, this). */
export const kindOrder = { roundChange: 0, proposal: 1, prepare: 2, commit: 3 } as const;

/** A round change in a pool. */
export type Change = { readonly from: number; readonly prepared: Prepared | undefined };

/**
 * Messages somebody can make use of: all that were ever sent (explorer), or those that one node
 * received (conformance). Sets only grow, so what a pool allows it allows for ever.
 */
export type Pool = {
  /** By round and value: who proposed. */
  readonly proposals: Mask[][];
  /** By round and value: who prepared. */
  readonly prepares: Mask[][];
  /** By round and value: who committed. */
  readonly commits: Mask[][];
  /** By round. A liar may have several. */
  readonly changes: Change[][];
  /** Validators that have signed everything there is to sign. */
  readonly liars: Mask;
  /** From this round on the liars are silent. */
  readonly liarsSilentFrom: number;
};

/** What a validator must remember of its own claims. */
export type Own = {
  readonly validator: number;
  /** Round of its last claim; 0 before. */
  readonly round: number;
  /** Place of its last claim within that round; -1 before. */
  readonly last: number;
  /** The last value it committed. */
  readonly prepared: Prepared | undefined;
};

/** The protocol at one height. What is switched off by a mutation is true in the real one. */
export type Protocol = {
  readonly validatorCount: number;
  readonly quorum: number;
  /** Liars that the protocol tolerates. */
  readonly faultyMax: number;
  readonly proposerAt: (round: number) => number;
  /** Who made a block, if that is known; a fresh one must be its proposer's. */
  readonly authorOf: (value: number) => number | undefined;
  /** A proposal of a later round must be justified. */
  readonly checksJustification: boolean;
  /** A round change reports the prepared value. */
  readonly carriesPrepared: boolean;
  /** A block that is proposed again stays its first proposer's. */
  readonly keepsAuthor: boolean;
  /** Of several reported rounds the highest binds. */
  readonly highestBinds: boolean;
  /** A commit needs a quorum of prepares. */
  readonly commitNeedsPrepares: boolean;
  /** The round is part of a commit's signature, so commits of different rounds never add up. */
  readonly commitCoversRound: boolean;
};

/** A pool in which nothing was sent yet. */
export function emptyPool(liars: Mask = 0): Pool {
  return {
    proposals: [],
    prepares: [],
    commits: [],
    changes: [],
    liars,
    liarsSilentFrom: Number.POSITIVE_INFINITY,
  };
}

/** The validator's state before its first claim. */
export function newOwn(validator: number): Own {
  return { validator, round: 0, last: -1, prepared: undefined };
}

/** The real protocol for n validators that propose in turn. */
export function protocolOf(validatorCount: number, changed: Partial<Protocol> = {}): Protocol {
  const faultyMax = Math.floor((validatorCount - 1) / 3);
  return {
    validatorCount,
    faultyMax,
    // Two sets of this size share more than `faultyMax` members.
    quorum: Math.floor((validatorCount + faultyMax) / 2) + 1,
    proposerAt: (round) => round % validatorCount,
    authorOf: () => undefined,
    checksJustification: true,
    carriesPrepared: true,
    keepsAuthor: true,
    highestBinds: true,
    commitNeedsPrepares: true,
    commitCoversRound: true,
    ...changed,
  };
}

/** How many validators a set has. */
export function countOf(mask: Mask): number {
  let count = 0;
  for (let rest = mask; rest !== 0; rest &= rest - 1) count += 1;
  return count;
}

/** Short text of a claim, such as `roundChange 2 (prepared 0:1)`. */
export function textOf(claim: ModelClaim): string {
  const { kind, round } = claim;
  if (kind !== "roundChange") return `${kind} ${round} of value ${claim.value}`;
  const { prepared } = claim;
  return `${kind} ${round} (${prepared ? `value ${prepared.value} prepared in ${prepared.round}` : "nothing prepared"})`;
}
