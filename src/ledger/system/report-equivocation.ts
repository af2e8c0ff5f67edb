/** Proof that a validator signed two different claims for one place (ADR 0025). */
import { isLedgerError } from "../../base/errors.ts";
import type { Did } from "../../base/format/did.ts";
import {
  type Equivocation,
  EquivocationReport,
  encodeEquivocation,
  equivocationOf,
  verifyEquivocation,
} from "../../base/format/equivocation.ts";
import { validatorsKey } from "../../base/format/genesis.ts";
import { encodeJson, type JsonValue, parseJson } from "../../base/format/json.ts";
import { limits } from "../../base/limits.ts";
import type { StateReader } from "../types.ts";
import { type SystemCall, SystemRefusal, systemMethod } from "./types.ts";

const prefix = "system/equivocation/";

/** A recorded equivocation, as `system/equivocation/<validator>/<height>/<kind>/<round>` holds it. */
type EquivocationRow = EquivocationReport & {
  /** Height and time of the block that holds the report. */
  readonly recordedAtHeight: number;
  readonly recordedAtMs: number;
  readonly reportedBy: Did;
};

/**
 * `reportEquivocation`: sent by any node that saw both claims, or by an administrator. The pair
 * convicts by itself, so who reports it does not matter. It has no consequence on the ledger: what
 * follows is for the stakeholders to decide, who can remove the member.
 */
export const reportEquivocation = systemMethod({
  roles: ["node", "administrator"],
  gas: 2_000_000,
  args: EquivocationReport,
  run(report, call) {
    const { state, height, timeMs, sender } = call;
    const { validator, kind, round } = report;
    checkWasValidator(state, report);
    const pair = checkedPair(report, call);
    const key = keyOf(report);
    if (state.get(key) !== undefined)
      throw new SystemRefusal("SYSTEM_EQUIVOCATION_KNOWN", "it is on record");
    if (hasEnough(state, validator))
      throw new SystemRefusal("SYSTEM_EQUIVOCATIONS_TOO_MANY", "enough are on record");
    const told = parseJson(encodeEquivocation(pair, call.chainId)) as { [name: string]: JsonValue };
    const recorded = { recordedAtHeight: height, recordedAtMs: timeMs, reportedBy: sender };
    state.set(key, encodeJson({ ...told, ...recorded }));
    call.emit("equivocation", { validator, height: report.height, kind, round });
  },
});

/** Where an equivocation was. */
type EquivocationPlace = Pick<EquivocationReport, "validator" | "height" | "kind" | "round">;

/** Tells whether a report could not add anything: it is on record, or enough of the validator is. */
export function isOnRecord(state: StateReader, place: EquivocationPlace): boolean {
  return state.get(keyOf(place)) !== undefined || hasEnough(state, place.validator);
}

function keyOf({ validator, height, kind, round }: EquivocationPlace): string {
  return `${prefix}${validator}/${height.toString(16).padStart(14, "0")}/${kind}/${round}`;
}

function hasEnough(state: StateReader, validator: string): boolean {
  const limit = limits.equivocationsPerValidatorMax;
  const bounds = { from: `${prefix}${validator}/`, to: `${prefix}${validator}0` };
  return state.range({ ...bounds, reverse: false, limit }).length >= limit;
}

/** Lists what is on record, by validator and height. */
export function readEquivocations(state: StateReader, limit: number): EquivocationRow[] {
  const range = { from: prefix, to: "system/equivocation0", reverse: false, limit };
  return state.range(range).map(([, text]) => JSON.parse(text) as EquivocationRow);
}

/** Keys of others sign what they like. */
function checkWasValidator(state: StateReader, { validator, height }: EquivocationReport): void {
  const [row] = state.range({
    from: validatorsKey(1),
    to: validatorsKey(height + 1),
    reverse: true,
    limit: 1,
  });
  const validators = row === undefined ? [] : (JSON.parse(row[1]) as readonly Did[]);
  if (!validators.includes(validator as Did))
    throw new SystemRefusal("SYSTEM_MEMBER_UNKNOWN", "it was no validator at that height");
}

function checkedPair(report: EquivocationReport, call: SystemCall): Equivocation {
  try {
    const pair = equivocationOf(report);
    verifyEquivocation(pair, call);
    return pair;
  } catch (error) {
    if (!isLedgerError(error)) throw error;
    const { reason } = error.facts as { readonly reason?: string };
    throw new SystemRefusal("SYSTEM_EQUIVOCATION_INVALID", reason ?? error.code);
  }
}
