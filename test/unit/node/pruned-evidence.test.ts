/**
 * Evidence on a node that pruned: of what lies at or below the base it says LEDGER_PRUNED, never
 * "unknown"; of what came later the proof is whole, also across a change of the validators whose
 * block is gone. The ledger, the contracts and the engine are the real ones; only consensus is
 * played by the test, which holds all validator keys.
 */
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import tariff from "../../../data/tariffs/demo.json" with { type: "json" };
import { errorTable } from "../../../src/base/errors.ts";
import type { Block } from "../../../src/base/format/block.ts";
import { didOf } from "../../../src/base/format/did.ts";
import { decodeEvidence } from "../../../src/base/format/evidence.ts";
import { defaultParameters, type Genesis, genesisBlock } from "../../../src/base/format/genesis.ts";
import type { JsonValue } from "../../../src/base/format/json.ts";
import { claimMessage } from "../../../src/base/format/message.ts";
import { signTransaction } from "../../../src/base/format/transaction.ts";
import type { Signer } from "../../../src/base/keys.ts";
import { silentLog } from "../../../src/base/log.ts";
import { verifyCertificate } from "../../../src/base/proof/certificate.ts";
import { ValidatorSets } from "../../../src/base/proof/validator-sets.ts";
import { buildContract } from "../../../src/contracts/build.ts";
import { Ledger } from "../../../src/ledger/ledger.ts";
import { moveBase, sweepBelowBase } from "../../../src/ledger/pruning.ts";
import { LedgerStore } from "../../../src/ledger/store.ts";
import { exportBillEvidence } from "../../../src/node/export-evidence.ts";
import { makeGenesis } from "../../../src/node/genesis-maker.ts";
import { judgeEvidence } from "../../../src/node/judge-evidence.ts";
import { nativeSigner, nativeVerifier } from "../../../src/node/native-crypto.ts";
import { openContracts } from "../../../src/node/open-contracts.ts";
import { readSetChanges } from "../../../src/node/set-changes.ts";
import { memoryDatabase } from "../../helpers/databases.ts";

const key = (number: number) => nativeSigner(new Uint8Array(32).fill(number));
const did = (signer: Signer) => didOf(signer.publicKey);
const [operator, gateway] = [key(10), key(11)];
const validators = [1, 2, 3].map(key);
const administrators = [21, 22, 23].map(key);
const clock = { timeMs: Date.UTC(2019, 3, 1), nowMs: () => clock.timeMs };
const base = 16;

type Call = readonly [contract: string, method: string, args: unknown];

class Chain {
  readonly genesis: Genesis;
  readonly ledger: Ledger;
  readonly store: LedgerStore;
  #nonce = 0;

  constructor(genesis: Genesis, ledger: Ledger, store: LedgerStore) {
    this.genesis = genesis;
    this.ledger = ledger;
    this.store = store;
  }

  static async open(genesis: Genesis): Promise<Chain> {
    const block = genesisBlock(genesis);
    const database = memoryDatabase();
    const store = await LedgerStore.open({ database, genesis: block, log: silentLog });
    const caller = await openContracts(genesis);
    const parts = { store, genesis: block, verifier: nativeVerifier, caller, clock };
    return new Chain(genesis, await Ledger.open({ ...parts, log: silentLog }), store);
  }

  async submit(signer: Signer, [contract, method, args]: Call): Promise<string> {
    this.#nonce += 1;
    const gasLimit = contract === "system" ? 3_000_000 : 300_000_000;
    const body = { nonce: this.#nonce, contract, method, gasLimit, argsJson: JSON.stringify(args) };
    const { chainId } = this.ledger;
    const expiresAtMs = clock.timeMs + 120_000;
    const { bytes, id } = signTransaction({ ...body, chainId, expiresAtMs }, signer);
    await this.ledger.submit(bytes);
    return id;
  }

  /** Decides what waits; with nothing, the heartbeat's block. */
  async decide(): Promise<Block> {
    const keys = this.ledger.validators();
    clock.timeMs += 61_000;
    const made = await this.ledger.buildBlock({ proposer: keys[0] ?? "", nowMs: clock.timeMs });
    if (made === undefined) throw new Error("there is nothing to decide");
    const { height, chainId } = made.header;
    const vote = { kind: "commit", height, round: 0, blockHash: made.hash } as const;
    const signatures = keys.map((publicKey, validatorIndex) => {
      const signer = validators.find((one) => one.publicKey === publicKey) as Signer;
      return { validatorIndex, signature: signer.sign(claimMessage(vote, chainId)) };
    });
    await this.ledger.append(made, { height, round: 0, blockHash: made.hash, signatures });
    return made;
  }

  /** Decides one call; @returns its id. */
  async call(signer: Signer, ...call: Call): Promise<string> {
    const id = await this.submit(signer, call);
    await this.decide();
    const status = await this.ledger.status(id);
    expect(status).toMatchObject({ status: "final", receipt: { outcome: "ok" } });
    return id;
  }

  evidence(bill: string): Promise<string | undefined> {
    return exportBillEvidence(this.ledger, this.store, `billing/bill/${bill}`);
  }
}

async function makeLedgerGenesis(): Promise<Genesis> {
  const path = (name: string) =>
    fileURLToPath(new URL(`../../../contracts/${name}/index.ts`, import.meta.url));
  const contracts = [await buildContract(path("metering")), await buildContract(path("billing"))];
  const member = "n1";
  return makeGenesis(
    {
      name: "pruned evidence",
      timestampMs: clock.timeMs - 1_000,
      members: validators.map((validator, index) => {
        const id = `n${index + 1}`;
        return { id, name: id, validatorKey: did(validator), peerKey: did(key(index + 41)) };
      }),
      accounts: [
        { did: did(operator), member, name: "op", roles: ["operator", "biller"] },
        ...administrators.map((signer, index) => ({
          ...{ did: did(signer), member, name: `admin ${index}`, roles: ["administrator"] },
        })),
      ],
      devices: [{ did: did(gateway), member, name: "gw", roles: ["gateway"] }],
      parameters: { ...defaultParameters, snapshotInterval: 16 },
    },
    contracts,
  );
}

const reading = (meter: string, month: number, factor: number) => [
  ...[meter, Date.UTC(2019, month, 1), 2_000_000 * factor, 60_000 * factor],
  ...[4_500_000 * factor, 2_000_000 * factor],
];

describe("evidence on a node that pruned", () => {
  let chain: Chain;
  let early: string;
  let late: string;

  beforeAll(async () => {
    chain = await Chain.open(await makeLedgerGenesis());
    const bill = (meter: string, month: string, id: string) =>
      chain.call(operator, "billing", "makeBill", { meter, month, tariff: id });
    const report = (...readings: unknown[]) =>
      chain.call(gateway, "metering", "report", { readings });
    for (const meter of ["m-1", "m-2"]) {
      const args = { meter, kind: "heat", gateway: did(gateway) };
      await chain.call(operator, "metering", "registerMeter", args);
    }
    early = await report(reading("m-1", 0, 1), reading("m-1", 1, 2));
    await chain.call(operator, "billing", "publishTariff", tariff);
    await bill("m-1", "2019-01", "demo-heat");
    for (const signer of administrators)
      await chain.submit(signer, [
        ...(["system", "approveChange", { change: { kind: "remove", ids: ["n3"] } }] as const),
      ]);
    await chain.decide();
    expect(chain.ledger.validators()).toHaveLength(2);
    while (chain.ledger.tip.height <= base) await chain.decide();
    const later = { ...(tariff as Record<string, JsonValue>), id: "late-heat" };
    await chain.call(operator, "billing", "publishTariff", later);
    late = await report(reading("m-1", 2, 3));
    await report(reading("m-1", 3, 4));
    await bill("m-1", "2019-02", "late-heat");
    await bill("m-1", "2019-03", "late-heat");
    expect(await chain.evidence("m-1/2019-01/1")).toContain("m-1/2019-01");
    await moveBase(chain.store, base);
    await sweepBelowBase(chain.store, { pause: async () => {} });
  }, 30_000);

  it("is refused with what to do next when a part of it is gone, be it the bill or a reading", async () => {
    const pruned = { code: "LEDGER_PRUNED", facts: { baseHeight: base } };
    await expect(chain.evidence("m-1/2019-01/1")).rejects.toMatchObject(pruned);
    // Made after the base, from a reading before it.
    await expect(chain.evidence("m-1/2019-02/1")).rejects.toMatchObject(pruned);
    await expect(chain.ledger.proveTransaction(early)).rejects.toMatchObject(pruned);
    expect(errorTable.LEDGER_PRUNED).toMatchObject({ httpStatus: 410 });
    expect(errorTable.LEDGER_PRUNED.next).toContain("a node that keeps all blocks");
    expect(await chain.evidence("m-1/2019-04/1")).toBeUndefined();
  });

  it("is whole for what came later, across a change of the validators that is gone", async () => {
    const text = await chain.evidence("m-1/2019-03/1");
    const bundle = decodeEvidence(text ?? "");
    expect(bundle.validatorChanges).toHaveLength(1);
    expect(bundle.entries.map(({ role }) => role)).toContain("meter");
    const verdict = await judgeEvidence(text ?? "", { genesis: chain.genesis });
    expect(verdict.checks.filter(({ ok }) => !ok)).toEqual([]);
    expect([verdict.level, verdict.recomputed]).toEqual(["certified", true]);
    const { height, hash } = chain.ledger.tip;
    const checkpoint = { height, hash };
    expect(await judgeEvidence(text ?? "", { genesis: chain.genesis, checkpoint })).toMatchObject({
      ...{ ok: true, level: "anchored" },
    });
  });

  it("of a later transaction verifies with the changes that the node still proves", async () => {
    const { ledger, store, genesis } = chain;
    const proof = await ledger.proveTransaction(late);
    if (proof === undefined) throw new Error("there is no proof");
    const { header, certificate } = proof;
    const sets = new ValidatorSets(genesisBlock(genesis), nativeVerifier);
    expect(sets.follow(await readSetChanges(ledger.state, store, 1))).toBe(1);
    const context = { chainId: ledger.chainId, verifier: nativeVerifier };
    const at = (validatorsAt: readonly string[]) => () =>
      verifyCertificate(certificate, header, { ...context, validators: validatorsAt });
    expect(at(sets.at(header.height))).not.toThrow();
    expect(at(genesisBlock(genesis).validators)).toThrow("CERTIFICATE_INVALID");
  });
});
