/** What the facade of the ledger (ledger.ts) takes and gives, apart from classes and formats. */
import type { LedgerError } from "../base/errors.ts";
import type { Block, Header } from "../base/format/block.ts";
import type { Did } from "../base/format/did.ts";
import type { Certificate } from "../base/format/message.ts";
import type { Receipt } from "../base/format/receipt.ts";
import type { Transaction } from "../base/format/transaction.ts";
import type { Hash } from "../base/hash.ts";
import type { PublicKey } from "../base/keys.ts";
import type { AbsenceProof, InclusionProof } from "../base/proof/state-proof.ts";
import type { ExecutedBlock } from "./executor.ts";
import type { SenderEntry } from "./system-entries.ts";

/** For whom transactions are checked. */
export interface CheckPayer {
  /** Returns when there is something to pay with. @throws {LedgerError} When that will never be. */
  ready(): Promise<void>;
  /** Does a piece of work and takes the time that it takes. */
  pay<T>(work: () => T): T;
}

/** What became of bytes that were accepted. */
export type Submission =
  | {
      readonly id: Hash;
      readonly status: "pending";
      /** False when it was pending before: then nobody needs to hear of it again. */
      readonly isNew: boolean;
    }
  | {
      readonly id: Hash;
      readonly status: "final";
      readonly height: number;
      readonly index: number;
    };

/** Where a final transaction is and what became of it. */
export type FinalStatus = {
  readonly status: "final";
  readonly height: number;
  /** Position in the block, from 0. */
  readonly index: number;
  readonly receipt: Receipt;
  /** What a failed call said, for people; this node's word, gone after a restart. */
  readonly detail?: string;
};

/** What the node knows of a transaction id. */
export type TransactionStatus =
  | { readonly status: "pending" }
  | FinalStatus
  /** It left the mempool without becoming final here; `code` says why. */
  | { readonly status: "dropped"; readonly code: string }
  /** It is not known here, but may have been final at or below the base. */
  | { readonly status: "pruned"; readonly baseHeight: number }
  | { readonly status: "unknown" };

/** What a sender needs to know before it signs. */
export type SenderInfo = {
  readonly did: Did;
  /** Absent when the key is not enrolled. */
  readonly entry: SenderEntry | undefined;
  /** Highest nonce of a final transaction, 0 before the first. */
  readonly nonceHighest: number;
  readonly pendingCount: number;
  /** Highest nonce pending on this node, 0 when none is. */
  readonly pendingNonceHighest: number;
};

/** The last appended block. */
export type Tip = {
  readonly height: number;
  readonly hash: Hash;
  readonly timestampMs: number;
  /** Zero hash for the genesis. */
  readonly proposer: PublicKey;
};

/** A final transaction with all that proves it to somebody who has only the genesis. */
export type TransactionProof = {
  readonly transaction: Transaction;
  readonly receipt: Receipt;
  readonly receiptBytes: Uint8Array;
  readonly header: Header;
  readonly certificate: Certificate;
  /** Position in the block, from 0, and number of transactions of the block. */
  readonly index: number;
  readonly size: number;
  readonly transactionPath: readonly Hash[];
  readonly receiptPath: readonly Hash[];
};

/** A state value, or its absence, proven under the state root of a certified header. */
export type StateProof = {
  readonly header: Header;
  /** Absent for the genesis, which needs none. */
  readonly certificate: Certificate | undefined;
  readonly key: string;
} & (
  | { readonly value: string; readonly inclusion: InclusionProof }
  | { readonly value: undefined; readonly absence: AbsenceProof }
);

/** A contract's event with its place on the ledger. */
export type LedgerEvent = {
  readonly height: number;
  /** Position among all events of the block, from 0. */
  readonly index: number;
  readonly transactionId: Hash;
  /** Block time, UTC milliseconds. */
  readonly timeMs: number;
  readonly contract: string;
  readonly topic: string;
  /** Canonical JSON text. */
  readonly json: string;
};

/** Where to go on reading events: the first event at or after it is the next one. */
export type EventCursor = { readonly height: number; readonly index: number };

/** A page of events; `next` may be given back as it is, now or after more blocks. */
export type EventPage = { readonly events: readonly LedgerEvent[]; readonly next: EventCursor };

/** What a listener is told after a block was appended. */
export type Appended = {
  readonly block: Block;
  readonly certificate: Certificate;
  /** Validators of the block's height, sorted ascending. */
  readonly validators: readonly PublicKey[];
  readonly receipts: readonly Receipt[];
  readonly events: readonly LedgerEvent[];
};

/** A question to a contract's view. */
export type ViewRequest = {
  readonly contract: string;
  readonly method: string;
  readonly argsJson: string;
  /** did:key of who asks; without it the contract sees an empty text and no roles. */
  readonly sender?: string | undefined;
};

/** What a node that diverged keeps for its operators, beside the store that it left untouched. */
export type Divergence = {
  readonly error: LedgerError<"LEDGER_DIVERGENCE">;
  /** What the quorum certified. */
  readonly block: Block;
  readonly certificate: Certificate;
  /** Own results, when the block could be executed. */
  readonly executed: ExecutedBlock | undefined;
};
