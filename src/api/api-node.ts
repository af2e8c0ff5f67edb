/**
 * What the HTTP API needs of the node it serves. `ApiLedger` has the very shapes of the ledger's
 * facade, so the composition root passes the ledger itself; the rest it fits together. The API
 * changes nothing but through `submit`.
 */
import type { Block, Header } from "../base/format/block.ts";
import type { Did } from "../base/format/did.ts";
import type { LedgerParameters } from "../base/format/genesis.ts";
import type { Certificate } from "../base/format/message.ts";
import type { Receipt } from "../base/format/receipt.ts";
import type { SetChange } from "../base/format/set-change.ts";
import type { ValidatorChange } from "../base/format/validator-change.ts";
import type { Hash } from "../base/hash.ts";
import type { PublicKey } from "../base/keys.ts";
import type { AbsenceProof, InclusionProof } from "../base/proof/state-proof.ts";

/** The node as a whole. */
export interface ApiNode {
  readonly identity: NodeIdentity;
  /** The genesis file, to the byte. */
  readonly genesisText: string;
  readonly ledger: ApiLedger;
  /** Asked before the ledger is. @throws {LedgerError} NODE_FETCHING_SNAPSHOT while there is none. */
  checkLedger?(): void;
  /**
   * Admits signed bytes and brings them to the peers.
   *
   * @throws {LedgerError} The code of admission.
   */
  submit(bytes: Uint8Array): Promise<ApiSubmission>;
  /** The moment's picture; cheap, for it is taken with every status request and scrape. */
  status(): NodeStatus;
  /** Returns the validators of a height up to the one after the tip, with the set's first height. */
  validatorsAt(height: number): ApiValidatorSet | undefined;
  /** Proves changes of the validators, those of sets that begin after a height. */
  validatorChanges(from: number): Promise<readonly SetChange[]>;
  /** Members, candidates and open changes, as of the tip. */
  membership(): ApiMembership;
  /** What a state key held after a height; `undefined` when it had never been written by then. */
  readValueAt(key: string, height: number): Promise<ValueAt | undefined>;
  /**
   * Returns the text of the evidence bundle of a bill; `undefined` when there is no such bill.
   *
   * @param billKey - State key `billing/bill/<meter>/<month>/<n>`.
   */
  exportEvidence(billKey: string): Promise<string | undefined>;
}

/** A validator set. */
type ApiValidatorSet = { readonly from: number; readonly validators: readonly Did[] };

type ApiMember = {
  readonly id: string;
  readonly name: string;
  readonly validatorKey: Did;
  readonly peerKey: Did;
  readonly address?: string | undefined;
};

/** Members and who is to become one. */
export type ApiMembership = {
  readonly members: readonly ApiMember[];
  readonly candidates: readonly (ApiMember & {
    readonly admittedAtHeight: number;
    readonly ready: {
      readonly height: number;
      readonly blockHash: Hash;
      readonly atMs: number;
      readonly validUntilMs: number;
    } | null;
  })[];
  readonly administrators: readonly Did[];
  /** Null: the genesis names no administrator, so nothing can be changed. */
  readonly approvalsNeeded: number | null;
  readonly changes: readonly {
    readonly id: Hash;
    readonly change: ValidatorChange;
    readonly approvedBy: readonly Did[];
    readonly expiresAtMs: number;
  }[];
};

/** Who the node is. */
type NodeIdentity = {
  readonly name: string;
  /** Version of this program. */
  readonly version: string;
  /** Absent on a node that follows without voting. */
  readonly validator: Did | undefined;
  readonly peer: Did;
};

/** The node at this moment. */
export type NodeStatus = {
  /** Height that is being decided: the tip's plus 1. */
  readonly height: number;
  readonly round: number;
  /** Phase of the round, such as `preparing`. */
  readonly phase: string;
  /** True while blocks that others have are fetched. */
  readonly catchingUp: boolean;
  /** Connected peers. */
  readonly peers: readonly Did[];
  /** All validators of the height, as this node last heard of them. */
  readonly validators: readonly ValidatorStatus[];
  /** Validators that were convicted of contradicting themselves, as the ledger records it. */
  readonly equivocations: readonly EquivocationStatus[];
  /** There while the node fetches a snapshot and has no ledger; then it answers about itself only. */
  readonly snapshot?: SnapshotProgress | undefined;
  /** Reasons why clients should use another node; empty when ready. */
  readonly notReady: readonly string[];
  /** State root after the tip. */
  readonly stateRoot: Hash;
  /** Bytes of the ledger on disk, measured now and then; absent: not known. */
  readonly ledgerBytes?: number | undefined;
  /** False while the disk takes no writes and the node therefore no part; absent: not watched. */
  readonly canWrite?: boolean | undefined;
  /** Refused transactions by code since start, those from peers included, if the node counts. */
  readonly refused?: Readonly<Record<string, number>> | undefined;
  /** What the network counts since start and holds now, by name. */
  readonly network?: Readonly<Record<string, number>> | undefined;
};

/** How far a snapshot is fetched. How many chunks there will be is known with the last one. */
type SnapshotProgress = {
  /** Absent: peers are being asked for one. */
  readonly height: number | undefined;
  readonly chunks: number;
};

/** One recorded equivocation; its proof is in the state. */
type EquivocationStatus = {
  readonly validator: string;
  readonly height: number;
  readonly round: number;
  readonly kind: string;
  readonly recordedAtHeight: number;
};

/** A validator as this node last heard of it; absent fields: not yet. */
type ValidatorStatus = {
  readonly validator: Did;
  readonly name: string;
  readonly height: number | undefined;
  readonly round: number | undefined;
  /** UTC milliseconds. */
  readonly lastSeenMs: number | undefined;
  /** Greatest height it is known to have voted at. */
  readonly votedHeight: number | undefined;
  /** By how much its clock, as it says, is ahead of this node's, in milliseconds. */
  readonly clockOffsetMs: number | undefined;
  /** It missed its last turn and does not propose first at the height being decided. */
  readonly passedOver: boolean;
};

/** A value of the past with the height that wrote it. */
type ValueAt = { readonly value: string | undefined; readonly writtenAt: number };

/** The ledger's facade, as far as it is used here. */
export interface ApiLedger {
  readonly chainId: Hash;
  readonly tip: { readonly height: number; readonly hash: Hash; readonly timestampMs: number };
  readonly state: ApiState;
  readonly mempool: { readonly count: number; readonly bytes: number };
  /** Height up to which there are no blocks here, 0 when there are all. */
  readonly baseHeight: number;
  parameters(): LedgerParameters;
  status(id: Hash): Promise<ApiTransactionStatus>;
  waitFinal(
    id: Hash,
    options: { readonly timeoutMs: number; readonly signal?: AbortSignal | undefined },
  ): Promise<ApiTransactionStatus>;
  senderInfo(sender: PublicKey): ApiSenderInfo;
  readBlock(height: number): Promise<ApiStoredBlock | undefined>;
  readReceipts(height: number): Promise<readonly Uint8Array[]>;
  proveTransaction(id: Hash): Promise<ApiTransactionProof | undefined>;
  proveState(key: string, height?: number): Promise<ApiStateProof>;
  history(
    key: string,
    query?: { from?: number; limit?: number },
  ): Promise<readonly { readonly height: number; readonly value: string | undefined }[]>;
  events(query: {
    fromHeight: number;
    fromIndex: number;
    limit: number;
  }): Promise<{ readonly events: readonly ApiEvent[]; readonly next: ApiCursor }>;
  view(request: {
    readonly contract: string;
    readonly method: string;
    readonly argsJson: string;
    readonly sender?: string | undefined;
  }): Promise<ApiViewOutcome>;
  /** @returns What ends the listening. */
  onAppend(listener: (appended: ApiAppended) => void): () => void;
}

/** State after the tip. */
interface ApiState {
  get(key: string): string | undefined;
  range(range: {
    readonly from: string;
    readonly to: string;
    readonly reverse: boolean;
    readonly limit: number;
  }): readonly (readonly [key: string, value: string])[];
}

/** What became of accepted bytes. */
type ApiSubmission =
  | { readonly id: Hash; readonly status: "pending" }
  | { readonly id: Hash; readonly status: "final" };

/** What the node knows of a transaction. */
export type ApiTransactionStatus =
  | { readonly status: "pending" }
  | ApiFinal
  | { readonly status: "dropped"; readonly code: string }
  /** It may have been final where this node has no blocks any more. */
  | { readonly status: "pruned"; readonly baseHeight: number }
  | { readonly status: "unknown" };

/** Where a final transaction is and what became of it. */
export type ApiFinal = {
  readonly status: "final";
  readonly height: number;
  readonly index: number;
  readonly receipt: Receipt;
  /** What a failed call said, for people. */
  readonly detail?: string;
};

/** What a sender needs to know before it signs. */
type ApiSenderInfo = {
  readonly did: Did;
  readonly entry:
    | {
        readonly member: string;
        readonly name: string;
        readonly roles: readonly string[];
        readonly status: string;
      }
    | undefined;
  readonly nonceHighest: number;
  readonly pendingCount: number;
  readonly pendingNonceHighest: number;
};

/** A block with its certificate, which only the genesis lacks. */
export type ApiStoredBlock = {
  readonly block: Block;
  readonly certificate?: Certificate | undefined;
};

/** All that proves a final transaction. */
type ApiTransactionProof = {
  readonly transaction: { readonly bytes: Uint8Array };
  readonly receiptBytes: Uint8Array;
  readonly header: Header;
  readonly certificate: Certificate;
  readonly index: number;
  readonly size: number;
  readonly transactionPath: readonly Hash[];
  readonly receiptPath: readonly Hash[];
};

/** A state value, or its absence, under the state root of a certified header. */
export type ApiStateProof = {
  readonly header: Header;
  readonly certificate: Certificate | undefined;
  readonly key: string;
} & (
  | { readonly value: string; readonly inclusion: InclusionProof }
  | { readonly value: undefined; readonly absence: AbsenceProof }
);

/** A contract's event with its place. */
export type ApiEvent = {
  readonly height: number;
  readonly index: number;
  readonly transactionId: Hash;
  readonly timeMs: number;
  readonly contract: string;
  readonly topic: string;
  readonly json: string;
};

/** The first event at or after it is the next one to read. */
export type ApiCursor = { readonly height: number; readonly index: number };

/** What a view gave: `outcome` is `ok` or the code of its refusal. */
type ApiViewOutcome = {
  readonly outcome: string;
  readonly gasUsed: number;
  readonly resultJson?: string;
  readonly detail?: string;
};

/** What a listener is told after an append. */
export type ApiAppended = {
  readonly block: Block;
  readonly receipts: readonly Receipt[];
};
