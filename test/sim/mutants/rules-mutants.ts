/** Bugs in the rules, in what events do to the state, and in how votes are kept and counted. */
import type { Mutant } from "./mutant.ts";

const rules = "consensus/rules.ts";
const step = "consensus/step.ts";
const votes = "consensus/votes.ts";

/** The bugs. */
export const rulesMutants: readonly Mutant[] = [
  {
    name: "commits of all rounds add up",
    file: votes,
    replace: "for (const [round, { commits }] of state.votes) {",
    by: `const all = [...state.votes.values()].flatMap((each) => [...each.commits]);
  const joined = new Map(all.reverse());
  for (const [round, { commits }] of [...state.votes.keys()].map((of) => [of, { commits: joined }] as const)) {`,
  },
  {
    name: "commits counted whatever their block",
    file: votes,
    replace: "return vote?.blockHash === blockHash ? [{",
    by: "return vote !== undefined ? [{",
  },
  {
    name: "prepares counted whatever their block",
    file: votes,
    replace: "votes.filter((vote) => vote.blockHash === blockHash)",
    by: "votes.filter((vote) => vote.blockHash !== undefined || blockHash)",
  },
  {
    name: "prepares of a later round complete this one's",
    file: votes,
    replace: "const votes = [...(state.votes.get(state.round)?.prepares.values() ?? [])];",
    by: `const every = [...state.votes.values()].flatMap((each) => [...each.prepares]);
  const votes = [...new Map(every).values()];`,
  },
  {
    name: "last vote of a validator wins",
    file: votes,
    replace: "if (ofRound[field].has(vote.validator)) return state;",
    by: "",
  },
  {
    name: "cap of the distance of votes removed",
    file: votes,
    replace: "if (Math.abs(vote.round - state.round) > limits.roundDistanceMax) return state;",
    by: "",
  },
  {
    name: "commits of former rounds dropped",
    file: votes,
    replace: "kept.set(of, { ...ofRound, prepares: new Map() });",
    by: "continue;",
  },
  {
    name: "blocks of former rounds dropped",
    file: votes,
    replace:
      "return { ...state, blocks: [block, ...state.blocks].slice(0, limits.formerBlocksMax) };",
    by: "return { ...state, blocks: [block].slice(limits.formerBlocksMax) };",
  },
  {
    name: "cap of former blocks removed",
    file: votes,
    replace: ".slice(0, limits.formerBlocksMax)",
    by: ".slice(0, 100 * limits.formerBlocksMax)",
  },
  {
    name: "f + 1 jump removed",
    file: rules,
    replace: "[decide, jump, propose, prepare, commit]",
    by: "[decide, propose, prepare, commit, (state) => (state.round < 0 ? jump(state) : undefined)]",
  },
  {
    name: "jump after one validator",
    file: rules,
    replace: "highestFirst[faultyMax(state.validators.length)];\n  if (target",
    by: "highestFirst[faultyMax(1)];\n  if (target",
  },
  {
    name: "decides without waiting for its own rules",
    file: rules,
    replace: 'return withEffect({ ...state, phase: "decided" }, {',
    by: "return withEffect(state, {",
  },
  {
    name: "fresh block in spite of a prepared one",
    file: rules,
    replace: "if (highest !== undefined) return proposeAgain(state, justification, highest);",
    by: "if (highest === -1) return proposeAgain(state, justification, highest);",
  },
  {
    name: "proposes the lowest prepared block",
    file: rules,
    replace: "prepared?.round === highest)",
    by: "prepared !== undefined)",
  },
  {
    name: "proposes on f + 1 round changes",
    file: rules,
    replace: "changes.length >= quorumSize(state.validators.length) ? changes : undefined",
    by: "changes.length > faultyMax(state.validators.length) ? changes : undefined",
  },
  {
    name: "proposes on round changes of any round",
    file: rules,
    replace: ".filter(({ round }) => round === state.round)",
    by: ".filter(({ round }) => round > 0)",
  },
  {
    name: "round in the hash",
    file: rules,
    replace: "const { preparedBlock: block, prepares } = change;",
    by: `const { preparedBlock, prepares } = change;
  const hash = preparedBlock.hash.slice(0, -1) + String(state.round % 10);
  const block = { ...preparedBlock, hash };`,
  },
  {
    name: "prepare before the check's answer",
    file: rules,
    replace: `if (phase !== "preparing" || proposal?.valid !== true) return undefined;
  return maySign`,
    by: `if (phase !== "preparing" || proposal === undefined) return undefined;
  return maySign`,
  },
  {
    name: "commit before the check's answer",
    file: rules,
    replace: `if (phase !== "preparing" || proposal?.valid !== true) return undefined;
  const { block } = proposal;`,
    by: `if (phase !== "preparing" || proposal === undefined) return undefined;
  const { block } = proposal;`,
  },
  {
    name: "commit without a quorum of prepares",
    file: rules,
    replace: "const prepares = prepareQuorum(state, block.hash);",
    by: "const prepares = prepareQuorum(state, block.hash) ?? [];",
  },
  {
    name: "prepared certificate dropped",
    file: rules,
    replace: `    build: "none",
    justification: [],
    proposal: undefined,
    own: [],`,
    by: `    build: "none",
    justification: [],
    proposal: undefined,
    prepared: undefined,
    own: [],`,
  },
  {
    name: "stays committed to its prepared block",
    file: rules,
    replace: 'return maySign(state, "prepare") ? signVote',
    by: `const isOther = state.prepared && state.prepared.block.hash !== proposal.block.hash;
  return maySign(state, "prepare") && !isOther ? signVote`,
  },
  {
    name: "re-proposal must be fresh",
    file: rules,
    replace: "const fresh = isFresh && boundHash(state) === undefined;",
    by: "const fresh = isFresh || boundHash(state) === undefined;",
  },
  {
    name: "restored proposal must be fresh again",
    file: rules,
    replace: "const fresh = isFresh && boundHash(state) === undefined;",
    by: "const fresh = isFresh;",
  },
  {
    name: "time-out obeyed after the decision",
    file: step,
    replace: 'if (state.phase === "decided" || state.timer === undefined) return unchanged(state);',
    by: "",
  },
  {
    name: "time-out of another round obeyed",
    file: step,
    replace:
      "if (height !== state.height || round !== state.round) return unchanged(state);\n  if (state.phase",
    by: "if (height !== state.height || round > state.round) return unchanged(state);\n  if (state.phase",
  },
  {
    name: "votes of strangers count",
    file: step,
    replace: "validator === before.self || !before.validators.includes(validator)",
    by: "validator === before.self",
  },
  {
    name: "second proposal of a round replaces the first",
    file: step,
    replace: '(round === state.round && state.phase === "proposing")',
    by: "round === state.round",
  },
  {
    name: "vote before the restart does not bind",
    file: step,
    replace: "if (bound !== undefined && bound !== blockHash) return unchanged(state);",
    by: "",
  },
  {
    name: "messages of the next height dropped",
    file: step,
    replace: "future: new Map(state.future).set(key, message)",
    by: "future: new Map(state.future)",
  },
  {
    name: "older round change replaces a newer one",
    file: step,
    replace: "last !== undefined && last.round >= round",
    by: "last !== undefined && last.round === round",
  },
  {
    name: "round change kept unchecked",
    file: step,
    replace: "isValidRoundChange(state, message) ? keepRoundChange(state, message) : state,",
    by: "isValidRoundChange(state, message) ? keepRoundChange(state, message) : keepRoundChange(state, message),",
  },
  {
    name: "nothing sent again",
    file: step,
    replace: 'const again = state.own.map((message) => ({ kind: "send" as const, message }));',
    by: 'const again = state.own.slice(9).map((message) => ({ kind: "send" as const, message }));',
  },
  {
    name: "verdict on another block taken",
    file: step,
    replace: "proposal?.block.hash !== event.blockHash || proposal.valid !== undefined",
    by: "proposal === undefined || proposal.valid !== undefined",
  },
  {
    name: "verdict of another round taken",
    file: step,
    replace: "if (event.height !== height || event.round !== round) return unchanged(state);",
    by: "",
  },
  {
    name: "block of another round proposed",
    file: step,
    replace: 'height === state.height && round === state.round && state.build === "asked"',
    by: 'height === state.height && round <= state.round && state.build !== "empty"',
  },
  {
    name: "signing record not taken up after a restart",
    file: step,
    replace: "return isOfHeight(record, state) ? takeUp(state, record) : unchanged(state);",
    by: "return record.height < 0 ? takeUp(state, record) : unchanged(before);",
  },
  {
    name: "prepared block forgotten by a restart",
    file: step,
    replace: "const base = { ...state, round, prepared, work: true };",
    by: "const base = { ...state, round, prepared: undefined, work: true };",
  },
  {
    name: "height goes back with a late append",
    file: step,
    replace: "if (tip.height < before.height) return unchanged(before);",
    by: "",
  },
];
