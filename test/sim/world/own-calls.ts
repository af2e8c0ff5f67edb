/**
 * What a simulated node says on the ledger by itself, and whom it lets in: the product's own parts
 * (src/node), which `src/node.ts` fits together for a real node.
 */
import { didOf } from "../../../src/base/format/did.ts";
import type { Equivocation } from "../../../src/base/format/equivocation.ts";
import type { Clock, Log } from "../../../src/base/log.ts";
import type { Ledger } from "../../../src/ledger/ledger.ts";
import type { FollowerStatus } from "../../../src/node/chain-follower.ts";
import { equivocationReporter } from "../../../src/node/equivocation-reporter.ts";
import { Membership } from "../../../src/node/membership.ts";
import { type OwnCalls, startOwnCalls } from "../../../src/node/own-calls.ts";
import { PeerFollower } from "../../../src/node/peer-follower.ts";
import type { Timers } from "../../../src/node/timers.ts";
import { fakeSigner, peerKey, validatorKey } from "./chain.ts";

/** What one life of a node brings. */
type Parts = {
  readonly index: number;
  /** Nodes of the world. */
  readonly count: number;
  readonly ledger: Ledger;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Log;
};

/** The former members are looked for as often as a real node does. */
const lookMs = 10_000;

/** Members, own calls and gate of one life. */
export class Society {
  readonly membership: Membership;
  /** What to do with two claims that contradict each other. */
  readonly onEquivocation: (pair: Equivocation) => void;
  readonly #parts: Parts;
  #ownCalls: OwnCalls | undefined;

  constructor(parts: Parts) {
    const { ledger, log } = parts;
    this.#parts = parts;
    this.membership = new Membership(ledger);
    this.onEquivocation = equivocationReporter({
      ledger,
      log,
      submit: (call) => this.#ownCalls?.submit(call),
    });
  }

  /** Begins to speak; only once the shell runs. */
  start(shell: { submit(bytes: Uint8Array): Promise<unknown>; following(): FollowerStatus }): void {
    const { index } = this.#parts;
    // What it signs here is no vote, and bound to its purpose by another tag.
    const keys = { validator: fakeSigner(validatorKey(index)), peer: fakeSigner(peerKey(index)) };
    this.#ownCalls = startOwnCalls({ ...this.#parts, ...shell, keys, membership: this.membership });
  }

  /**
   * Returns what tells whether a node may be connected.
   *
   * @param joining - As in the configuration: nodes of the configuration, all of this world, come in.
   * @param onChange - Told whenever the answers may be others.
   */
  gate(joining: boolean, onChange: () => void): (index: number) => boolean {
    const { count, clock, timers } = this.#parts;
    const peers = Array.from({ length: count }, (_, index) => {
      return { peerKey: didOf(peerKey(index)), address: "/ip4/192.0.2.1/tcp/1" };
    });
    const config = { p2p: { listen: [], peers }, joining };
    const follower = new PeerFollower({ membership: this.membership, config, clock });
    let allowed = new Set(follower.allowed());
    const look = () => {
      allowed = new Set(follower.allowed());
      onChange();
    };
    this.membership.onChange(look);
    timers.every(lookMs, look);
    return (index) => allowed.has(peerKey(index));
  }
}
