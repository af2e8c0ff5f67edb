/** A consensus driver between fakes that note what it does, in order. */
import { type Block, blockOf, validatorsHash } from "../../../src/base/format/block.ts";
import type { Equivocation } from "../../../src/base/format/equivocation.ts";
import { type Certificate, decodeMessage } from "../../../src/base/format/message.ts";
import {
  decodeSigningRecord,
  type SigningRecord,
} from "../../../src/base/format/signing-record.ts";
import { zeroHash } from "../../../src/base/hash.ts";
import { silentLog } from "../../../src/base/log.ts";
import { merkleRoot } from "../../../src/base/proof/merkle.ts";
import { ConsensusDriver } from "../../../src/node/consensus-driver.ts";
import type { DriverParts } from "../../../src/node/driver-types.ts";
import { nativeSigner, nativeVerifier } from "../../../src/node/native-crypto.ts";

/** Of the fake chain. */
export const chainId = "11".repeat(32);
const signers = [1, 2, 3, 4].map((seed) => nativeSigner(new Uint8Array(32).fill(seed)));
/** Four validators in their order; the driver has the key of the first. */
export const sorted = [...signers].sort((left, right) =>
  left.publicKey < right.publicKey ? -1 : 1,
);
/** The signer of the driver, which proposes height 1. */
export const proposer = sorted[0] as (typeof signers)[0];

/** Makes an empty block of the driver's validator. */
export function blockAt(height: number, parentHash: string): Block {
  const setHash = validatorsHash(sorted.map(({ publicKey }) => publicKey));
  return blockOf(
    {
      chainId,
      height,
      parentHash,
      timestampMs: height,
      proposer: proposer.publicKey,
      transactionsRoot: merkleRoot([]),
      receiptsRoot: zeroHash,
      stateRoot: zeroHash,
      validatorsHash: setHash,
      nextValidatorsHash: setHash,
      gasUsed: 0,
    },
    [],
  );
}

type Overrides = Partial<DriverParts> & { readonly validators?: readonly string[] };

/** Makes a driver that is not started yet. */
export function drive(overrides: Overrides = {}) {
  const journal: string[] = [];
  const equivocations: Equivocation[] = [];
  const sent: Uint8Array[] = [];
  const records: SigningRecord[] = [];
  const decisions: { block: Block; certificate: Certificate }[] = [];
  const validators = overrides.validators ?? sorted.map(({ publicKey }) => publicKey);
  const ledger = {
    chainId,
    tip: { height: 0, hash: zeroHash },
    validators: () => validators,
    proposers: () => validators,
    hasWork: () => decisions.length === 0,
    buildBlock: async () => blockAt(1, zeroHash),
    checkBlock: async () => {},
  };
  const driver = new ConsensusDriver({
    ledger,
    signer: {
      publicKey: proposer.publicKey,
      sign: (message) => {
        journal.push("sign");
        return proposer.sign(message);
      },
    },
    record: undefined,
    isRecordLost: false,
    writeRecord: async (bytes) => {
      await new Promise((resolve) => setImmediate(resolve));
      records.push(decodeSigningRecord(bytes));
      journal.push("recorded");
    },
    broadcast: (bytes) => {
      sent.push(bytes);
      journal.push(`sent ${decodeMessage(bytes).kind}`);
    },
    forwardTransactions() {},
    decide: async (block, certificate) => {
      decisions.push({ block, certificate });
    },
    catchUp() {},
    onEquivocation: (pair) => {
      equivocations.push(pair);
    },
    verifier: nativeVerifier,
    clock: { nowMs: () => 1_000 },
    log: silentLog,
    blockIntervalMs: 0,
    listenMs: 0,
    ...overrides,
  });
  return { driver, ledger, journal, sent, records, decisions, equivocations };
}

/** Waits for a condition by asking. */
export async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 5_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error("the condition did not come true in 5 s");
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
