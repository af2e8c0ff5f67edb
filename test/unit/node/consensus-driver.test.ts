/**
 * Claims about the shell of the consensus core: the record is on disk before a signature exists,
 * and a node that cannot keep a promise stops signing and says why.
 */
import { describe, expect, it } from "vitest";
import { LedgerError } from "../../../src/base/errors.ts";
import { type Block, blockOf, validatorsHash } from "../../../src/base/format/block.ts";
import {
  type Certificate,
  claimMessage,
  decodeMessage,
  encodeMessage,
} from "../../../src/base/format/message.ts";
import {
  decodeSigningRecord,
  type SigningRecord,
} from "../../../src/base/format/signing-record.ts";
import { zeroHash } from "../../../src/base/hash.ts";
import { silentLog } from "../../../src/base/log.ts";
import { ConsensusDriver, type DriverParts } from "../../../src/node/consensus-driver.ts";
import { nativeSigner, nativeVerifier } from "../../../src/node/native-crypto.ts";

const chainId = "11".repeat(32);
const signers = [1, 2, 3, 4].map((seed) => nativeSigner(new Uint8Array(32).fill(seed)));
const sorted = [...signers].sort((left, right) => (left.publicKey < right.publicKey ? -1 : 1));
const proposer = sorted[0] as (typeof signers)[0];

function blockAt(height: number, parentHash: string): Block {
  const setHash = validatorsHash(sorted.map(({ publicKey }) => publicKey));
  return blockOf(
    {
      chainId,
      height,
      parentHash,
      timestampMs: height,
      proposer: proposer.publicKey,
      transactionsRoot: zeroHash,
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

function drive(overrides: Overrides = {}) {
  const journal: string[] = [];
  const sent: Uint8Array[] = [];
  const records: SigningRecord[] = [];
  const decisions: { block: Block; certificate: Certificate }[] = [];
  const ledger = {
    chainId,
    tip: { height: 0, hash: zeroHash },
    tipProposer: () => zeroHash,
    validators: () => overrides.validators ?? sorted.map(({ publicKey }) => publicKey),
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
    verifier: nativeVerifier,
    clock: { nowMs: () => 1_000 },
    log: silentLog,
    blockIntervalMs: 0,
    ...overrides,
  });
  return { driver, journal, sent, records, decisions };
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 5_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error("the condition did not come true in 5 s");
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

describe("the consensus driver", () => {
  it("(2) has the record on disk before it signs or sends anything", async () => {
    const { driver, journal, records } = drive();
    driver.start();
    await until(() => journal.includes("sent prepare"));
    await driver.stop();
    expect(journal.indexOf("recorded")).toBe(0);
    // Every signature is covered by a record written before it.
    let recorded = 0;
    for (const entry of journal) {
      if (entry === "recorded") recorded += 1;
      if (entry === "sign") expect(recorded).toBeGreaterThan(0);
    }
    expect(records[0]?.claims.map(({ kind }) => kind)).toContain("proposal");
  });

  it("decides alone when it is the only validator", async () => {
    const { driver, decisions } = drive({ validators: [proposer.publicKey] });
    driver.start();
    await until(() => decisions.length > 0);
    await driver.stop();
    expect(decisions[0]?.certificate.signatures).toHaveLength(1);
  });

  it("decides with the votes of two others, and not with one", async () => {
    const { driver, decisions, sent } = drive();
    driver.start();
    await until(() => sent.some((bytes) => decodeMessage(bytes).kind === "prepare"));
    const { hash: blockHash } = blockAt(1, zeroHash);
    const vote = (voter: number, kind: "prepare" | "commit") => {
      const claim = { kind, height: 1, round: 0, blockHash };
      const signer = sorted[voter] as (typeof signers)[0];
      const signature = signer.sign(claimMessage(claim, chainId));
      return encodeMessage({ ...claim, validator: signer.publicKey, signature });
    };
    for (const kind of ["prepare", "commit"] as const) driver.receive(vote(1, kind));
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(decisions).toHaveLength(0);
    for (const kind of ["prepare", "commit"] as const) driver.receive(vote(2, kind));
    await until(() => decisions.length > 0);
    await driver.stop();
  });

  it("refuses a vote signed for another chain (named failure 16)", async () => {
    const { driver } = drive();
    driver.start();
    const claim = { kind: "commit", height: 1, round: 0, blockHash: zeroHash } as const;
    const other = sorted[1] as (typeof signers)[0];
    const signature = other.sign(claimMessage(claim, "22".repeat(32)));
    const bytes = encodeMessage({ ...claim, validator: other.publicKey, signature });
    expect(() => driver.receive(bytes)).toThrow("CONSENSUS_SIGNATURE_INVALID");
    expect(() => driver.receive(Uint8Array.of(0xff))).toThrow(LedgerError);
    await driver.stop();
  });

  it("(3) signs nothing more when the record cannot be written, and says why", async () => {
    const { driver, sent } = drive({
      writeRecord: () => Promise.reject(new Error("no space left on device")),
    });
    driver.start();
    await until(() => driver.status.halted !== undefined);
    await driver.stop();
    expect(driver.status.halted).toContain("no space left");
    expect(sent).toEqual([]);
  });

  it("(3) halts on a divergence from a certified block instead of going on", async () => {
    const { driver } = drive({
      validators: [proposer.publicKey],
      decide: () => Promise.reject(new Error("LEDGER_DIVERGENCE at height 1")),
    });
    driver.start();
    await until(() => driver.status.halted !== undefined);
    await driver.stop();
    expect(driver.status.halted).toContain("LEDGER_DIVERGENCE");
  });

  it("halts when another process signs with its key", async () => {
    const { driver, sent } = drive();
    driver.start();
    await until(() => sent.length > 0);
    const claim = { kind: "commit", height: 1, round: 0, blockHash: "33".repeat(32) } as const;
    const signature = proposer.sign(claimMessage(claim, chainId));
    driver.receive(encodeMessage({ ...claim, validator: proposer.publicKey, signature }));
    await driver.stop();
    expect(driver.status.halted).toContain("another process");
  });

  it("signs nothing after its record was lost until it knows what is decided", async () => {
    const { driver, sent, decisions } = drive({
      validators: [proposer.publicKey],
      isRecordLost: true,
    });
    driver.start();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(sent).toEqual([]);
    expect(driver.isAbstaining).toBe(true);
    driver.resumeSigningAbove(0);
    driver.noteWork();
    await until(() => decisions.length > 0);
    await driver.stop();
  });
});
