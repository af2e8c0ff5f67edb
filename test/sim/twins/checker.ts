/**
 * What must hold of honest instances in every scenario. Written apart from the code under test:
 * quorums and signers are counted anew, from what was really signed.
 */
import type { Claim } from "../../../src/base/format/message.ts";
import { type Decided, fakeSign } from "./fakes.ts";
import type { TwinsSetup } from "./scenario.ts";

/** What is looked at: the instances of a run, by index. */
export type Checked = {
  readonly setup: TwinsSetup;
  readonly keys: readonly string[];
  readonly honest: readonly number[];
  readonly decided: readonly (Decided | undefined)[];
  readonly claims: readonly (readonly Claim[])[];
};

/** Distinct signers that a certificate needs; two thirds, rounded up, for every count. */
const quorumOf = (validators: number) => Math.ceil((2 * validators) / 3);

const order = { roundChange: 0, proposal: 1, prepare: 2, commit: 3 };

function textOf(claim: Claim): string {
  const { prepared } = claim.kind === "roundChange" ? claim : { prepared: undefined };
  const what =
    claim.kind === "roundChange" ? `${prepared?.round} ${prepared?.blockHash}` : claim.blockHash;
  return `${claim.kind} ${claim.height}/${claim.round} ${what}`;
}

/** Checks that an honest instance signs in ascending slots. @throws {Error} */
export function checkClaim(before: readonly Claim[], claim: Claim): void {
  const last = before.at(-1);
  if (last === undefined || last.height < claim.height) return;
  const isAbove =
    last.height === claim.height &&
    (last.round < claim.round ||
      (last.round === claim.round && order[last.kind] < order[claim.kind]));
  if (!isAbove) throw new Error(`signed "${textOf(claim)}" after "${textOf(last)}"`);
}

/**
 * Checks what an honest instance just decided: the same as all other honest ones, really proposed,
 * and committed in one round by a quorum that really did so.
 *
 * @throws {Error} naming what does not hold.
 */
export function checkDecision(run: Checked, index: number): void {
  const decided = run.decided[index];
  if (decided === undefined) throw new Error("nothing was decided");
  const { block, certificate } = decided;
  for (const other of run.honest) {
    const hash = run.decided[other]?.block.hash;
    if (hash !== undefined && hash !== block.hash)
      throw new Error(`fork: ${index} decided ${block.hash}, ${other} decided ${hash}`);
  }
  if (certificate.blockHash !== block.hash) throw new Error("a certificate of another block");
  checkCertificate(run, decided);
  checkProposer(run, decided);
}

function checkCertificate(run: Checked, { certificate }: Decided): void {
  const { height, round, blockHash, signatures } = certificate;
  const commit = { kind: "commit", height, round, blockHash } as const;
  const signers = new Set(signatures.map(({ validatorIndex }) => validatorIndex));
  if (signers.size < quorumOf(run.setup.validators) || signers.size !== signatures.length)
    throw new Error(`a certificate of ${signers.size} signers`);
  for (const { validatorIndex, signature } of signatures) {
    const key = run.keys[validatorIndex] as string;
    if (String(signature) !== String(fakeSign(commit, key)))
      throw new Error(`a certificate with "${String(signature)}" for round ${round}`);
    const wasSigned = run.keys.some(
      (of, signer) =>
        of === key && run.claims[signer]?.some((claim) => textOf(claim) === textOf(commit)),
    );
    if (!wasSigned) throw new Error(`a certificate with a commit that ${key} never signed`);
  }
}

function checkProposer(run: Checked, { block }: Decided): void {
  const wasProposed = run.keys.some(
    (key, signer) =>
      key === block.header.proposer &&
      run.claims[signer]?.some(
        (claim) => claim.kind === "proposal" && claim.blockHash === block.hash,
      ),
  );
  if (!wasProposed) throw new Error("a decided block that its proposer never proposed");
}
