/**
 * The rules of the model: which claim a validator may sign, given the messages it can use and what
 * it signed before, and what can be decided. Pure guards; who explores or checks traces calls them.
 *
 * All guards have the form "there are messages such that ...", so they are monotone in the pool: a
 * message more never forbids anything. Only a validator's own claims take choices away, because
 * its claims ascend by (round, kind). The explorers' reductions rest on that.
 *
 * Written from the published rules (Moniz, arXiv 2002.03613, and docs/CONSENSUS.md), on purpose
 * more permissive where a node may only do less: a time-out may strike at any time, a commit needs
 * no own prepare, a validator that decided may go on, and the shell's checks of blocks always pass.
 */
import {
  countOf,
  kindOrder,
  type Mask,
  type ModelClaim,
  type Own,
  type Pool,
  type Prepared,
  type Protocol,
} from "./types.ts";

/** Tells whether the rules allow a validator to sign a claim next. */
export function maySign(protocol: Protocol, pool: Pool, own: Own, claim: ModelClaim): boolean {
  return whyNot(protocol, pool, own, claim) === undefined;
}

/** Returns the rule that forbids a claim, or undefined if none does. */
export function whyNot(
  protocol: Protocol,
  pool: Pool,
  own: Own,
  claim: ModelClaim,
): string | undefined {
  const { kind, round } = claim;
  const ascends = round > own.round || (round === own.round && kindOrder[kind] > own.last);
  if (!ascends) return "claims of a validator ascend by round and kind";
  if (kind === "roundChange") return whyNotChange(protocol, pool, own, claim);
  if (!mayBeIn(protocol, pool, own, round)) return "it cannot be in that round";
  switch (kind) {
    case "proposal":
      if (protocol.proposerAt(round) !== own.validator) return "it does not propose in that round";
      return isJustified(protocol, pool, round, claim.value) ? undefined : "it is not justified";
    case "prepare":
      return isProposed(protocol, pool, round, claim.value)
        ? undefined
        : "no justified proposal of the round has that value";
    case "commit":
      return !protocol.commitNeedsPrepares || hasPrepares(protocol, pool, round, claim.value)
        ? undefined
        : "there is no quorum of prepares";
  }
}

/** Returns what a validator remembers after a claim. */
export function afterClaim(own: Own, claim: ModelClaim): Own {
  const { kind, round } = claim;
  const prepared = kind === "commit" ? { round, value: claim.value } : own.prepared;
  return { validator: own.validator, round, last: kindOrder[kind], prepared };
}

/** Returns the values that some set of commits proves to be decided. */
export function decidedValues(protocol: Protocol, pool: Pool): number[] {
  const decided = new Set<number>();
  const ofAllRounds: Mask[] = [];
  for (const [round, byValue] of pool.commits.entries())
    for (const [value, mask] of (byValue ?? []).entries()) {
      const signers = mask | liarsIn(pool, round);
      ofAllRounds[value] = (ofAllRounds[value] ?? 0) | signers;
      const counted = protocol.commitCoversRound ? signers : (ofAllRounds[value] as Mask);
      if (countOf(counted) >= protocol.quorum) decided.add(value);
    }
  return [...decided];
}

/** Tells whether a value has a quorum of commits in one round. */
export function hasCommits(protocol: Protocol, pool: Pool, { round, value }: Prepared): boolean {
  return countOf(signersOf(pool, "commits", round, value)) >= protocol.quorum;
}

/** Tells whether a value may be proposed in a round. */
export function isJustified(protocol: Protocol, pool: Pool, round: number, value: number): boolean {
  if (round === 0) return isFresh(protocol, round, value);
  if (!protocol.checksJustification) return true;
  const empty = reporters(pool, round, ({ prepared }) => prepared === undefined);
  if (countOf(empty) >= protocol.quorum && isFresh(protocol, round, value)) return true;
  for (let former = round - 1; former >= 0; former -= 1)
    if (isBoundTo(protocol, pool, round, { round: former, value })) return true;
  return false;
}

/** A quorum of round changes reports nothing later than this prepared value, and one reports it. */
function isBoundTo(protocol: Protocol, pool: Pool, round: number, bound: Prepared): boolean {
  if (!hasPrepares(protocol, pool, bound.round, bound.value)) return false;
  if (!protocol.keepsAuthor && !isFresh(protocol, round, bound.value)) return false;
  const reported = reporters(pool, round, ({ prepared }) => isSamePrepared(prepared, bound));
  if (reported === 0) return false;
  const allowed = reporters(
    pool,
    round,
    ({ prepared }) =>
      prepared === undefined ||
      (protocol.highestBinds ? prepared.round <= bound.round : prepared.round < round),
  );
  return countOf(allowed) >= protocol.quorum;
}

function isFresh({ authorOf, proposerAt }: Protocol, round: number, value: number): boolean {
  const author = authorOf(value);
  return author === undefined || author === proposerAt(round);
}

function isProposed(protocol: Protocol, pool: Pool, round: number, value: number): boolean {
  const proposers = signersOf(pool, "proposals", round, value);
  const isFromProposer = (proposers & (1 << protocol.proposerAt(round))) !== 0;
  return isFromProposer && isJustified(protocol, pool, round, value);
}

/** Where a validator may be: the round of its last claim, or a later one with a proposal. */
function mayBeIn(protocol: Protocol, pool: Pool, own: Own, round: number): boolean {
  if (round === own.round) return true;
  if (round < own.round) return false;
  const values = (pool.proposals[round] ?? []).length;
  for (let value = 0; value < values; value += 1)
    if (isProposed(protocol, pool, round, value)) return true;
  return false;
}

function whyNotChange(
  protocol: Protocol,
  pool: Pool,
  own: Own,
  { round, prepared }: Extract<ModelClaim, { kind: "roundChange" }>,
): string | undefined {
  const due = protocol.carriesPrepared ? own.prepared : undefined;
  if (!isSamePrepared(prepared, due)) return "it reports something else than it prepared";
  if (round === 0) return "round 0 needs no round change";
  if (mayBeIn(protocol, pool, own, round - 1) || mayJump(protocol, pool, own, round)) return;
  return "neither a time-out nor f + 1 others lead to that round";
}

/** f + 1 others change to higher rounds, and this is the smallest of these rounds. */
function mayJump(protocol: Protocol, pool: Pool, own: Own, round: number): boolean {
  if (round <= own.round) return false;
  const others = ~(1 << own.validator);
  const isUsable = ({ prepared }: Pool["changes"][number][number], of: number) =>
    prepared === undefined ||
    (prepared.round < of && hasPrepares(protocol, pool, prepared.round, prepared.value));
  const to = (of: number) => reporters(pool, of, (change) => isUsable(change, of)) & others;
  if (to(round) === 0) return false;
  let changing: Mask = 0;
  for (let of = round; of < pool.changes.length; of += 1) changing |= to(of);
  return countOf(changing) > protocol.faultyMax;
}

/** Tells whether a value has a quorum of prepares in a round. */
export function hasPrepares(protocol: Protocol, pool: Pool, round: number, value: number): boolean {
  return countOf(signersOf(pool, "prepares", round, value)) >= protocol.quorum;
}

/** Who sent a vote or proposal; liars always did. */
function signersOf(
  pool: Pool,
  kind: "proposals" | "prepares" | "commits",
  round: number,
  value: number,
): Mask {
  return (pool[kind][round]?.[value] ?? 0) | liarsIn(pool, round);
}

/** Who sent a round change with some property; liars always did. */
function reporters(
  pool: Pool,
  round: number,
  has: (change: Pool["changes"][number][number]) => boolean,
): Mask {
  let mask = liarsIn(pool, round);
  for (const change of pool.changes[round] ?? []) if (has(change)) mask |= 1 << change.from;
  return mask;
}

function liarsIn({ liars, liarsSilentFrom }: Pool, round: number): Mask {
  return round < liarsSilentFrom ? liars : 0;
}

/** Tells whether two round changes report the same. */
export function isSamePrepared(left: Prepared | undefined, right: Prepared | undefined): boolean {
  return left?.round === right?.round && left?.value === right?.value;
}
