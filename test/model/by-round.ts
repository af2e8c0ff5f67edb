/**
 * Exploration round by round: as complete as action by action (explore.ts), and small enough for
 * any number of rounds. What makes it so, besides (A) to (E) of state.ts:
 *
 * (F) Order. A claim of round r depends on claims of rounds up to r only, and a validator's rounds
 *     ascend. So the moves of any run can be sorted by round, those of one round kept in order, and
 *     it is still a run that ends in the same set of messages: one round is played after the other.
 * (G) Round changes. When round r begins, what a validator would report in it is fixed. A round
 *     change that nobody receives forbids nothing, so all honest validators send theirs at once.
 *     Then which values are justified is fixed for the whole round, prepares depend on nothing
 *     else, commits on the prepares: a round is a choice of prepares, then a choice of commits.
 * (H) Forgetting. Later rounds depend on the former ones by what each validator prepared last and
 *     by which values have a quorum of prepares. Of two such rounds of one value the later serves
 *     wherever the earlier does, as the liar can report either: one per value is kept.
 * (I) Ranks. Former rounds are compared and never counted, so rounds that are not remembered are
 *     taken out of the numbering. With the liar as proposer of every round (an honest proposer
 *     offers one of the values that the liar could offer, all at once) no round differs from
 *     another, the states are finitely many, and the search ends for *any number of rounds*.
 */
import { hasPrepares, isJustified, maySign } from "./rules.ts";
import { addClaims, type Move, ownOf, poolOf, type Setting, type State } from "./state.ts";
import {
  countOf,
  emptyPool,
  type Mask,
  type ModelClaim,
  newOwn,
  type Own,
  type Pool,
  type Prepared,
  type Protocol,
} from "./types.ts";

/** What is explored. */
export type RoundSetting = {
  readonly protocol: Protocol;
  readonly liars: Mask;
  readonly valueCount: number;
  /** Renumber rounds (I); only with a liar as proposer of every round. */
  readonly withRanks: boolean;
};

/** What later rounds depend on. */
export type Summary = {
  /** The round that is to be played. */
  readonly round: number;
  /** By place among the honest validators: what it prepared last. */
  readonly prepared: readonly (Prepared | undefined)[];
  /** By value: the last round with a quorum of prepares. */
  readonly quorumRounds: readonly (number | undefined)[];
  /** By value: honest committers; of any round if rounds add up, else only once a quorum is met. */
  readonly committers: readonly Mask[];
};

/** What the honest validators do in one round, besides changing to it. */
export type RoundMoves = {
  /** Of the proposer, if it is honest and proposes. */
  readonly proposed: number | undefined;
  /** By place. */
  readonly prepares: readonly (number | undefined)[];
  readonly commits: readonly (number | undefined)[];
};

/** What an exploration by rounds found. */
export type RoundExploration = {
  readonly stateCount: number;
  /** Rounds played until nothing new was found, or the bound. */
  readonly roundCount: number;
  readonly isComplete: boolean;
  /** Rounds at whose end two values are decided. */
  readonly fork: readonly RoundMoves[] | undefined;
  /** All summaries as text. */
  readonly summaries: ReadonlySet<string>;
};

type Visited = {
  readonly summary: Summary;
  readonly former: Visited | undefined;
  readonly moves: RoundMoves | undefined;
};

/** Explores all that can happen in a number of rounds; unbounded with `withRanks`. */
export function exploreRounds(
  setting: RoundSetting,
  roundsMax = Number.POSITIVE_INFINITY,
): RoundExploration {
  let frontier: Visited[] = [{ summary: start(setting), former: undefined, moves: undefined }];
  const seen = new Set(frontier.map(({ summary }) => keyOfSummary(summary)));
  let roundCount = 0;
  const outcome = (isComplete: boolean, fork?: Visited): RoundExploration => ({
    stateCount: seen.size,
    roundCount,
    isComplete,
    fork: fork && wayTo(fork),
    summaries: seen,
  });
  while (frontier.length > 0 && roundCount < roundsMax) {
    const next: Visited[] = [];
    for (const former of frontier)
      for (const { summary, moves } of playRound(setting, former.summary)) {
        const key = keyOfSummary(summary);
        if (seen.has(key)) continue;
        seen.add(key);
        const visited = { summary, former, moves };
        if (decidedIn(setting, summary).length > 1) return outcome(false, visited);
        next.push(visited);
      }
    roundCount += 1;
    frontier = next;
  }
  return outcome(true);
}

function start({ protocol, liars, valueCount }: RoundSetting): Summary {
  const honestCount = protocol.validatorCount - countOf(liars);
  return {
    round: 0,
    prepared: Array.from({ length: honestCount }, () => undefined),
    quorumRounds: Array.from({ length: valueCount }, () => undefined),
    committers: Array.from({ length: valueCount }, () => 0),
  };
}

function wayTo(last: Visited): RoundMoves[] {
  const way: RoundMoves[] = [];
  for (let at: Visited | undefined = last; at?.moves !== undefined; at = at.former)
    way.unshift(at.moves);
  return way;
}

/** Returns the single moves of some rounds, in an order that the rules allow. */
export function movesOfRounds(setting: RoundSetting, rounds: readonly RoundMoves[]): Move[] {
  const { protocol } = setting;
  let summary = start(setting);
  return rounds.flatMap((moves) => {
    const { round, prepared } = summary;
    const honest = ownsAt(setting, summary).map(({ validator }) => validator);
    const reported = (place: number) => (protocol.carriesPrepared ? prepared[place] : undefined);
    const changes = honest.map((validator, place): Move => {
      return { validator, claim: { kind: "roundChange", round, prepared: reported(place) } };
    });
    const votes = (kind: "proposal" | "prepare" | "commit", chosen: RoundMoves["prepares"]) =>
      honest.flatMap((validator, place): Move[] => {
        const value = chosen[place];
        return value === undefined ? [] : [{ validator, claim: { kind, round, value } }];
      });
    const isProposer = (validator: number) => validator === protocol.proposerAt(round);
    const proposed = honest.map((validator) =>
      isProposer(validator) ? moves.proposed : undefined,
    );
    summary = after(setting, summary, moves);
    return [
      ...(round > 0 ? changes : []),
      ...votes("proposal", proposed),
      ...votes("prepare", moves.prepares),
      ...votes("commit", moves.commits),
    ];
  });
}

/** Returns what exploring by rounds would know after all rounds of a state of single moves. */
export function summaryOf(setting: Setting, state: State, valueCount: number): Summary {
  const { protocol, liars, roundCount: round } = setting;
  const pool = poolOf(setting, state);
  const prepared = setting.honest.map((_, place) => ownOf(setting, state, place).prepared);
  const values = Array.from({ length: valueCount }, (_, value) => value);
  const everybody = 2 ** protocol.validatorCount - 1;
  const isQuorum = (mask: Mask | undefined) => countOf((mask ?? 0) | liars) >= protocol.quorum;
  const quorumRounds = values.map((value) => {
    const last = pool.prepares.findLastIndex((byValue) => isQuorum(byValue?.[value]));
    return last < 0 ? undefined : last;
  });
  const committers = values.map((value) => {
    const masks = pool.commits.map((byValue) => byValue?.[value] ?? 0);
    if (!protocol.commitCoversRound) return masks.reduce((all, mask) => all | mask, 0);
    return masks.some(isQuorum) ? everybody : 0;
  });
  return { round, prepared, quorumRounds, committers };
}

/** Everything in a summary as text. */
export function keyOfSummary({ round, prepared, quorumRounds, committers }: Summary): string {
  const name = (at: Prepared | undefined) => (at ? `${at.round}:${at.value}` : "-");
  return [
    `round ${round}`,
    prepared.map(name).join(" "),
    quorumRounds.map((last) => last ?? "-").join(" "),
    committers.join(" "),
  ].join(" | ");
}

/** The messages of former rounds that can still matter, and this round's round changes. */
function poolAt({ protocol, liars, valueCount }: RoundSetting, summary: Summary): Pool {
  const pool = emptyPool(liars);
  const everybody = 2 ** protocol.validatorCount - 1;
  for (const round of summary.quorumRounds) if (round !== undefined) pool.prepares[round] = [];
  for (const [value, round] of summary.quorumRounds.entries())
    if (round !== undefined) (pool.prepares[round] as Mask[])[value] = everybody;
  pool.proposals[summary.round] = Array.from({ length: valueCount }, () => 0);
  for (const { validator, prepared } of ownsAt({ protocol, liars }, summary)) {
    const reported = protocol.carriesPrepared ? prepared : undefined;
    const change = { kind: "roundChange", round: summary.round, prepared: reported } as const;
    if (summary.round > 0) addClaims(pool, [change], validator);
  }
  return pool;
}

function ownsAt({ protocol, liars }: Pick<RoundSetting, "protocol" | "liars">, summary: Summary) {
  const owns: Own[] = [];
  for (let validator = 0; validator < protocol.validatorCount; validator += 1)
    if ((liars & (1 << validator)) === 0) {
      const prepared = summary.prepared[owns.length];
      const last = summary.round > 0 ? 0 : -1;
      owns.push({ ...newOwn(validator), round: summary.round, last, prepared });
    }
  return owns;
}

/** All that can happen in the round that is to be played. */
function* playRound(setting: RoundSetting, summary: Summary) {
  const { protocol, valueCount } = setting;
  const { round } = summary;
  const values = Array.from({ length: valueCount }, (_, value) => value);
  for (const proposed of proposals(setting, summary)) {
    const pool = poolAt(setting, summary);
    const owns = ownsAt(setting, summary);
    const proposer = owns.find(({ validator }) => validator === protocol.proposerAt(round));
    if (proposer !== undefined && proposed !== undefined)
      addClaims(pool, [{ kind: "proposal", round, value: proposed }], proposer.validator);
    const mayVote = (at: Pool, kind: "prepare" | "commit") =>
      owns.map((own) => [
        undefined,
        ...values.filter((value) => maySign(protocol, at, own, { kind, round, value })),
      ]);
    const outcomes = new Set<string>();
    for (const prepares of choices(mayVote(pool, "prepare"))) {
      const prepared = withVotes(pool, owns, { kind: "prepare", round, chosen: prepares });
      // Who prepared matters by the quorums that result only: one choice for each is enough.
      const quorums = values.filter((value) => hasPrepares(protocol, prepared, round, value));
      if (outcomes.has(quorums.join())) continue;
      outcomes.add(quorums.join());
      for (const commits of choices(mayVote(prepared, "commit"))) {
        const moves = { proposed, prepares, commits };
        yield { summary: after(setting, summary, moves), moves };
      }
    }
  }
}

/** What an honest proposer may offer; of a liar nothing needs to be chosen. */
function proposals(setting: RoundSetting, summary: Summary): (number | undefined)[] {
  const { protocol, liars, valueCount } = setting;
  if ((liars & (1 << protocol.proposerAt(summary.round))) !== 0) return [undefined];
  const pool = poolAt(setting, summary);
  const values = Array.from({ length: valueCount }, (_, value) => value);
  const offers = values.filter((value) => isJustified(protocol, pool, summary.round, value));
  return [undefined, ...offers];
}

type Votes = {
  readonly kind: "prepare" | "commit";
  readonly round: number;
  readonly chosen: readonly (number | undefined)[];
};

function withVotes(pool: Pool, owns: readonly Own[], { kind, round, chosen }: Votes): Pool {
  const grown: Pool = { ...pool, prepares: pool.prepares.map((votes) => [...(votes ?? [])]) };
  for (const [place, value] of chosen.entries()) {
    const claim: ModelClaim[] = value === undefined ? [] : [{ kind, round, value }];
    addClaims(grown, claim, (owns[place] as Own).validator);
  }
  return grown;
}

/** All ways to choose one of each list. */
function* choices<T>(lists: readonly (readonly T[])[]): Generator<T[]> {
  const [first, ...rest] = lists;
  if (first === undefined) {
    yield [];
    return;
  }
  for (const chosen of first) for (const others of choices(rest)) yield [chosen, ...others];
}

/** The summary after a round. */
function after(setting: RoundSetting, summary: Summary, moves: RoundMoves): Summary {
  const { protocol, liars } = setting;
  const { round } = summary;
  const honest = ownsAt(setting, summary).map(({ validator }) => validator);
  const votersOf = (votes: RoundMoves["prepares"], value: number) =>
    honest.reduce((mask, validator, place) => mask | (+(votes[place] === value) << validator), 0);
  const prepared = summary.prepared.map((former, place) => {
    const value = moves.commits[place];
    return value === undefined ? former : { round, value };
  });
  const quorumRounds = summary.quorumRounds.map((former, value) => {
    const isPrepared = countOf(votersOf(moves.prepares, value) | liars) >= protocol.quorum;
    return isPrepared ? round : former;
  });
  const committers = summary.committers.map((former, value) => {
    const mask = votersOf(moves.commits, value);
    if (!protocol.commitCoversRound) return former | mask;
    return former !== 0 || countOf(mask | liars) >= protocol.quorum
      ? 2 ** protocol.validatorCount - 1
      : 0;
  });
  const played = { round: round + 1, prepared, quorumRounds, committers };
  return setting.withRanks ? ranked(played) : played;
}

/** Takes the rounds out of the numbering that are not remembered (I). */
function ranked({ prepared, quorumRounds, committers }: Summary): Summary {
  const rounds = [...prepared.map((at) => at?.round), ...quorumRounds];
  const remembered = [...new Set(rounds.filter((round) => round !== undefined))].sort(
    (left, right) => left - right,
  );
  const rankOf = (round: number) => remembered.indexOf(round);
  return {
    // At least 1: only the first round of all needs no round changes.
    round: Math.max(1, remembered.length),
    prepared: prepared.map((at) => at && { round: rankOf(at.round), value: at.value }),
    quorumRounds: quorumRounds.map((round) => (round === undefined ? undefined : rankOf(round))),
    committers,
  };
}

/** Values for which a certificate can be put together. */
function decidedIn({ protocol, liars }: RoundSetting, { committers }: Summary): number[] {
  return committers.flatMap((mask, value) =>
    countOf(mask | liars) >= protocol.quorum ? [value] : [],
  );
}
