/** When a node knows that its key is used elsewhere, and when it must not think so. */
import { describe, expect, it } from "vitest";
import type { SigningRecord } from "../../../src/base/format/signing-record.ts";
import { isKeyInCertificate, isKeyUsedElsewhere } from "../../../src/node/key-guard.ts";
import {
  blockBy,
  keysOf,
  Probe,
  preparedBy,
  proposalOf,
  roundChangeOf,
  voteOf,
} from "../../sim/probe.ts";

const x = blockBy(0, "x");
const y = blockBy(1, "y");
const slot = { kind: "prepare", height: 1, round: 1, blockHash: x.hash } as const;
const record: SigningRecord = {
  height: 1,
  round: 1,
  claims: [slot],
  proposal: undefined,
  prepared: undefined,
};
const kept = { record, isRecordLost: false };
const atStart = new Probe(4, 2).state;
const restored = new Probe(4, 2).feed({ kind: "restored", record }).state;

const certificateOf = (round: number, signers: readonly number[], height = 1) => ({
  ...{ height, round, blockHash: x.hash },
  signatures: signers.map((validatorIndex) => ({ validatorIndex, signature: new Uint8Array(64) })),
});
const inCertificate = (
  state: typeof atStart,
  certificate: ReturnType<typeof certificateOf>,
  memory: Parameters<typeof isKeyUsedElsewhere>[2] = kept,
) => isKeyInCertificate(state, certificate, { ...memory, validators: keysOf(4) });

describe.each([
  ["restored", restored],
  ["not restored yet", atStart],
])("with its record %s, a node", (_name, state) => {
  it("notices what it did not sign, in a message of its own or inside one of others", () => {
    const own = voteOf("prepare", 2, { round: 1, block: y });
    expect(isKeyUsedElsewhere(state, own, kept)).toBe(true);
    const inside = roundChangeOf(3, 2, preparedBy([0, 1, 2], 1, y));
    expect(isKeyUsedElsewhere(state, inside, kept)).toBe(true);
    const proposal = proposalOf(3, 3, y, { roundChanges: [roundChangeOf(2, 3)] });
    expect(isKeyUsedElsewhere(state, proposal, kept)).toBe(true);
  });

  it("knows its own votes, and says nothing of rounds below the record", () => {
    const own = voteOf("prepare", 2, { round: 1, block: x });
    expect(isKeyUsedElsewhere(state, own, kept)).toBe(false);
    const inside = roundChangeOf(3, 2, preparedBy([0, 1, 2], 1, x));
    expect(isKeyUsedElsewhere(state, inside, kept)).toBe(false);
    const before = voteOf("prepare", 2, { round: 0, block: y });
    expect(isKeyUsedElsewhere(state, before, kept)).toBe(false);
    expect(isKeyUsedElsewhere(state, voteOf("commit", 1, { round: 9, block: y }), kept)).toBe(
      false,
    );
  });

  it("notices its signature in a certificate that it did not sign", () => {
    expect(inCertificate(state, certificateOf(1, [0, 1, 2]))).toBe(true);
    expect(inCertificate(state, certificateOf(0, [0, 1, 2], 2))).toBe(true);
    expect(inCertificate(state, certificateOf(1, [0, 1, 3]))).toBe(false);
    expect(inCertificate(state, certificateOf(0, [0, 1, 2]))).toBe(false);
  });
});

it("takes its own commit in a certificate for its own", () => {
  const committed = { ...record, claims: [slot, { ...slot, kind: "commit" } as const] };
  const state = new Probe(4, 2).feed({ kind: "restored", record: committed }).state;
  expect(inCertificate(state, certificateOf(1, [0, 1, 2]))).toBe(false);
});

it("notices nothing while it does not know what it signed, and all once it signed anew", () => {
  const lost = { record: undefined, isRecordLost: true };
  expect(inCertificate(atStart, certificateOf(0, [0, 1, 2], 7), lost)).toBe(false);
  expect(inCertificate(restored, certificateOf(0, [0, 1, 2], 7), lost)).toBe(true);
  // One of two slots was damaged: the other one may be older than what was signed.
  const older = { record, isRecordLost: true };
  expect(inCertificate(restored, certificateOf(0, [0, 1, 2], 7), older)).toBe(false);
});

it("notices nothing on a node without a key", () => {
  const observer = new Probe(4, undefined).state;
  const none = { record: undefined, isRecordLost: false };
  expect(inCertificate(observer, certificateOf(0, [0, 1, 2]), none)).toBe(false);
  expect(isKeyUsedElsewhere(observer, voteOf("prepare", 2, { round: 1, block: x }), none)).toBe(
    false,
  );
});
