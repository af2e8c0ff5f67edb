/**
 * What the contract part gives and needs. The ledger declares the same shapes in its own folder;
 * the composition root fits them together.
 */
import type { Hash } from "../base/hash.ts";
import type { Verifier } from "../base/keys.ts";

/** One call of a contract. A pure function of this, the contract's image and the state it reads. */
export type CallRequest = {
  readonly contract: string;
  readonly method: string;
  /** JSON of D10. */
  readonly argsJson: string;
  readonly kind: "method" | "view";
  /** `did:key` of who signed. */
  readonly sender: string;
  readonly roles: readonly string[];
  /** At most `limits.callGasMax`. */
  readonly gasLimit: number;
  readonly height: number;
  /** Block time in milliseconds; the only clock of a contract. */
  readonly timeMs: number;
};

/** A half-open range of keys in UTF-8 byte order. */
type StateRange = {
  /** First key, included. */
  readonly from: string;
  /** End, excluded. */
  readonly to: string;
  /** From the last key backwards. */
  readonly reverse: boolean;
  /** Most entries to return. */
  readonly limit: number;
};

/** Synchronous view of the state a call reads; keys in UTF-8 byte order. */
export type StateReader = {
  get(key: string): string | undefined;
  range(range: StateRange): readonly (readonly [key: string, value: string])[];
  /**
   * Rows beyond the limit that a range may have to pass over, for its price: what earlier calls of
   * the block deleted. Equal on all nodes. Absent when nothing can be deleted.
   */
  hiddenRows?(range: StateRange): number;
};

/** An event a contract emitted. */
export type ContractEvent = {
  readonly contract: string;
  readonly topic: string;
  /** Canonical JSON. */
  readonly json: string;
};

/** How a call ended. Everything but `detail` is equal on all nodes. */
export type CallOutcome = {
  /** `"ok"`, one of `callCodes`, or the contract's own refusal code. */
  readonly outcome: string;
  readonly gasUsed: number;
  /** Sorted by key bytes, last write wins, `undefined` deletes; empty unless the outcome is ok. */
  readonly changes: readonly (readonly [key: string, value: string | undefined])[];
  /** In the order they were emitted; empty unless the outcome is ok. */
  readonly events: readonly ContractEvent[];
  /** Canonical JSON; only when the outcome is ok. */
  readonly resultJson?: string;
  /** Free text for people; never hashed. */
  readonly detail?: string;
};

/** What a contract says of itself. */
export type ContractDescription = {
  readonly name: string;
  /** Methods change state; `roles` may call them (enforced by the contract's own code). */
  readonly methods: Readonly<Record<string, { readonly roles: readonly string[] }>>;
  /** Views only read. */
  readonly views: readonly string[];
};

/** An installed contract. */
export type InstalledContract = {
  /** SHA-256 of the source. */
  readonly bundleHash: Hash;
  /** SHA-256 of the evaluated image; equal on all nodes with the same engine. */
  readonly imageHash: Hash;
  readonly description: ContractDescription;
};

/** What the runtime is given. */
export type RuntimeOptions = {
  /** Serves `host.verify`: must refuse every key that `checkPublicKey` refuses (D6). */
  readonly verifier: Verifier;
  /** Gets `host.log`; a node leaves it out and the text is dropped. */
  readonly onLog?: (contract: string, text: string) => void;
};

/** Outcome codes of the sandbox itself. A contract cannot refuse with one of them. */
export const callCodes = {
  /** Gas, call depth, stack or memory used up: `gasUsed` is the whole limit. */
  outOfGas: "CONTRACT_OUT_OF_GAS",
  /** No such contract. */
  unknown: "CONTRACT_UNKNOWN",
  /** The contract has no such method or view. */
  methodUnknown: "CONTRACT_METHOD_UNKNOWN",
  /** The arguments are not JSON of D10. */
  argumentsInvalid: "CONTRACT_ARGUMENTS_INVALID",
  /** The contract threw. */
  threw: "CONTRACT_THREW",
  /** What the contract returned is not of the agreed form. */
  outputInvalid: "CONTRACT_OUTPUT_INVALID",
  /** A host function was given what it does not take. */
  hostArgumentInvalid: "CONTRACT_HOST_ARGUMENT_INVALID",
  /** A state key is empty, too long or not well-formed. */
  keyInvalid: "CONTRACT_STATE_KEY_INVALID",
  /** A write to a key of another contract. */
  keyForeign: "CONTRACT_STATE_KEY_FOREIGN",
  /** A state value is not JSON of D10 or too long. */
  valueInvalid: "CONTRACT_STATE_VALUE_INVALID",
  /** A view wrote or emitted. */
  viewWrites: "CONTRACT_VIEW_WRITES",
  /** More events than a call may emit. */
  eventsExceeded: "CONTRACT_EVENTS_EXCEEDED",
  /** An event's topic or JSON is not of the agreed form. */
  eventInvalid: "CONTRACT_EVENT_INVALID",
} as const;

/** One of the codes of the sandbox. */
export type CallCode = (typeof callCodes)[keyof typeof callCodes];
