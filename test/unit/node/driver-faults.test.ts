/**
 * Claims about what the shell of the consensus core does when something goes wrong around it: a
 * liar's block, a fault in the middle of a write, an answer at an unlucky moment.
 */
import { describe, expect, it } from "vitest";
import { AssertionError } from "../../../src/base/assert.ts";
import { LedgerError } from "../../../src/base/errors.ts";
import { type Block, encodeBlock } from "../../../src/base/format/block.ts";
import { claimMessage, decodeMessage, encodeMessage } from "../../../src/base/format/message.ts";
import { zeroHash } from "../../../src/base/hash.ts";
import type { nativeSigner } from "../../../src/node/native-crypto.ts";
import { blockAt, chainId, drive, proposer, sorted, until } from "./driver-fixture.ts";

type Signer = ReturnType<typeof nativeSigner>;

function proposalOf(block: Block, signer: Signer): Uint8Array {
  const claim = { kind: "proposal", height: 1, round: 0, blockHash: block.hash } as const;
  const signature = signer.sign(claimMessage(claim, chainId));
  const validator = signer.publicKey;
  return encodeMessage({ ...claim, validator, signature, block, roundChanges: [], prepares: [] });
}

describe("the consensus driver among faults", () => {
  it("drops a proposal whose transactions are not those of its header", () => {
    const { driver } = drive();
    const block = { ...blockAt(1, zeroHash), transactions: [Uint8Array.of(1)] };
    expect(() => driver.receive(proposalOf(block, sorted[0] as Signer))).toThrow("BLOCK_INVALID");
    expect(encodeBlock(block).length).toBeGreaterThan(0);
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
      writeRecord: async () => {
        isWriting = true;
        await new Promise((resolve) => setImmediate(resolve));
        await new Promise((resolve) => setImmediate(resolve));
      },
    });
    const before = timers().length;
    driver.start();
    while (!isWriting) await new Promise((resolve) => setImmediate(resolve));
    await driver.stop();
    expect(timers().length).toBe(before);
  });

  it("(4) loses no event that comes at the very end of a step", async () => {
    // Every microtask after the drain's last step is tried: one of them is the unlucky one.
    for (let hops = 0; hops < 12; hops += 1) {
      const { driver, sent } = drive({
        ledger: idleLedger(),
        record: undefined,
      });
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

function idleLedger() {
  return {
    chainId,
    tip: { height: 0, hash: zeroHash },
    tipProposer: () => zeroHash,
    validators: () => sorted.map(({ publicKey }) => publicKey),
    hasWork: () => false,
    buildBlock: async () => undefined,
    checkBlock: async () => {},
  };
}
