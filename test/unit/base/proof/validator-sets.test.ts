/** Who was allowed to sign: sets follow from the genesis by certified changes, and by nothing else. */
import { describe, expect, it } from "vitest";
import { bytesToHex, hexToBytes } from "../../../../src/base/bytes.ts";
import { isLedgerError } from "../../../../src/base/errors.ts";
import { encodeHeader } from "../../../../src/base/format/block.ts";
import { didOf } from "../../../../src/base/format/did.ts";
import { encodeEvidence } from "../../../../src/base/format/evidence.ts";
import { genesisBlock } from "../../../../src/base/format/genesis.ts";
import { decodeCertificate, encodeCertificate } from "../../../../src/base/format/message.ts";
import type { SetChange } from "../../../../src/base/format/set-change.ts";
import { verifyEvidence } from "../../../../src/base/proof/evidence.ts";
import { type CertifiedChange, ValidatorSets } from "../../../../src/base/proof/validator-sets.ts";
import { nativeVerifier } from "../../../../src/node/native-crypto.ts";
import { testGenesis } from "../../../helpers/chain.ts";
import { changedManifest } from "../../../helpers/changed-manifest.ts";
import {
  evidenceOf,
  genesis,
  laterValidators,
  makeChain,
  signerOf,
  withLaterValidators,
} from "../../../helpers/evidence-chain.ts";

const later = laterValidators.map(({ publicKey }) => publicKey);
const founding = genesisBlock(genesis).validators;
const { chain, changes } = withLaterValidators(makeChain(), 2);
const [change] = changes as readonly [SetChange];

const fresh = () => new ValidatorSets(genesisBlock(genesis), nativeVerifier);

function refusal(sets: ValidatorSets, list: readonly SetChange[]): string {
  try {
    sets.follow(list);
    return "followed";
  } catch (error) {
    if (isLedgerError(error, "CERTIFICATE_INVALID")) return String(error.facts.reason);
    throw error;
  }
}

describe("validator sets", () => {
  it("are those of the genesis until a change is proven, then the later ones from the next height", () => {
    const sets = fresh();
    expect(sets.at(100)).toEqual(founding);
    expect(sets.lastFrom).toBe(1);
    expect(sets.follow(changes)).toBe(1);
    expect([0, 1, 2].map((height) => sets.at(height))).toEqual([founding, founding, founding]);
    expect([3, 4, 1_000].map((height) => sets.at(height))).toEqual([later, later, later]);
    expect(sets.lastFrom).toBe(3);
  });

  it("take the same change again as no news", () => {
    const sets = fresh();
    sets.follow(changes);
    expect(sets.follow(changes)).toBe(0);
    expect(sets.lastFrom).toBe(3);
  });

  it("are not moved by a set that the header does not commit to", () => {
    const sets = fresh();
    const fewer = { ...change, validators: change.validators.slice(1) };
    expect(refusal(sets, [fewer])).toBe("the header names other next validators");
    const turned = { ...change, validators: change.validators.toReversed() };
    expect(refusal(sets, [turned])).toBe("the header names other next validators");
    expect(sets.at(100)).toEqual(founding);
  });

  it("are not moved by a header that too few certified, or that changes nothing", () => {
    const sets = fresh();
    const [first] = makeChain() as readonly [ReturnType<typeof makeChain>[number]];
    const unchanged = {
      header: bytesToHex(encodeHeader(first.block.header)),
      certificate: bytesToHex(encodeCertificate(first.certificate)),
      validators: founding.map(didOf),
    };
    expect(refusal(sets, [unchanged])).toBe("it changes no set");
    const { signatures, ...rest } = decodeCertificate(hexToBytes(change.certificate));
    const few = encodeCertificate({ ...rest, signatures: signatures.slice(0, 2) });
    expect(refusal(sets, [{ ...change, certificate: bytesToHex(few) }])).toBe("too few signatures");
    expect(sets.lastFrom).toBe(1);
  });

  it("never become empty, whatever a former quorum certified", () => {
    const [change] = changedManifest(testGenesis(), 0).manifest.changes;
    const sets = new ValidatorSets(testGenesis(), nativeVerifier);
    expect(() => sets.followOne(change as CertifiedChange)).toThrow(/leaves no validator/);
    expect(sets.lastFrom).toBe(1);
  });

  it("refuse another history after a change that is known", () => {
    const sets = fresh();
    sets.follow(changes);
    const other = withLaterValidators(makeChain(), 1);
    expect(refusal(sets, other.changes)).toBe("another change is known after this height");
    expect(sets.at(2)).toEqual(founding);
  });
});

describe("evidence across a change of the validators", () => {
  const judge = (bundle: ReturnType<typeof evidenceOf>) =>
    verifyEvidence(encodeEvidence(bundle), { genesis, verifier: nativeVerifier });

  it("is certified with the proof of the change, and names the check that fails without", () => {
    const bundle = { ...evidenceOf(chain), validatorChanges: [...changes] };
    expect(judge(bundle).level).toBe("certified");
    const without = judge(evidenceOf(chain));
    expect(without.level).toBe("invalid");
    const failed = without.checks.filter(({ ok }) => !ok).map(({ name }) => name);
    expect(failed).toContain("transactions.4.certificate");
    expect(failed).not.toContain("transactions.0.certificate");
  });

  it("names every change once", () => {
    const bundle = { ...evidenceOf(chain), validatorChanges: [...changes, ...changes] };
    const { level, checks } = judge(bundle);
    expect(level).toBe("invalid");
    expect(checks.filter(({ ok }) => !ok).map(({ name }) => name)).toEqual(["validators"]);
  });

  it("does not take the signatures of the former set for those of the later", () => {
    const former = [1, 2, 3, 4].map(signerOf);
    const stale = withLaterValidators(makeChain(), 1, former);
    const bundle = { ...evidenceOf(stale.chain), validatorChanges: [...stale.changes] };
    expect(judge(bundle).level).toBe("invalid");
  });

  it("of a fork with the former set's keys is certified, and contradicts a trusted checkpoint", () => {
    const forged = makeChain();
    const entry = chain.at(-1) as (typeof chain)[number];
    const { header, hash } = entry.block;
    const bundle = encodeEvidence(evidenceOf(forged));
    expect(verifyEvidence(bundle, { genesis, verifier: nativeVerifier }).level).toBe("certified");
    const checkpoint = { height: header.height, hash };
    const verdict = verifyEvidence(bundle, { genesis, verifier: nativeVerifier, checkpoint });
    expect(verdict).toMatchObject({ ok: false, level: "invalid" });
    const failed = verdict.checks.filter(({ ok }) => !ok).map(({ name }) => name);
    expect(failed).toContain("checkpoint.hash");
  });
});
