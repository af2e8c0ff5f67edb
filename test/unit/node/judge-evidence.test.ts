/**
 * Claims about running a bill again. The ledger, the contracts and the engine are the real ones;
 * only consensus is played by the test, which holds all validator keys. A quorum that signs a bill
 * the contract never made is caught by the recomputation, and by nothing else.
 */
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import tariff from "../../../data/tariffs/demo.json" with { type: "json" };
import { hexToBytes } from "../../../src/base/bytes.ts";
import { decodeHeader, headerHash } from "../../../src/base/format/block.ts";
import { didOf } from "../../../src/base/format/did.ts";
import {
  decodeEvidence,
  type EvidenceTransaction,
  encodeEvidence,
  evidenceTransactionOf,
} from "../../../src/base/format/evidence.ts";
import { type Genesis, genesisBlock } from "../../../src/base/format/genesis.ts";
import type { JsonValue } from "../../../src/base/format/json.ts";
import { claimMessage } from "../../../src/base/format/message.ts";
import { decodeReceipt, encodeReceipt } from "../../../src/base/format/receipt.ts";
import { decodeTransaction, signTransaction } from "../../../src/base/format/transaction.ts";
import type { Signer } from "../../../src/base/keys.ts";
import { silentLog } from "../../../src/base/log.ts";
import { merkleRoot } from "../../../src/base/proof/merkle.ts";
import { buildContract } from "../../../src/contracts/build.ts";
import { Ledger } from "../../../src/ledger/ledger.ts";
import { LedgerStore } from "../../../src/ledger/store.ts";
import type { ContractCaller } from "../../../src/ledger/types.ts";
import { exportBillEvidence } from "../../../src/node/export-evidence.ts";
import { makeGenesis } from "../../../src/node/genesis-maker.ts";
import { judgeEvidence } from "../../../src/node/judge-evidence.ts";
import { nativeSigner, nativeVerifier } from "../../../src/node/native-crypto.ts";
import { openContracts } from "../../../src/node/open-contracts.ts";
import { memoryDatabase } from "../../helpers/databases.ts";

const key = (number: number) => nativeSigner(new Uint8Array(32).fill(number));
const operator = key(10);
const gateway = key(11);
const validator = key(1);
const timeMs = Date.UTC(2019, 3, 1);
const clock = { nowMs: () => timeMs };
const billKey = "billing/bill/m-1/2019-01/1";

let genesis: Genesis;

beforeAll(async () => {
  const path = (name: string) =>
    fileURLToPath(new URL(`../../../contracts/${name}/index.ts`, import.meta.url));
  const contracts = [await buildContract(path("metering")), await buildContract(path("billing"))];
  const did = (signer: Signer) => didOf(signer.publicKey);
  const member = "one";
  genesis = await makeGenesis(
    {
      name: "judge",
      timestampMs: timeMs - 1_000,
      members: [{ id: member, name: "One", validatorKey: did(validator), peerKey: did(key(2)) }],
      accounts: [{ did: did(operator), member, name: "op", roles: ["operator", "biller"] }],
      devices: [{ did: did(gateway), member, name: "gw", roles: ["gateway"] }],
    },
    contracts,
  );
});

/** A ledger that decides each transaction in a block of its own. */
async function ledgerWith(wrap: (caller: ContractCaller) => ContractCaller, chain = genesis) {
  const block = genesisBlock(chain);
  const database = memoryDatabase();
  const store = await LedgerStore.open({ database, genesis: block, log: silentLog });
  const caller = wrap(await openContracts(genesis));
  const parts = { store, genesis: block, verifier: nativeVerifier, caller, clock, log: silentLog };
  const ledger = await Ledger.open(parts);
  let nonce = 0;
  const decide = async (signer: Signer, call: [string, string, JsonValue]) => {
    const [contract, method, args] = call;
    nonce += 1;
    const body = { nonce, contract, method, gasLimit: 300_000_000, argsJson: JSON.stringify(args) };
    const expiresAtMs = timeMs + 60_000;
    await ledger.submit(
      signTransaction({ ...body, chainId: block.chainId, expiresAtMs }, signer).bytes,
    );
    const made = await ledger.buildBlock({ proposer: validator.publicKey, nowMs: timeMs });
    if (made === undefined) throw new Error("no block was built");
    const { height } = made.header;
    const vote = { kind: "commit", height, round: 0, blockHash: made.hash } as const;
    const signature = validator.sign(claimMessage(vote, block.chainId));
    const signatures = [{ validatorIndex: 0, signature }];
    await ledger.append(made, { height, round: 0, blockHash: made.hash, signatures });
  };
  await decide(operator, [
    "metering",
    "registerMeter",
    { meter: "m-1", kind: "heat", gateway: didOf(gateway.publicKey) },
  ]);
  const [start, end] = [Date.UTC(2019, 0, 1), Date.UTC(2019, 1, 1)];
  const readings = [
    ["m-1", start, 0, 0, 0, 0],
    ["m-1", end, 2_792_148, 61_014, 4_514_243, 2_049_113],
  ];
  await decide(gateway, ["metering", "report", { readings }]);
  await decide(operator, ["billing", "publishTariff", tariff as JsonValue]);
  await decide(operator, [
    "billing",
    "makeBill",
    { meter: "m-1", month: "2019-01", tariff: "demo-heat" },
  ]);
  return ledger;
}

const honest = (caller: ContractCaller) => caller;

/** Validators that all write a bill one cent higher than the contract made it. */
const colluding = (caller: ContractCaller): ContractCaller => ({
  async call(request, state) {
    const outcome = await caller.call(request, state);
    const changes = outcome.changes.map(([changed, value]) => {
      if (changed !== billKey || value === undefined) return [changed, value] as const;
      const bill = JSON.parse(value);
      const dearer = value
        .replace(`"energy":${bill.lines.energy}`, `"energy":${bill.lines.energy + 1}`)
        .replace(`"totalCents":${bill.totalCents}`, `"totalCents":${bill.totalCents + 1}`);
      return [changed, dearer] as const;
    });
    return { ...outcome, changes };
  },
});

async function evidenceOf(ledger: Ledger): Promise<string> {
  const headers = {
    readCertified: async (height: number) => {
      const stored = await ledger.readBlock(height);
      return stored && { header: stored.block.header, certificate: stored.certificate };
    },
  };
  const text = await exportBillEvidence(ledger, headers, billKey);
  if (text === undefined) throw new Error("there is no bill");
  return text;
}

describe("evidence of a bill, judged with the contract at hand", () => {
  it("runs the contract again and gets the same bill", async () => {
    const verdict = await judgeEvidence(await evidenceOf(await ledgerWith(honest)), { genesis });
    expect(verdict.checks.filter(({ ok }) => !ok)).toEqual([]);
    expect([verdict.ok, verdict.level, verdict.recomputed]).toEqual([true, "certified", true]);
    expect(verdict.limits.some((limit) => limit.includes("price lines"))).toBe(false);
  });

  it("catches a bill that a whole quorum signed and the contract never made", async () => {
    const verdict = await judgeEvidence(await evidenceOf(await ledgerWith(colluding)), { genesis });
    expect(verdict.checks.filter(({ ok }) => !ok).map(({ name }) => name)).toEqual([
      "bill.recomputed",
    ]);
    expect([verdict.ok, verdict.level, verdict.recomputed]).toEqual([false, "invalid", false]);
  });

  it("refuses a gas limit that only forgers with the keys of a quorum can certify", async () => {
    const bundle = decodeEvidence(await evidenceOf(await ledgerWith(honest)));
    const place = bundle.entries.find(({ key }) => key === billKey)?.transaction ?? -1;
    const genuine = bundle.transactions[place] as EvidenceTransaction;
    const body = decodeTransaction(hexToBytes(genuine.transaction));
    const transaction = signTransaction({ ...body, gasLimit: 400_000_000 }, operator);
    const { bytes, id: transactionId } = transaction;
    const receiptBytes = encodeReceipt({
      ...decodeReceipt(hexToBytes(genuine.receipt)),
      transactionId,
    });
    const header = {
      ...decodeHeader(hexToBytes(genuine.header)),
      transactionsRoot: merkleRoot([bytes]),
      receiptsRoot: merkleRoot([receiptBytes]),
    };
    const { height } = header;
    const blockHash = headerHash(header);
    const vote = { kind: "commit", height, round: 0, blockHash } as const;
    const signature = validator.sign(claimMessage(vote, bundle.chainId));
    const certificate = {
      height,
      round: 0,
      blockHash,
      signatures: [{ validatorIndex: 0, signature }],
    };
    const forged = evidenceTransactionOf({
      ...{ transaction, receiptBytes, header, certificate, index: 0, size: 1 },
      ...{ transactionPath: [], receiptPath: [] },
    });
    const transactions = bundle.transactions.with(place, forged);
    const verdict = await judgeEvidence(encodeEvidence({ ...bundle, transactions }), { genesis });
    expect(verdict.checks.filter(({ ok }) => !ok)).toMatchObject([
      { name: "bill.recomputed", detail: "the gas limit 400000000 is not permitted" },
    ]);
  });

  it("does not run what the evidence does not prove", async () => {
    const bundle = decodeEvidence(await evidenceOf(await ledgerWith(honest)));
    const entries = bundle.entries.filter(({ role }) => role !== "tariff");
    const verdict = await judgeEvidence(encodeEvidence({ ...bundle, entries }), { genesis });
    expect([verdict.ok, verdict.recomputed]).toEqual([false, undefined]);
  });

  it("answers every text with a verdict", async () => {
    for (const text of ["", "{}", "null", "[1", '{"format":"loopledger-evidence-v0"}']) {
      const verdict = await judgeEvidence(text, { genesis });
      expect([verdict.ok, verdict.level]).toEqual([false, "invalid"]);
    }
  });

  it("says so when this program cannot run the contract of the genesis", async () => {
    const old = { ...genesis, engineHash: "00".repeat(32) };
    const text = await evidenceOf(await ledgerWith(honest, old));
    const verdict = await judgeEvidence(text, { genesis: old });
    expect([verdict.ok, verdict.level, verdict.recomputed]).toEqual([true, "certified", undefined]);
    expect(verdict.limits.some((limit) => limit.includes("not computed again"))).toBe(true);
  });
});
