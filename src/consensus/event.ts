/**
 * What goes into the consensus core and what comes out. Plain data: a run is a list of events, and
 * every run can be replayed.
 *
 * Duties of the shell:
 *
 * (1) It verifies the signature of every message and of everything embedded in it, over this
 *     chain's id, before it feeds `message`. The core verifies no signature.
 * (2) It performs the effects of one step in order. It may feed other events while a slow one
 *     (`buildBlock`, `checkBlock`, `sign`) is under way: late answers are recognized and ignored.
 * (3) `sign`: the record is on disk with sync before the signature exists. Several `sign` effects
 *     in one list may share one write of the last record, which covers the others.
 * (4) `decide` may name a block that was never checked here, or was found invalid: the shell
 *     executes it, appends only if the roots agree, else stops the node (D2).
 */
import type { Block } from "../base/format/block.ts";
import type {
  Certificate,
  Claim,
  ConsensusMessage,
  RoundChangeClaim,
  Signed,
  VoteMessage,
} from "../base/format/message.ts";
import type { SigningRecord } from "../base/format/signing-record.ts";
import type { Hash } from "../base/hash.ts";
import type { PublicKey } from "../base/keys.ts";

/** The last appended block, as far as consensus needs it. */
export type Tip = {
  /** 0 for the genesis. */
  readonly height: number;
  readonly hash: Hash;
  /** Order in which the validators of the next height propose, by round. */
  readonly proposers: readonly PublicKey[];
};

/** What the shell tells the core. */
export type ConsensusEvent =
  /** A message of another node came; all signatures in it hold. The sender may be anybody. */
  | { readonly kind: "message"; readonly message: ConsensusMessage }
  /** The timer of the last `startTimer` ran out; its height and round are given back. */
  | { readonly kind: "timeout"; readonly height: number; readonly round: number }
  /** `limits.resendMs` passed since `startResend` or the last such event. */
  | { readonly kind: "resend" }
  /** A transaction could be included on the present state, or the heartbeat is due. Repeatable. */
  | { readonly kind: "work"; readonly height: number }
  /** Answer to `buildBlock`: a block with this node as `header.proposer`, or nothing to propose. */
  | {
      readonly kind: "built";
      readonly height: number;
      readonly round: number;
      readonly block: Block | undefined;
    }
  /** Answer to `checkBlock`, with its height and round given back. */
  | {
      readonly kind: "checked";
      readonly height: number;
      readonly round: number;
      readonly blockHash: Hash;
      readonly valid: boolean;
    }
  /** Own message: recorded on disk, signed and sent (answer to `sign`). Only now it counts. */
  | { readonly kind: "signed"; readonly message: ConsensusMessage }
  /** A block is on disk, by decision or by sync; `validators` are those of the next height. */
  | {
      readonly kind: "appended";
      readonly tip: Tip;
      /** Sorted ascending. */
      readonly validators: readonly PublicKey[];
    }
  /** Once, before anything else: what this validator signed before the restart. */
  | { readonly kind: "restored"; readonly record: SigningRecord };

/** What accompanies a claim without being signed; empty lists and no block for a vote. */
export type Attachments = {
  /** Proposal: the block. Round change: the prepared block. */
  readonly block: Block | undefined;
  /** Proposal of a round above 0: the quorum of round changes. */
  readonly roundChanges: readonly Signed<RoundChangeClaim>[];
  /** Prepares of the prepared block that is proposed again or reported. */
  readonly prepares: readonly VoteMessage[];
};

/** What the shell must do, in order. */
export type Effect =
  /** Fill, execute and answer `built`. `header.proposer` is this node. */
  | { readonly kind: "buildBlock"; readonly height: number; readonly round: number }
  /** Check the whole block and answer `checked`. */
  | {
      readonly kind: "checkBlock";
      readonly height: number;
      readonly round: number;
      readonly block: Block;
      /** True: the time must lie in the window around now. False: only after the parent's. */
      readonly fresh: boolean;
    }
  /** Persist the record with sync, sign, broadcast (see `messageOf`), answer `signed`. */
  | {
      readonly kind: "sign";
      readonly claim: Claim;
      readonly attachments: Attachments;
      readonly record: SigningRecord;
    }
  /** Broadcast an own message once more. */
  | { readonly kind: "send"; readonly message: ConsensusMessage }
  /** Start the round timer; replaces the former. */
  | {
      readonly kind: "startTimer";
      readonly height: number;
      readonly round: number;
      readonly durationMs: number;
    }
  | { readonly kind: "stopTimer" }
  /** Feed `resend` every `limits.resendMs` from now on. */
  | { readonly kind: "startResend" }
  | { readonly kind: "stopResend" }
  /** The block is final: append it with the certificate, then feed `appended`. */
  | { readonly kind: "decide"; readonly block: Block; readonly certificate: Certificate }
  /** Send the pending transactions to the proposer of the next round. */
  | { readonly kind: "forwardTransactions"; readonly validator: PublicKey }
  /** All blocks below `height` are decided elsewhere: fetch them. Repeated while it holds. */
  | { readonly kind: "catchUp"; readonly height: number };

/** A new state and what to do. */
export type Step<S> = { readonly state: S; readonly effects: readonly Effect[] };
