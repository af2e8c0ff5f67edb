/** What the consensus driver is made of, and what it shows. */
import type { Block } from "../base/format/block.ts";
import type { Equivocation } from "../base/format/equivocation.ts";
import type { Certificate } from "../base/format/message.ts";
import type { SigningRecord } from "../base/format/signing-record.ts";
import type { Hash } from "../base/hash.ts";
import type { PublicKey, Signer, Verifier } from "../base/keys.ts";
import type { Log } from "../base/log.ts";
import type { NodeClock } from "./clock.ts";
import type { Timers } from "./timers.ts";
import type { ValidatorSight } from "./validator-watch.ts";

/** What the driver needs of the ledger. */
export interface ConsensusLedger {
  readonly chainId: Hash;
  readonly tip: { readonly height: number; readonly hash: Hash };
  validators(): readonly PublicKey[];
  /** Order of the next height. */
  proposers(): readonly PublicKey[];
  hasWork(nowMs: number): boolean;
  buildBlock(options: { proposer: PublicKey; nowMs: number }): Promise<Block | undefined>;
  checkBlock(block: Block, options: { fresh: boolean; nowMs: number }): Promise<void>;
}

/** What the driver is made of. */
export type DriverParts = {
  readonly ledger: ConsensusLedger;
  /** `undefined` for a node that follows without voting. */
  readonly signer: Signer | undefined;
  readonly record: SigningRecord | undefined;
  /** The record is lost: nothing is signed before `resumeSigningAbove`. */
  readonly isRecordLost: boolean;
  writeRecord(bytes: Uint8Array): Promise<void>;
  broadcast(bytes: Uint8Array): void;
  forwardTransactions(validator: PublicKey): void;
  /** Appends a decided block; `appended` must be called when it is on disk. */
  decide(block: Block, certificate: Certificate): Promise<void>;
  catchUp(): void;
  /** Two messages prove that a validator contradicted itself. */
  onEquivocation(pair: Equivocation): void;
  readonly verifier: Verifier;
  readonly clock: NodeClock;
  readonly log: Log;
  /** Default: those of the process. */
  readonly timers?: Timers | undefined;
  readonly blockIntervalMs: number;
  /**
   * Time with a peer in which nothing is signed, to hear whether another has this key; 0: act at
   * once.
   */
  readonly listenMs: number;
};

/** A validator as this node last heard of it. */
export type ValidatorPosition = ValidatorSight & {
  readonly validator: PublicKey;
  readonly height: number | undefined;
  readonly round: number | undefined;
};

/** Consensus as the API shows it. */
export type ConsensusStatus = {
  readonly height: number;
  readonly round: number;
  readonly phase: string;
  readonly validators: readonly ValidatorPosition[];
  /** Why this node signs no more, if so. */
  readonly halted: string | undefined;
  /** Milliseconds since there is something to decide and nothing was; 0 while idle. */
  readonly waitingMs: number;
  /** By how much the clocks of most others are ahead of this node's. */
  readonly clockOffsetMs: number;
  /** Set while this node's record is above its ledger: it votes again from this height on. */
  readonly votesFromHeight: number | undefined;
};
