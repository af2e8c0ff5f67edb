/**
 * A change of the validators on a real ledger: the header that makes it names the next set, the next
 * block needs a certificate of that set, and what was executed once is executed alike again.
 */
import { describe, expect, it } from "vitest";
import type { Block } from "../../../src/base/format/block.ts";
import { validatorsHash } from "../../../src/base/format/block.ts";
import { genesisBlock } from "../../../src/base/format/genesis.ts";
import { encodeJson, type JsonValue } from "../../../src/base/format/json.ts";
import { type Certificate, claimMessage } from "../../../src/base/format/message.ts";
import { signTransaction } from "../../../src/base/format/transaction.ts";
import type { ValidatorChange } from "../../../src/base/format/validator-change.ts";
import type { Signer } from "../../../src/base/keys.ts";
import { silentLog } from "../../../src/base/log.ts";
import { ValidatorSets } from "../../../src/base/proof/validator-sets.ts";
import { Ledger } from "../../../src/ledger/ledger.ts";
import { createExecute } from "../../../src/ledger/replay.ts";
import type { Checkpoint } from "../../../src/ledger/snapshot-verify.ts";
import { LedgerStore } from "../../../src/ledger/store.ts";
import { verifyChain } from "../../../src/ledger/verify-chain.ts";
import { Membership } from "../../../src/node/membership.ts";
import { nativeVerifier } from "../../../src/node/native-crypto.ts";
import { allSetChanges, validatorsAt } from "../../../src/node/set-changes.ts";
import { memoryDatabase } from "../../helpers/databases.ts";
import { administrators, keysOf, noSandbox, systemGenesis } from "./system-fixture.ts";

const genesis = genesisBlock(systemGenesis());
const clock = { timeMs: 1_700_000_001_000, nowMs: () => clock.timeMs };

async function openLedger(checkpoint?: Checkpoint, database = memoryDatabase()) {
  const store = await LedgerStore.open({ database, genesis, log: silentLog });
  const parts = { store, genesis, verifier: nativeVerifier, caller: noSandbox, clock };
  const ledger = await Ledger.open({ ...parts, log: silentLog, checkpoint });
  return { ledger, store, database };
}

function certify(
  block: Block,
  numbers: readonly number[],
  ledger: Pick<Ledger, "validators">,
): Certificate {
  const { height, chainId } = block.header;
  const vote = { kind: "commit", height, round: 0, blockHash: block.hash } as const;
  const message = claimMessage(vote, chainId);
  const signatures = numbers
    .map((number) => keysOf(number).validator)
    .map((signer) => ({ signer, validatorIndex: ledger.validators().indexOf(signer.publicKey) }))
    .sort((left, right) => left.validatorIndex - right.validatorIndex)
    .map(({ signer, validatorIndex }) => ({ validatorIndex, signature: signer.sign(message) }));
  return { height, round: 0, blockHash: block.hash, signatures };
}

let nonce = 0;
async function submit(ledger: Ledger, signer: Signer, change: ValidatorChange): Promise<void> {
  nonce += 1;
  const call = { contract: "system", method: "approveChange", gasLimit: 3_000_000 };
  const argsJson = encodeJson({ change: change as unknown as JsonValue });
  const expiresAtMs = clock.timeMs + 60_000;
  const body = { chainId: genesis.chainId, nonce, expiresAtMs, ...call, argsJson };
  await ledger.submit(signTransaction(body, signer).bytes);
}

/** Has members removed in one block, certified by the members of those numbers. */
async function removeAll(ledger: Ledger, ids: string[], signers: readonly number[]) {
  clock.timeMs += 1_000;
  for (const signer of administrators.slice(0, 3))
    await submit(ledger, signer, { kind: "remove", ids });
  return decide(ledger, signers);
}

async function decide(ledger: Ledger, signers: readonly number[]): Promise<Block> {
  const proposer = keysOf(signers[0] as number).validator.publicKey;
  const block = await ledger.buildBlock({ proposer, nowMs: clock.timeMs });
  if (block === undefined) throw new Error("there is nothing to decide");
  await ledger.append(block, certify(block, signers, ledger));
  return block;
}

async function heartbeat(ledger: Ledger, signers: readonly number[]): Promise<Block> {
  clock.timeMs += 61_000;
  return decide(ledger, signers);
}

const hashOfNumbers = (...numbers: readonly number[]) =>
  validatorsHash(numbers.map((number) => keysOf(number).validator.publicKey).sort());

describe("a change of the validators", () => {
  it("is in the header of its block, and holds from the next height on", async () => {
    const { ledger } = await openLedger();
    const { header } = await removeAll(ledger, ["n4"], [1, 2, 3]);
    expect(header.validatorsHash).toBe(hashOfNumbers(1, 2, 3, 4));
    expect(header.nextValidatorsHash).toBe(hashOfNumbers(1, 2, 3));
    expect(ledger.validators()).toHaveLength(3);
    const next = await heartbeat(ledger, [1, 2]);
    expect(next.header.validatorsHash).toBe(hashOfNumbers(1, 2, 3));
    expect([...ledger.schedule.proposers].sort()).toEqual(ledger.validators());
  });

  it("takes the right to certify from who left, at once", async () => {
    const { ledger } = await openLedger();
    await removeAll(ledger, ["n3", "n4"], [1, 2, 3]);
    clock.timeMs += 61_000;
    const proposer = keysOf(1).validator.publicKey;
    const block = await ledger.buildBlock({ proposer, nowMs: clock.timeMs });
    const stale = certify(block as Block, [1, 3, 4], { validators: formerSet });
    await expect(ledger.append(block as Block, stale)).rejects.toThrow("CERTIFICATE_INVALID");
    await ledger.append(block as Block, certify(block as Block, [1, 2], ledger));
    expect(ledger.tip.height).toBe(2);
  });

  it("is proven from the genesis on, and chain verify follows it", async () => {
    const { ledger, store, database } = await openLedger();
    const membership = new Membership(ledger);
    let heard = 0;
    membership.onChange(() => {
      heard += 1;
    });
    await removeAll(ledger, ["n4"], [1, 2, 3]);
    await heartbeat(ledger, [1, 2]);
    await removeAll(ledger, ["n3"], [1, 2]);
    await heartbeat(ledger, [1, 2]);
    const changes = await allSetChanges(ledger.state, store);
    const sets = new ValidatorSets(genesis, nativeVerifier);
    expect(sets.follow(changes)).toBe(2);
    const sizes = [1, 2, 3, 4, 5].map((height) => sets.at(height).length);
    expect(sizes).toEqual([4, 3, 3, 2, 2]);
    expect(sizes).toEqual(
      [1, 2, 3, 4, 5].map((height) => validatorsAt(ledger.state, height)?.validators.length),
    );
    expect(membership.members().map(({ id }) => id)).toEqual(["n1", "n2"]);
    expect(heard).toBe(2);
    const former = keysOf(4).peer.publicKey;
    expect(membership.allowedPeers(clock.timeMs)).toContain(former);
    expect(membership.isFormer(former)).toBe(true);
    expect(membership.allowedPeers(clock.timeMs + 3_600_000)).not.toContain(former);
    const execute = createExecute({
      ...{ chainId: genesis.chainId, caller: noSandbox },
      verifier: nativeVerifier,
    });
    const options = { database, genesis, verifier: nativeVerifier, execute };
    const verdict = await verifyChain(options);
    expect(verdict.summary).toContain("valid up to 4");
  });
});

describe("a fork with the stolen keys of a quorum that was removed", () => {
  /** An honest chain that removes three of four, and another past made with their keys. */
  async function fork() {
    const honest = await openLedger();
    const forger = await openLedger();
    const first = await heartbeat(honest.ledger, [1, 2, 3]);
    const shared = { block: first, certificate: certify(first, [1, 2, 3], forger.ledger) };
    const startMs = clock.timeMs;
    const forged = [shared];
    await forger.ledger.append(shared.block, shared.certificate);
    const before = honest.ledger.validators();
    const second = await removeAll(honest.ledger, ["n3", "n4"], [1, 2, 3]);
    const change = {
      block: second,
      certificate: certify(second, [1, 2, 3], { validators: () => before }),
    };
    await heartbeat(honest.ledger, [1, 2]);
    await removeAll(honest.ledger, ["n2"], [1, 2]);
    const { hash, header } = await heartbeat(honest.ledger, [1]);
    const checkpoint = { height: header.height, hash };
    await heartbeat(honest.ledger, [1]);
    const endMs = clock.timeMs;
    clock.timeMs = startMs;
    for (let count = 0; count < 5; count += 1) {
      const block = await heartbeat(forger.ledger, [2, 3, 4]);
      forged.push({ block, certificate: certify(block, [2, 3, 4], forger.ledger) });
    }
    clock.timeMs = Math.max(endMs, clock.timeMs);
    return { honest: [shared, change], forger, forged, checkpoint };
  }

  it("deceives a new node that knows the genesis only, not one with a trusted checkpoint", async () => {
    const { forged, checkpoint } = await fork();
    expect(checkpoint.height).toBe(5);
    const deceived = await openLedger();
    for (const { block, certificate } of forged) await deceived.ledger.append(block, certificate);
    expect(deceived.ledger.tip.height).toBe(6);
    const { ledger } = await openLedger(checkpoint);
    for (const one of forged.slice(0, 4)) await ledger.append(one.block, one.certificate);
    const { block, certificate } = forged[4] as (typeof forged)[0];
    for (let again = 0; again < 2; again += 1)
      await expect(ledger.append(block, certificate)).rejects.toThrow("LEDGER_CHECKPOINT_DIFFERS");
    expect(ledger.tip.height).toBe(4);
  });

  it("does not deceive a node that has followed the change", async () => {
    const { honest, forged } = await fork();
    const { ledger } = await openLedger();
    for (const { block, certificate } of honest) await ledger.append(block, certificate);
    const { block, certificate } = forged[2] as (typeof forged)[0];
    await expect(ledger.append(block, certificate)).rejects.toThrow("CERTIFICATE_INVALID");
    expect(ledger.tip.height).toBe(2);
  });

  it("is refused where it lies, with the checkpoint: at the start of a node and by chain verify", async () => {
    const { forger, checkpoint } = await fork();
    await expect(openLedger(checkpoint, forger.database)).rejects.toThrow(
      "LEDGER_CHECKPOINT_DIFFERS",
    );
    const { chainId } = genesis;
    const execute = createExecute({ chainId, caller: noSandbox, verifier: nativeVerifier });
    const options = { database: forger.database, genesis, verifier: nativeVerifier, execute };
    expect((await verifyChain(options)).isValid).toBe(true);
    const verdict = await verifyChain({ ...options, expect: checkpoint });
    expect(verdict).toMatchObject({ isValid: false, firstBadHeight: 5 });
  });
});

function formerSet() {
  return [1, 2, 3, 4].map((number) => keysOf(number).validator.publicKey).sort();
}
