/** Bugs in what is signed, when, by whom and for how long; in timers, catching up and turns. */
import type { Mutant } from "./mutant.ts";

const signing = "consensus/signing.ts";
const pacing = "consensus/pacing.ts";
const proposer = "consensus/proposer.ts";
const schedule = "base/proposer-schedule.ts";
const message = "base/format/message.ts";

/** The bugs. */
export const signingMutants: readonly Mutant[] = [
  {
    name: "round dropped from the commit signature",
    file: message,
    replace: "return tagged(tags[claim.kind], encode([...head, hexToBytes(claim.blockHash)]));",
    by: `return claim.kind === "commit"
      ? tagged(tags.commit, encode([...head.slice(0, 2), hexToBytes(claim.blockHash)]))
      : tagged(tags[claim.kind], encode([...head, hexToBytes(claim.blockHash)]));`,
  },
  {
    name: "chain id dropped from signatures",
    file: message,
    replace: "const head = [hexToBytes(chainId), claim.height, claim.round];",
    by: "const head = [hexToBytes(chainId).slice(32), claim.height, claim.round];",
  },
  {
    name: "height dropped from signatures",
    file: message,
    replace: "const head = [hexToBytes(chainId), claim.height, claim.round];",
    by: "const head = [hexToBytes(chainId), 0, claim.round];",
  },
  {
    name: "prepare and commit signed alike",
    file: message,
    replace: "return tagged(tags[claim.kind], encode([...head, hexToBytes(claim.blockHash)]));",
    by: 'return tagged(tags[claim.kind === "prepare" ? "commit" : claim.kind], encode([...head, hexToBytes(claim.blockHash)]));',
  },
  {
    name: "prepared round not signed",
    file: message,
    replace: "encode([...head, prepared?.round ?? null, prepared ?",
    by: "encode([...head, null, prepared ?",
  },
  {
    name: "record lost and voting on",
    file: signing,
    replace: "return height > abstainThroughHeight && (record",
    by: "return height !== abstainThroughHeight + 1e9 && (record",
  },
  {
    name: "signs below the record's height",
    file: signing,
    replace: "(record === undefined || record.height <= height)",
    by: "(record === undefined || record.height !== -1)",
  },
  {
    name: "observer votes",
    file: signing,
    replace: "if (self === undefined || !validators.includes(self)) return false;",
    by: "if (self === undefined || validators.length === 0) return false;",
  },
  {
    name: "slot not compared before signing",
    file: signing,
    replace: "return record.round === round && isNext;",
    by: "return isNext || kind !== undefined;",
  },
  {
    name: "same slot signed twice",
    file: signing,
    replace: "claimOrder[kind] > claimOrder[signed.kind]",
    by: "claimOrder[kind] >= claimOrder[signed.kind]",
  },
  {
    name: "prepared block not in the record",
    file: signing,
    replace: "return { height, round, claims, proposal: former?.proposal, prepared };",
    by: "return { height, round, claims, proposal: former?.proposal, prepared: prepared && undefined };",
  },
  {
    name: "former claims of the round not in the record",
    file: signing,
    replace: "const claims = [...(former?.claims ?? []), claim];",
    by: "const claims = [...(former?.claims ?? []).slice(9), claim];",
  },
  {
    name: "prepared block not reported",
    file: signing,
    replace: "prepared: prepared && { round: prepared.round, blockHash: prepared.block.hash },",
    by: "prepared: undefined && prepared,",
  },
  {
    name: "older prepared block reported after a restart",
    file: signing,
    replace: "if (prepared?.round !== claim.prepared.round) return undefined;",
    by: "if (prepared === undefined) return undefined;",
  },
  {
    name: "claims not signed again after a restart",
    file: signing,
    replace: "return attachments ? [{",
    by: 'return attachments && claim.kind === "proposal" ? [{',
  },
  {
    name: "foreign use of the own key unnoticed",
    file: signing,
    replace: "if (message.validator !== self) return false;",
    by: "if (message.validator !== self || record) return false;",
  },
  {
    name: "cap of the time-out removed",
    file: proposer,
    replace: "return Math.min(doubled, limits.roundTimeoutMsMax);",
    by: "return Math.max(doubled, 1);",
  },
  {
    name: "time-out never grows",
    file: proposer,
    replace: "2 ** Math.min(round, exponentMax)",
    by: "2 ** Math.min(round, 0)",
  },
  {
    name: "same proposer in every round",
    file: proposer,
    replace: "proposers[round % proposers.length]",
    by: "proposers[0 * round]",
  },
  {
    name: "timer when idle",
    file: pacing,
    replace: "if (!state.work || state.phase",
    by: "if (state.phase",
  },
  {
    name: "timer of a later round runs from the moment of entry",
    file: pacing,
    replace: 'return state.round === 0 || state.phase !== "proposing" || isRoundReached(state);',
    by: 'return state.round >= 0 || state.phase !== "proposing" || isRoundReached(state);',
  },
  {
    name: "no timer after round 0 without a proposal",
    file: pacing,
    replace: 'return state.round === 0 || state.phase !== "proposing" || isRoundReached(state);',
    by: 'return state.round === 0 || state.phase !== "proposing" || isRoundReached(state) === undefined;',
  },
  {
    name: "one validator decides what to catch up to",
    file: pacing,
    replace: "highestFirst[faultyMax(validators.length)] as number",
    by: "highestFirst[faultyMax(1)] as number",
  },
  {
    name: "never catches up",
    file: pacing,
    replace: "if (isFarBehind) pacing.push(",
    by: "if (isFarBehind && height < 0) pacing.push(",
  },
  {
    name: "a proposer that did not come along is waited for",
    file: pacing,
    replace: "return proposer !== self && !isHere;",
    by: "return proposer !== self && !isHere && height < 0;",
  },
  {
    name: "every proposer is taken for a missing one",
    file: pacing,
    replace: "return proposer !== self && !isHere;",
    by: "return proposer !== self || !isHere;",
  },
  {
    name: "a proposer that went on to a later round is waited for",
    file: pacing,
    replace: "position.round >= round - 1 && position.round <= round;",
    by: "position.round >= round - 1;",
  },
  {
    name: "a proposer that comes and goes prolongs its round",
    file: pacing,
    replace: "Math.max(timeoutMs(state), running?.durationMs ?? 0)",
    by: "Math.max(timeoutMs(state), 0)",
  },
  {
    name: "the short time-out stays when the proposer is heard of",
    file: pacing,
    replace: "if (timer !== undefined && running?.durationMs !== durationMs)",
    by: "if (timer !== undefined && running === undefined)",
  },
  {
    name: "turns not in order after the former proposer",
    file: schedule,
    replace: "const first = after === -1 ? 0 : after;",
    by: "const first = after === -1 ? 0 : Math.max(0, after - 1);",
  },
  {
    name: "nobody passed over",
    file: schedule,
    replace: "const untilHeight = height + 2 ** exponent;",
    by: "const untilHeight = height;",
  },
  {
    name: "passed over for ever",
    file: schedule,
    replace: "const untilHeight = height + 2 ** exponent;",
    by: "const untilHeight = Number.MAX_SAFE_INTEGER + exponent;",
  },
  {
    name: "passed over although it proposes again",
    file: schedule,
    replace: "missed.delete(former);",
    by: "",
  },
];
