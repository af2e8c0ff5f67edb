/**
 * What the ledger needs of the other parts, declared by the one who calls (the composition root
 * fits the real ones in), and the small data types its files share.
 */
import type { Block, Header } from "../base/format/block.ts";
import type { Certificate } from "../base/format/message.ts";
import type { ContractEvent } from "../base/format/receipt.ts";
import type { StateTree } from "./state-tree.ts";

/** A request to run one contract method or view on a state. */
export type CallRequest = {
  readonly contract: string;
  readonly method: string;
  readonly argsJson: string;
  readonly kind: "method" | "view";
  /** did:key of the sender. */
  readonly sender: string;
  readonly roles: readonly string[];
  readonly gasLimit: number;
  readonly height: number;
  /** Block time, UTC milliseconds. */
  readonly timeMs: number;
};

/** Keys from `from` (inclusive) to `to` (exclusive), in UTF-8 byte order. */
export type KeyRange = {
  readonly from: string;
  readonly to: string;
  readonly reverse: boolean;
  readonly limit: number;
};

/** A synchronous view of one state. */
export interface StateReader {
  get(key: string): string | undefined;
  range(range: KeyRange): readonly (readonly [key: string, value: string])[];
  /**
   * Rows beyond the limit that a range may have to pass over, for its price: what earlier calls of
   * the block deleted. Equal on all nodes. Absent when nothing can be deleted.
   */
  hiddenRows?(range: KeyRange): number;
}

/** A changed key with its new value; undefined = deleted. */
export type StateChange = readonly [key: string, value: string | undefined];

/** What a call did. Changes and events are empty unless the outcome is `ok`. */
export type CallOutcome = {
  readonly outcome: string;
  readonly gasUsed: number;
  /** Ascending by key bytes, one row a key. */
  readonly changes: readonly StateChange[];
  readonly events: readonly ContractEvent[];
  readonly resultJson?: string;
  /** Free text for people; never hashed. */
  readonly detail?: string;
};

/** Runs contracts. Rejects only on a node fault (LedgerError CONTRACT_NODE_FAULT). */
export interface ContractCaller {
  call(request: CallRequest, state: StateReader): Promise<CallOutcome>;
}

/** A decided block with all that its append writes. */
export type AppendInput = {
  readonly block: Block;
  readonly certificate: Certificate;
  /** Encoded receipts, one a transaction. */
  readonly receipts: readonly Uint8Array[];
  /** Ids of the transactions, in order. */
  readonly transactionIds: readonly string[];
  /** Net changes of the whole block, replay windows included, ascending by key bytes. */
  readonly changes: readonly StateChange[];
  /** State tree after the block, when the executor has it: saves building it once more. */
  readonly stateTree?: StateTree | undefined;
};

/** A block to execute on the state of the block before it. */
export type ExecuteInput = {
  readonly header: Header;
  /** Signed bytes, in order. */
  readonly transactions: readonly Uint8Array[];
  readonly state: StateReader;
};

/** What executing a block gives; see `AppendInput` for the fields. */
export type Executed = Pick<AppendInput, "receipts" | "transactionIds" | "changes"> & {
  readonly gasUsed: number;
};

/**
 * Executes a block again, for repair and for offline verification. Rejects with a `LedgerError`
 * when the block holds a transaction that no block may hold.
 */
export type Execute = (input: ExecuteInput) => Promise<Executed>;
