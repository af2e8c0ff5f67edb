/**
 * Keeps the network's gate and dialer in step with the members of the ledger: candidates may come,
 * who was removed must go after a while. Peers of the configuration that the ledger does not know
 * are let in only where the node is `joining`, as its own picture of the members may be years old.
 */
import { publicKeyOf } from "../base/format/did.ts";
import type { PublicKey } from "../base/keys.ts";
import type { Clock } from "../base/log.ts";
import type { NodeConfig } from "./config.ts";
import type { Membership } from "./membership.ts";

type PeerAddress = { readonly peerKey: PublicKey; readonly address: string };

/** What is needed of the network. */
interface PeerNetwork {
  setAllowedPeerKeys(keys: readonly PublicKey[]): void;
  setPeers(peers: readonly PeerAddress[]): void;
}

type Parts = {
  readonly membership: Membership;
  /** Addresses of the configuration come before those of the ledger. */
  readonly config: Pick<NodeConfig, "p2p" | "joining">;
  readonly clock: Clock;
};

/** Former members are looked for this often. */
const lookMs = 10_000;

/** Tells the network whom to connect. */
export class PeerFollower {
  readonly #parts: Parts;
  readonly #configured: readonly PeerAddress[];
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#configured = parts.config.p2p.peers.map(({ peerKey, address }) => ({
      peerKey: publicKeyOf(peerKey),
      address,
    }));
  }

  /** Who may be connected at this moment. */
  allowed(): PublicKey[] {
    const { membership, config, clock } = this.#parts;
    const invited = this.#configured
      .map(({ peerKey }) => peerKey)
      .filter((peer) => config.joining && !membership.isFormer(peer));
    return [...new Set([...membership.allowedPeers(clock.nowMs()), ...invited])];
  }

  /** Whom to dial, and where. */
  peers(): PeerAddress[] {
    const known = new Set(this.#configured.map(({ peerKey }) => peerKey));
    const further = this.#parts.membership.addresses().filter(({ peerKey }) => !known.has(peerKey));
    return [...this.#configured, ...further];
  }

  start(network: PeerNetwork): void {
    const apply = () => {
      network.setAllowedPeerKeys(this.allowed());
      network.setPeers(this.peers());
    };
    this.#parts.membership.onChange(apply);
    this.#timer = setInterval(apply, lookMs);
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
