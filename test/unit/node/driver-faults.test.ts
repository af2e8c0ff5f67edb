/**
 * Claims about what the shell of the consensus core does when something goes wrong around it: a
 * liar's block, a fault in the middle of a write, an answer at an unlucky moment.
 */
import { describe, expect, it } from "vitest";
import { AssertionError } from "../../../src/base/assert.ts";
import { LedgerError } from "../../../src/base/errors.ts";
import { type Block, blockOf } from "../../../src/base/format/block.ts";
import { claimMessage, decodeMessage, encodeMessage } from "../../../src/base/format/message.ts";
import { zeroHash } from "../../../src/base/hash.ts";
import { merkleRoot } from "../../../src/base/proof/merkle.ts";
import type { nativeSigner } from "../../../src/node/native-crypto.ts";
import { blockAt, chainId, drive, proposer, sorted, until } from "./driver-fixture.ts";
import { VirtualTimers } from "./virtual-timers.ts";

type Signer = ReturnType<typeof nativeSigner>;

function proposalOf(block: Block, signer: Signer): Uint8Array {
  const claim = { kind: "proposal", height: 1, round: 0, blockHash: block.hash } as const;
  const signature = signer.sign(claimMessage(claim, chainId));
  const validator = signer.publicKey;
  return encodeMessage({ ...claim, validator, signature, block, roundChanges: [], prepares: [] });
}

describe("the consensus driver among faults", () => {
  it("drops a proposal whose transactions are not those of its header", () => {
    const { driver } = drive({ signer: undefined });
    const block = { ...blockAt(1, zeroHash), transactions: [new Uint8Array(148)] };
    expect(() => driver.receive(proposalOf(block, sorted[0] as Signer))).toThrow("BLOCK_INVALID");
  });

  it("abstains from a block that it cannot run, and goes on", async () => {
    let checks = 0;
    const facts = { contract: "pure", method: "read", reason: "the engine died" };
    const checkBlock = async () => {
      checks += 1;
      throw new LedgerError("CONTRACT_NODE_FAULT", facts);
    };
    const other = sorted[1] as Signer;
    const proposers = () => [1, 2, 3, 0].map((index) => (sorted[index] as Signer).publicKey);
    const { driver, sent } = drive({ ledger: { ...idleLedger(), checkBlock, proposers } });
    driver.start();
    const { header } = blockAt(1, zeroHash);
    driver.receive(proposalOf(blockOf({ ...header, proposer: other.publicKey }, []), other));
    await until(() => checks > 0);
    await new Promise((resolve) => setImmediate(resolve));
    expect(driver.status.halted).toBeUndefined();
    expect(sent).toEqual([]);
    for (const signer of sorted.slice(1, 3)) driver.receive(roundChangeOf(signer));
    await until(() => sent.some((bytes) => decodeMessage(bytes).kind === "roundChange"));
    await driver.stop();
  });

  it.each([
    { salvageable: false, name: "builds again at its next turn when a read failed" },
    { salvageable: true, name: "stops voting when what it reads is damaged" },
  ])("$name", async ({ salvageable }) => {
    let tries = 0;
    const timers = new VirtualTimers();
    const facts = { directory: "ledger", reason: "IO error: too many open files", salvageable };
    const { driver, decisions } = drive({
      validators: [proposer.publicKey],
      timers,
      ledger: {
        ...idleLedger([proposer]),
        hasWork: () => true,
        buildBlock: async () => {
          tries += 1;
          if (tries === 1) throw new LedgerError("LEDGER_STORE_UNREADABLE", facts);
          return blockAt(1, zeroHash);
        },
      },
    });
    driver.start();
    await timers.advance(10_000);
    await driver.stop();
    const isHalted = driver.status.halted?.includes("LEDGER_STORE_UNREADABLE") === true;
    expect([isHalted, decisions.length]).toEqual(salvageable ? [true, 0] : [false, 1]);
  });

  it("goes on when a decided block cannot be appended as it came, and asks the peers", async () => {
    let asked = 0;
    const { driver } = drive({
      validators: [proposer.publicKey],
      decide: () =>
        Promise.reject(new LedgerError("BLOCK_INVALID", { height: 1, reason: "other content" })),
      catchUp: () => {
        asked += 1;
      },
    });
    driver.start();
    await until(() => asked > 0 || driver.status.halted !== undefined);
    await driver.stop();
    expect(driver.status.halted).toBeUndefined();
  });

  it("(3) signs nothing when it is halted while the record is being written", async () => {
    const found = drive({
      writeRecord: async () => {
        await new Promise((resolve) => setImmediate(resolve));
        found.driver.halt("a divergence was found meanwhile");
      },
    });
    found.driver.start();
    await until(() => found.driver.status.halted !== undefined);
    await found.driver.stop();
    expect(found.sent).toEqual([]);
    expect(found.journal).not.toContain("sign");
  });

  it("leaves no timer behind when it is stopped while the record is being written", async () => {
    let isWriting = false;
    const timers = () => process.getActiveResourcesInfo().filter((name) => name === "Timeout");
    const { driver } = drive({
      ledger: idleLedger(),
      writeRecord: async () => {
        isWriting = true;
        await new Promise((resolve) => setImmediate(resolve));
        await new Promise((resolve) => setImmediate(resolve));
      },
    });
    const before = timers().length;
    driver.start();
    // Entering round 1 signs and starts timers in one step.
    for (const other of [1, 2]) driver.receive(roundChangeOf(sorted[other] as Signer));
    while (!isWriting) await new Promise((resolve) => setImmediate(resolve));
    await driver.stop();
    expect(timers().length).toBeLessThanOrEqual(before);
  });

  it("(4) loses no event that comes at the very end of a step", async () => {
    // Every microtask after the drain's last step is tried: one of them is the unlucky one.
    for (let hops = 0; hops < 12; hops += 1) {
      const { driver, sent } = drive({
        ledger: idleLedger(),
      });
      driver.start();
      driver.noteAppended();
      for (let hop = 0; hop < hops; hop += 1) await undefined;
      driver.receive(roundChangeOf(sorted[1] as Signer));
      driver.receive(roundChangeOf(sorted[2] as Signer));
      await new Promise((resolve) => setImmediate(resolve));
      await new Promise((resolve) => setImmediate(resolve));
      await new Promise((resolve) => setImmediate(resolve));
      await driver.stop();
      const kinds = sent.map((bytes) => decodeMessage(bytes).kind);
      expect(kinds, `${hops} microtasks later`).toContain("roundChange");
    }
  });

  it("listens before it signs, and does not vote when it hears its own key", async () => {
    const { driver, sent } = drive({ listenMs: 200 });
    driver.start();
    driver.listen();
    const claim = { kind: "commit", height: 1, round: 0, blockHash: "33".repeat(32) } as const;
    const signature = proposer.sign(claimMessage(claim, chainId));
    driver.receive(encodeMessage({ ...claim, validator: proposer.publicKey, signature }));
    expect(driver.status.halted).toContain("another process");
    await new Promise((resolve) => setTimeout(resolve, 250));
    await driver.stop();
    expect(sent).toEqual([]);
  });

  it("(6) signs nothing before it was started and could hear a peer", async () => {
    const { driver, sent } = drive({ listenMs: 1 });
    const turns = () => new Promise((resolve) => setTimeout(resolve, 20));
    driver.listen();
    for (const signer of sorted.slice(1)) driver.receive(roundChangeOf(signer));
    driver.noteWork();
    await turns();
    driver.start();
    await turns();
    expect(sent).toEqual([]);
    driver.listen();
    await until(() => sent.length > 0);
    await driver.stop();
  });

  it("is not silenced by an echo of what its record holds, while it listens", async () => {
    const first = drive();
    first.driver.start();
    await until(() => first.sent.some((bytes) => decodeMessage(bytes).kind === "prepare"));
    await first.driver.stop();
    const { driver, sent } = drive({ listenMs: 20, record: first.records.at(-1) });
    driver.start();
    driver.listen();
    for (const bytes of first.sent) driver.receive(bytes);
    await until(() => sent.length > 0 || driver.status.halted !== undefined);
    await driver.stop();
    expect(driver.status.halted).toBeUndefined();
  });

  it("(5) keeps a bounded part of what one validator floods it with", async () => {
    const block = blockAt(1, zeroHash);
    const big = Array.from({ length: 14 }, (_, index) => new Uint8Array(250_000).fill(index + 1));
    const heavy = blockOf({ ...block.header, transactionsRoot: merkleRoot(big) }, big);
    const bytes = proposalOf(heavy, sorted[0] as Signer);
    const { driver } = drive({ listenMs: 100_000, ledger: idleLedger(), signer: undefined });
    driver.start();
    for (let copy = 0; copy < 9; copy += 1) driver.receive(bytes);
    expect(driver.waitingBytes).toBeLessThanOrEqual(24 * 1024 * 1024);
    expect(driver.waitingBytes).toBeGreaterThan(3_000_000);
    await driver.stop();
  });

  it("lets a broken invariant through to the top of the process", async () => {
    const thrown: unknown[] = [];
    const onUncaught = (error: unknown) => thrown.push(error);
    const former = process.listeners("uncaughtException");
    process.removeAllListeners("uncaughtException");
    process.on("uncaughtException", onUncaught);
    try {
      const { driver } = drive({
        validators: [proposer.publicKey],
        decide: () => Promise.reject(new AssertionError("broken invariant: one is one")),
      });
      driver.start();
      await until(() => thrown.length > 0 || driver.status.halted !== undefined);
      await driver.stop();
      expect(thrown[0]).toBeInstanceOf(AssertionError);
    } finally {
      process.removeListener("uncaughtException", onUncaught);
      for (const listener of former) process.on("uncaughtException", listener);
    }
  });
});

function roundChangeOf(signer: Signer): Uint8Array {
  const claim = { kind: "roundChange", height: 1, round: 1, prepared: undefined } as const;
  const signature = signer.sign(claimMessage(claim, chainId));
  const validator = signer.publicKey;
  return encodeMessage({ ...claim, validator, signature, preparedBlock: undefined, prepares: [] });
}

function idleLedger(validators: readonly Signer[] = sorted) {
  const keys = validators.map(({ publicKey }) => publicKey);
  return {
    chainId,
    tip: { height: 0, hash: zeroHash },
    validators: () => keys,
    proposers: () => keys,
    hasWork: () => false,
    buildBlock: async () => undefined,
    checkBlock: async () => {},
  };
}
