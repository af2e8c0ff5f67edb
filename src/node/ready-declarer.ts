/**
 * Says on the ledger that this node is ready to vote, once it is a candidate and has caught up, and
 * again before that word grows old. It says nothing when the node is anything else.
 */
import { bytesToHex } from "../base/bytes.ts";
import { encodeJson } from "../base/format/json.ts";
import { readyMessage } from "../base/format/validator-ready.ts";
import type { PublicKey, Signer } from "../base/keys.ts";
import { limits } from "../base/limits.ts";
import type { Ledger } from "../ledger/ledger.ts";
import { readRow } from "../ledger/system/tables.ts";
import type { FollowerStatus } from "./chain-follower.ts";
import type { Membership } from "./membership.ts";
import type { NodeTransactions } from "./node-transactions.ts";
import { isPassing } from "./own-fault.ts";
import { type Cancel, realTimers, type Timers } from "./timers.ts";

type Parts = {
  readonly ledger: Pick<Ledger, "chainId" | "tip" | "state">;
  readonly membership: Pick<Membership, "candidates">;
  /** The key that will vote. */
  readonly validator: Signer;
  readonly peerKey: PublicKey;
  readonly transactions: Pick<NodeTransactions, "has" | "submit">;
  following(): FollowerStatus;
  readonly timers?: Timers | undefined;
};

const lookMs = 1_000;
const method = "declareReady";

/** Looks every second whether there is something to say. */
export class ReadyDeclarer {
  readonly #parts: Parts;
  #stopLooking: Cancel = () => {};

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  start(): void {
    const { timers = realTimers } = this.#parts;
    this.#stopLooking = timers.every(lookMs, () => this.look());
  }

  stop(): void {
    this.#stopLooking();
  }

  /** Says that the node is ready, if it is and that is not on record. */
  look(): void {
    try {
      this.#look();
    } catch (error) {
      // The ledger is closed for a moment while its disk is mended: the next look is soon.
      if (!isPassing(error)) throw error;
    }
  }

  #look(): void {
    const { ledger, membership, validator, peerKey, transactions } = this.#parts;
    const self = membership
      .candidates()
      .find((one) => one.validator === validator.publicKey && one.peer === peerKey);
    if (self === undefined || transactions.has(method) || !this.#hasCaughtUp()) return;
    const said = readRow(ledger.state, "ready", self.id);
    // Said anew at half its life, so that it holds whenever the administrators approve.
    if (said !== undefined && ledger.tip.timestampMs - said.atMs < limits.readyMsMax / 2) return;
    transactions.submit({ method, argsJson: this.#statement() });
  }

  #hasCaughtUp(): boolean {
    const { hasLooked, catchingUp } = this.#parts.following();
    return hasLooked && !catchingUp;
  }

  #statement(): string {
    const { ledger, validator, peerKey } = this.#parts;
    const { chainId, tip } = ledger;
    const { height, hash: blockHash } = tip;
    const message = readyMessage({ chainId, height, blockHash, peerKey });
    return encodeJson({ height, blockHash, signature: bytesToHex(validator.sign(message)) });
  }
}
