/**
 * Judges evidence and runs the bill again: the contract of the genesis, in the same engine, on the
 * proven values, with the signed request. What it writes must be the bill, to the byte. Needs no
 * node, no ledger and no network.
 */
import { compareUtf8, hexToBytes } from "../base/bytes.ts";
import { isLedgerError } from "../base/errors.ts";
import { decodeHeader } from "../base/format/block.ts";
import { didOf } from "../base/format/did.ts";
import { decodeEvidence, type EvidenceBundle } from "../base/format/evidence.ts";
import { type Genesis, genesisBlock } from "../base/format/genesis.ts";
import { decodeTransaction } from "../base/format/transaction.ts";
import { type Checkpoint, type EvidenceVerdict, verifyEvidence } from "../base/proof/evidence.ts";
import { nativeVerifier } from "./native-crypto.ts";
import { openContracts } from "./open-contracts.ts";

/** The verdict, and whether the contract gave the same bill again. */
export type JudgedEvidence = EvidenceVerdict & {
  /** Absent when there was nothing to run: no bill, or another engine than the genesis names. */
  readonly recomputed: boolean | undefined;
};

/** Verifies a bundle, then recomputes its bill. Never throws on any text. */
export async function judgeEvidence(
  text: string,
  context: { readonly genesis: Genesis; readonly checkpoint?: Checkpoint | undefined },
): Promise<JudgedEvidence> {
  const verdict = verifyEvidence(text, { ...context, verifier: nativeVerifier });
  if (verdict.level === "invalid" || verdict.subject?.kind !== "bill")
    return { ...verdict, recomputed: undefined };
  const bundle = decodeEvidence(text);
  const problem = await recompute(bundle, context.genesis);
  if (problem === "engine") return withLimit(verdict);
  const ok = problem === undefined;
  const detail = problem ?? "the contract of the genesis makes the same bill from the same values";
  return {
    ...verdict,
    ok: verdict.ok && ok,
    level: ok ? verdict.level : "invalid",
    checks: [...verdict.checks, { name: "bill.recomputed", ok, detail }],
    limits: ok
      ? verdict.limits.filter((limit) => !limit.startsWith("The price lines"))
      : verdict.limits,
    recomputed: ok,
  };
}

function withLimit(verdict: EvidenceVerdict): JudgedEvidence {
  const limit = "The bill was not computed again: this program has another contract engine.";
  return { ...verdict, limits: [...verdict.limits, limit], recomputed: undefined };
}

/** @returns What differs; undefined when the very same bill came out. */
async function recompute(bundle: EvidenceBundle, genesis: Genesis): Promise<string | undefined> {
  const { key } = bundle.subject;
  const entry = bundle.entries.find((one) => one.key === key);
  const by = entry && bundle.transactions[entry.transaction];
  if (entry === undefined || by === undefined) return "the bill is not in the evidence";
  const transaction = decodeTransaction(hexToBytes(by.transaction));
  const { height, timestampMs: timeMs } = decodeHeader(hexToBytes(by.header));
  const { contract, method, argsJson, gasLimit } = transaction;
  // No honest validator admits it, and the runtime takes it for a broken invariant.
  if (gasLimit > genesis.parameters.callGasMax) return `the gas limit ${gasLimit} is not permitted`;
  const sender = didOf(transaction.sender);
  const roles =
    [...genesis.accounts, ...genesis.devices].find(({ did }) => did === sender)?.roles ?? [];
  const caller = await openContractsOrNone(genesis);
  if (caller === undefined) return "engine";
  try {
    const { outcome, changes } = await caller.call(
      { contract, method, argsJson, kind: "method", sender, roles, gasLimit, height, timeMs },
      stateBefore(bundle, genesis),
    );
    if (outcome !== "ok") return `the contract refuses: ${outcome}`;
    const made = changes.find(([changed]) => changed === key)?.[1];
    return made === entry.value ? undefined : "the contract makes another bill";
  } finally {
    await caller.close();
  }
}

async function openContractsOrNone(genesis: Genesis) {
  try {
    return await openContracts(genesis);
  } catch (error) {
    if (isLedgerError(error, "NODE_ENGINE_MISMATCH")) return undefined;
    throw error;
  }
}

/** The genesis state and the proven values, without the bill itself. */
function stateBefore(bundle: EvidenceBundle, genesis: Genesis) {
  const state = new Map(genesisBlock(genesis).state);
  for (const { key, value } of bundle.entries)
    if (key !== bundle.subject.key) state.set(key, value);
  const keys = [...state.keys()].sort(compareUtf8);
  return {
    get: (key: string) => state.get(key),
    range: (range: { from: string; to: string; reverse: boolean; limit: number }) => {
      const inside = keys.filter(
        (key) => compareUtf8(key, range.from) >= 0 && compareUtf8(key, range.to) < 0,
      );
      if (range.reverse) inside.reverse();
      return inside.slice(0, range.limit).map((key) => [key, state.get(key) as string] as const);
    },
  };
}
