/** What a method of the system contract is made of. */
import type { z } from "zod";
import type { Did } from "../../base/format/did.ts";
import type { JsonValue } from "../../base/format/json.ts";
import type { Hash } from "../../base/hash.ts";
import type { Verifier } from "../../base/keys.ts";
import type { StateOverlay } from "../state-overlay.ts";

/** A call as a method sees it. */
export type SystemCall = {
  readonly chainId: Hash;
  /** Height and time (UTC milliseconds) of the block. */
  readonly height: number;
  readonly timeMs: number;
  readonly sender: Did;
  readonly verifier: Verifier;
  /** State before the call with what the method changed. Only keys under `system/` are its own. */
  readonly state: StateOverlay;
  /** Tells the world; topics are names, the data goes out in RFC 8785 form. */
  emit(topic: string, data: JsonValue): void;
};

/** A method: who may call it, what it costs, the form of its arguments, what it does. */
export type SystemMethod<S extends z.ZodType = z.ZodType> = {
  readonly roles: readonly string[];
  /** Paid whatever comes out; a call with a lower limit is not begun. */
  readonly gas: number;
  readonly args: S;
  /** @throws {SystemRefusal} Then nothing of the call stays. */
  run(args: z.infer<S>, call: SystemCall): void;
};

/** Makes a row of the dispatch table, with its arguments typed. */
export function systemMethod<S extends z.ZodType>(method: SystemMethod<S>): SystemMethod {
  return method as unknown as SystemMethod;
}

/** Why the system contract refuses a call; the outcomes of its receipts. */
export type SystemOutcome =
  | "SYSTEM_ARGUMENTS_INVALID"
  | "SYSTEM_NOT_ADMINISTRATOR"
  | "SYSTEM_CHANGE_APPROVED_BEFORE"
  | "SYSTEM_CHANGE_UNKNOWN"
  | "SYSTEM_CHANGES_TOO_MANY"
  | "SYSTEM_CHANGE_TOO_SOON"
  | "SYSTEM_ID_TAKEN"
  | "SYSTEM_KEY_TAKEN"
  | "SYSTEM_CANDIDATE_UNKNOWN"
  | "SYSTEM_CANDIDATE_NOT_READY"
  | "SYSTEM_CANDIDATES_TOO_MANY"
  | "SYSTEM_MEMBER_UNKNOWN"
  | "SYSTEM_MEMBERS_TOO_FEW"
  | "SYSTEM_MEMBERS_TOO_MANY"
  | "SYSTEM_READY_INVALID"
  | "SYSTEM_EQUIVOCATION_INVALID"
  | "SYSTEM_EQUIVOCATION_KNOWN"
  | "SYSTEM_EQUIVOCATIONS_TOO_MANY";

/** Ends a call without effect. */
export class SystemRefusal extends Error {
  readonly outcome: SystemOutcome;

  /** @param detail - For people; never hashed. */
  constructor(outcome: SystemOutcome, detail: string) {
    super(detail);
    this.outcome = outcome;
  }
}
