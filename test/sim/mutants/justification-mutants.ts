/** Bugs in what counts as a quorum, and in what justifies a proposal or a round change. */
import type { Mutant } from "./mutant.ts";

const certificate = "base/proof/certificate.ts";
const file = "consensus/justification.ts";

/** The bugs. */
export const justificationMutants: readonly Mutant[] = [
  {
    name: "quorum minus one",
    file: certificate,
    replace: "/ 2) + 1;",
    by: "/ 2);",
  },
  {
    name: "quorum 2f + 1",
    file: certificate,
    replace: "Math.floor((validatorCount + faultyMax(validatorCount)) / 2) + 1",
    by: "2 * faultyMax(validatorCount) + 1",
  },
  {
    name: "signer counted twice in a certificate",
    file: certificate,
    replace: "validatorIndex <= before ||",
    by: "validatorIndex < before ||",
  },
  {
    name: "signatures of a certificate not counted",
    file: certificate,
    replace: 'if (signatures.length < quorumSize(validators.length)) fail("too few signatures");',
    by: "",
  },
  {
    name: "certificate of another block taken",
    file: certificate,
    replace: 'if (certificate.blockHash !== headerHash(header)) fail("it is for another block");',
    by: "",
  },
  {
    name: "signatures of a certificate unchecked",
    file: certificate,
    replace: "!verifier.verify(message, signature, validator as PublicKey)",
    by: "verifier === undefined",
  },
  {
    name: "signatures counted, not signers",
    file,
    replace: `signers.size === signed.length &&
    signers.size >= quorumSize(validators.length) &&`,
    by: "signed.length >= quorumSize(validators.length) &&",
  },
  {
    name: "signers may be strangers",
    file,
    replace: "[...signers].every((signer) => validators.includes(signer))",
    by: "true",
  },
  {
    name: "justification unchecked",
    file,
    replace:
      "if (round > 0 && !isRoundChangeQuorum(roundChanges, proposal, validators)) return undefined;",
    by: "",
  },
  {
    name: "round changes of other rounds justify",
    file,
    replace: "change.round === round &&",
    by: "",
  },
  {
    name: "round changes of other heights justify",
    file,
    replace: "change.height === height &&",
    by: "",
  },
  {
    name: "round change may report its own round prepared",
    file,
    replace: "(change.prepared === undefined || change.prepared.round < round)",
    by: "true",
  },
  {
    name: "lowest prepared round wins",
    file,
    replace: "Math.max(highest, prepared.round)",
    by: "Math.min(highest, prepared.round)",
  },
  {
    name: "prepares of a block proposed again unchecked",
    file,
    replace: "isClaimed && isPrepareQuorum(prepares, slot, validators)",
    by: "isClaimed && slot !== undefined",
  },
  {
    name: "block proposed again may be any prepared one",
    file,
    replace: "const slot = { height: proposal.height, round: highest, blockHash: block.hash };",
    by: "const slot = { height: proposal.height, round: prepares[0]?.round ?? 0, blockHash: block.hash };",
  },
  {
    name: "reported prepared block not proposed again",
    file,
    replace: "if (highest === undefined) {",
    by: "if (highest === undefined || prepares.length === 0) {",
  },
  {
    name: "fresh block under another proposer's name",
    file,
    replace: "isOwnBlock && prepares.length === 0",
    by: "(isOwnBlock || round >= 0) && prepares.length === 0",
  },
  {
    name: "proposal of anybody",
    file,
    replace: "proposal.validator === proposerAt(state.tip.proposers, proposal.round)",
    by: "state.tip.proposers.includes(proposal.validator)",
  },
  {
    name: "parent of a block unchecked",
    file,
    replace: "height === state.height && parentHash === state.tip.hash",
    by: "height === state.height && parentHash !== undefined",
  },
  {
    name: "proposal for one block with another one",
    file,
    replace: "if (block.hash !== proposal.blockHash) return undefined;",
    by: "",
  },
  {
    name: "round 0 with round changes",
    file,
    replace: "if (round === 0 && roundChanges.length > 0) return undefined;",
    by: "",
  },
  {
    name: "round change without its prepares",
    file,
    replace: "return isPrepareQuorum(prepares, { height, ...prepared }, state.validators);",
    by: "return prepares.length >= 0;",
  },
  {
    name: "round change with another block",
    file,
    replace: "prepared.round >= round || preparedBlock?.hash !== prepared.blockHash",
    by: "prepared.round >= round || preparedBlock === undefined",
  },
  {
    name: "round change to round 0",
    file,
    replace: "if (round < 1) return false;",
    by: "",
  },
  {
    name: "prepares of other rounds make a certificate",
    file,
    replace: "vote.round === round &&",
    by: "",
  },
  {
    name: "commits count as prepares",
    file,
    replace: 'vote.kind === "prepare" &&',
    by: "",
  },
  {
    name: "prepares for other blocks make a certificate",
    file,
    replace:
      "vote.height === height &&\n      vote.round === round &&\n      vote.blockHash === blockHash,",
    by: "vote.height === height && vote.round === round && blockHash !== undefined,",
  },
];
