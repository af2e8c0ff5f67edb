/**
 * Membership at the wire (D17): who may be connected at all. Asked by libp2p after the handshake
 * has proven the peer id and before a muxer exists, so that a stranger reaches no protocol.
 * It does not know why a key is allowed; the composition root follows the system contract.
 *
 * Invariants:
 *
 * (1) No stream is ever opened with a peer whose key is not allowed, in either direction.
 * (2) A suspended peer is refused until its time is over, however often it comes.
 */
import "./polyfill.ts";
import type { ConnectionGater, PeerId } from "@libp2p/interface";
import type { PublicKey } from "../base/keys.ts";
import { peerKeyOf } from "./identity.ts";

/** The set of allowed peer keys, which may change while the node runs. */
export class Gate {
  #allowed: ReadonlySet<PublicKey>;
  readonly #suspendedUntilMs = new Map<PublicKey, number>();
  readonly #nowMs: () => number;
  #refusedCount = 0;

  constructor(allowed: Iterable<PublicKey>, nowMs: () => number = () => performance.now()) {
    this.#allowed = new Set(allowed);
    this.#nowMs = nowMs;
  }

  /** Connections refused since start. */
  get refusedCount(): number {
    return this.#refusedCount;
  }

  /** Replaces the allowed keys. Existing connections are the caller's to close. */
  setAllowed(allowed: Iterable<PublicKey>): void {
    this.#allowed = new Set(allowed);
    for (const key of this.#suspendedUntilMs.keys()) {
      if (!this.#allowed.has(key)) this.#suspendedUntilMs.delete(key);
    }
  }

  /** Keeps an allowed peer out for a time, because it broke a limit. */
  suspend(peerKey: PublicKey, durationMs: number): void {
    if (this.#allowed.has(peerKey)) {
      this.#suspendedUntilMs.set(peerKey, this.#nowMs() + durationMs);
    }
  }

  /** Tells whether a key may be connected now. */
  allows(peerKey: PublicKey | undefined): boolean {
    if (peerKey === undefined || !this.#allowed.has(peerKey)) return false;
    const untilMs = this.#suspendedUntilMs.get(peerKey);
    if (untilMs === undefined) return true;
    if (this.#nowMs() < untilMs) return false;
    this.#suspendedUntilMs.delete(peerKey);
    return true;
  }

  /** Returns the hooks for libp2p; each answers true to refuse. */
  hooks(): ConnectionGater {
    const refuse = (peerId: PeerId): boolean => {
      const refused = !this.allows(peerKeyOf(peerId));
      if (refused) this.#refusedCount += 1;
      return refused;
    };
    return {
      denyDialPeer: refuse,
      denyOutboundConnection: refuse,
      denyInboundEncryptedConnection: refuse,
      denyOutboundEncryptedConnection: refuse,
      denyInboundUpgradedConnection: refuse,
      denyOutboundUpgradedConnection: refuse,
      filterMultiaddrForPeer: (peerId) => this.allows(peerKeyOf(peerId)),
    };
  }
}
