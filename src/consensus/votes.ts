/** Keeping and counting votes: the first one of each validator, round and kind. */
import type { Block } from "../base/format/block.ts";
import type { Certificate, VoteMessage } from "../base/format/message.ts";
import type { Hash } from "../base/hash.ts";
import type { PublicKey } from "../base/keys.ts";
import { limits } from "../base/limits.ts";
import { quorumSize } from "../base/proof/certificate.ts";
import type { ConsensusState, RoundVotes } from "./state.ts";

const noVotes: RoundVotes = { prepares: new Map(), commits: new Map() };

/** Keeps a vote of a validator, unless its round is too far off or it voted there already. */
export function keepVote(state: ConsensusState, vote: VoteMessage): ConsensusState {
  if (Math.abs(vote.round - state.round) > limits.roundDistanceMax) return state;
  // A node prepares in its current round only, so prepares of former rounds are of no use.
  if (vote.kind === "prepare" && vote.round < state.round) return state;
  const ofRound = state.votes.get(vote.round) ?? noVotes;
  const field = vote.kind === "prepare" ? "prepares" : "commits";
  if (ofRound[field].has(vote.validator)) return state;
  const kept = { ...ofRound, [field]: new Map(ofRound[field]).set(vote.validator, vote) };
  return { ...state, votes: new Map(state.votes).set(vote.round, kept) };
}

/** Drops the votes that a node in `round` has no use for. */
export function pruneVotes(
  votes: ReadonlyMap<number, RoundVotes>,
  round: number,
): ReadonlyMap<number, RoundVotes> {
  const kept = new Map<number, RoundVotes>();
  for (const [of, ofRound] of votes) {
    if (of >= round) kept.set(of, ofRound);
    else if (of >= round - limits.roundDistanceMax && ofRound.commits.size > 0)
      kept.set(of, { ...ofRound, prepares: new Map() });
  }
  return kept;
}

/** Returns the quorum of prepares for a block in the current round, `undefined` while short. */
export function prepareQuorum(
  state: ConsensusState,
  blockHash: Hash,
): readonly VoteMessage[] | undefined {
  const votes = [...(state.votes.get(state.round)?.prepares.values() ?? [])];
  const matching = votes.filter((vote) => vote.blockHash === blockHash);
  return matching.length >= quorumSize(state.validators.length) ? matching : undefined;
}

/**
 * Returns the certificate of this height, once one round, whichever it is, holds a quorum of
 * commits for one block. Commits of different rounds never add up (D3).
 */
export function commitCertificate(state: ConsensusState): Certificate | undefined {
  const { validators, height } = state;
  for (const [round, { commits }] of state.votes) {
    if (commits.size < quorumSize(validators.length)) continue;
    for (const blockHash of new Set([...commits.values()].map((vote) => vote.blockHash))) {
      const signatures = signaturesFor(validators, commits, blockHash);
      if (signatures.length >= quorumSize(validators.length))
        return { height, round, blockHash, signatures };
    }
  }
  return undefined;
}

/** Walks the validators, so signers are distinct and the indexes ascend. */
function signaturesFor(
  validators: readonly PublicKey[],
  commits: ReadonlyMap<PublicKey, VoteMessage>,
  blockHash: Hash,
): Certificate["signatures"] {
  return validators.flatMap((validator, validatorIndex) => {
    const vote = commits.get(validator);
    return vote?.blockHash === blockHash ? [{ validatorIndex, signature: vote.signature }] : [];
  });
}

/** Finds a block of this height by hash among all that are kept. */
export function findBlock(state: ConsensusState, blockHash: Hash): Block | undefined {
  const reported = [...state.roundChanges.values()].map(({ preparedBlock }) => preparedBlock);
  const blocks = [state.proposal?.block, state.prepared?.block, ...state.blocks, ...reported];
  return blocks.find((block) => block?.hash === blockHash);
}

/** Keeps a block of a former round; the oldest gives way. */
export function keepBlock(state: ConsensusState, block: Block): ConsensusState {
  if (findBlock(state, block.hash) !== undefined) return state;
  return { ...state, blocks: [block, ...state.blocks].slice(0, limits.formerBlocksMax) };
}
