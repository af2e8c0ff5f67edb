/**
 * Claims about the shell of the consensus core: the record is on disk before a signature exists,
 * and a node that cannot keep a promise stops signing and says why.
 */
import { describe, expect, it } from "vitest";
import { bytesToHex } from "../../../src/base/bytes.ts";
import { LedgerError } from "../../../src/base/errors.ts";
import {
  type Claim,
  claimMessage,
  decodeMessage,
  encodeMessage,
} from "../../../src/base/format/message.ts";
import { decodeSigningRecord, signingLimit } from "../../../src/base/format/signing-record.ts";
import { zeroHash } from "../../../src/base/hash.ts";
import type { nativeSigner } from "../../../src/node/native-crypto.ts";
import { blockAt, chainId, drive, proposer, sorted, until } from "./driver-fixture.ts";
import { VirtualTimers } from "./virtual-timers.ts";

type Signer = ReturnType<typeof nativeSigner>;

/** Vote of another validator for the block of the driver. */
function voteOf(voter: number, kind: "prepare" | "commit"): Uint8Array {
  const { hash: blockHash } = blockAt(1, zeroHash);
  const claim = { kind, height: 1, round: 0, blockHash };
  return encodeMessage({ ...claim, ...signatureOf(voter, claim) });
}

/** Round change of another validator that has prepared nothing. */
function roundChangeOf(voter: number, round: number): Uint8Array {
  const claim = { kind: "roundChange", height: 1, round, prepared: undefined } as const;
  const none = { preparedBlock: undefined, prepares: [] };
  return encodeMessage({ ...claim, ...signatureOf(voter, claim), ...none });
}

function signatureOf(voter: number, claim: Claim) {
  const { publicKey: validator, sign } = sorted[voter] as Signer;
  return { validator, signature: sign(claimMessage(claim, chainId)) };
}

describe("the consensus driver", () => {
  it("(2) has the record on disk before it signs or sends anything", async () => {
    /** What the record on disk allows to be signed, at each moment. */
    let covered: string[] = [];
    const signed: { readonly message: string; readonly isCovered: boolean }[] = [];
    const sent: string[] = [];
    const nameOf = (claim: Claim) => bytesToHex(claimMessage(claim, chainId));
    const { driver } = drive({
      signer: {
        publicKey: proposer.publicKey,
        sign: (bytes) => {
          const message = bytesToHex(bytes);
          signed.push({ message, isCovered: covered.includes(message) });
          return proposer.sign(bytes);
        },
      },
      writeRecord: async (bytes) => {
        await new Promise((resolve) => setImmediate(resolve));
        covered = decodeSigningRecord(bytes).claims.map(nameOf);
      },
      broadcast: (bytes) => {
        const message = decodeMessage(bytes);
        expect(signed.map((each) => each.message)).toContain(nameOf(message));
        sent.push(message.kind);
      },
    });
    driver.start();
    await until(() => sent.includes("prepare"));
    // The votes of the others lead to a commit, and their round changes to a further round.
    for (const voter of [1, 2]) driver.receive(voteOf(voter, "prepare"));
    await until(() => sent.includes("commit"));
    for (const voter of [1, 2]) driver.receive(roundChangeOf(voter, 2));
    await until(() => sent.includes("roundChange"));
    await driver.stop();
    expect(new Set(sent)).toEqual(new Set(["proposal", "prepare", "commit", "roundChange"]));
    expect(signed.filter(({ isCovered }) => !isCovered)).toEqual([]);
    expect(signed.length).toBeGreaterThanOrEqual(4);
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
    for (const kind of ["prepare", "commit"] as const) driver.receive(voteOf(1, kind));
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(decisions).toHaveLength(0);
    for (const kind of ["prepare", "commit"] as const) driver.receive(voteOf(2, kind));
    await until(() => decisions.length > 0);
    await driver.stop();
  });

  it("refuses a vote signed for another chain (named failure 16)", async () => {
    const { driver } = drive();
    driver.start();
    const claim = { kind: "commit", height: 1, round: 0, blockHash: zeroHash } as const;
    const other = sorted[1] as Signer;
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
    expect(driver.awaitsTip).toBe(false);
    driver.noteWork();
    await until(() => decisions.length > 0);
    await driver.stop();
  });

  it("puts on disk what it learnt after the loss, so that a restart need not learn it again", async () => {
    const validators = [proposer.publicKey];
    const lost = drive({ validators, isRecordLost: true });
    lost.driver.start();
    lost.driver.resumeSigningAbove(1);
    expect(lost.driver.isAbstaining).toBe(true);
    await until(() => lost.records.length > 0);
    await lost.driver.stop();
    expect(lost.records).toEqual([signingLimit(2)]);
    expect(lost.sent).toEqual([]);
    const again = drive({ validators, record: lost.records[0] });
    expect(again.driver.isAbstaining).toBe(true);
    again.driver.start();
    again.driver.noteWork();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(again.driver.isAbstaining).toBe(true);
    expect(again.driver.status.votesFromHeight).toBeUndefined();
    expect(again.sent).toEqual([]);
    await again.driver.stop();
    const there = drive({ validators, record: signingLimit(1) });
    there.driver.start();
    await until(() => there.decisions.length > 0);
    expect(there.driver.isAbstaining).toBe(false);
    await there.driver.stop();
  });

  it("keeps an older record that damage left whole, if it goes as far", async () => {
    const validators = [proposer.publicKey];
    const claim = { kind: "prepare", height: 9, round: 0, blockHash: "33".repeat(32) } as const;
    const record = { ...signingLimit(9), claims: [claim] };
    const { driver, records } = drive({ validators, isRecordLost: true, record });
    driver.start();
    await until(() => driver.core.record !== undefined);
    driver.resumeSigningAbove(3);
    await until(() => records.length > 0);
    await driver.stop();
    expect(records).toEqual([record]);
  });

  it("does not go back to an older record that waited to be restored when the tip was learnt", async () => {
    const claim = { kind: "prepare", height: 1, round: 0, blockHash: "33".repeat(32) } as const;
    const record = { ...signingLimit(1), claims: [claim] };
    const { driver, records } = drive({ isRecordLost: true, record, listenMs: 1 });
    driver.start();
    driver.resumeSigningAbove(5);
    await until(() => records.length > 0);
    driver.listen();
    // What was waiting is taken in order: the record first.
    driver.receive(voteOf(1, "prepare"));
    await until(() => driver.core.seen.size > 0);
    await driver.stop();
    expect(driver.core.record).toEqual(signingLimit(6));
  });

  it("begins the next height right after an append when something waits, not at the next look", async () => {
    const validators = [proposer.publicKey];
    const ledger = { ...drive().ledger, validators: () => validators, proposers: () => validators };
    const heights: number[] = [];
    const buildBlock = async () => {
      heights.push(ledger.tip.height + 1);
      return blockAt(ledger.tip.height + 1, ledger.tip.hash);
    };
    const { driver } = drive({
      validators,
      // Nothing that only time brings about comes.
      timers: new VirtualTimers(),
      ledger: { ...ledger, hasWork: () => true, buildBlock, tip: ledger.tip },
      decide: async ({ header, hash }) => {
        Object.assign(ledger.tip, { height: header.height, hash });
        driver.noteAppended();
      },
    });
    driver.start();
    await until(() => heights.length >= 5);
    await driver.stop();
    expect(heights.slice(0, 5)).toEqual([1, 2, 3, 4, 5]);
  });
});
