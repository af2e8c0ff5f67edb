/**
 * Keeps a connection to every configured peer: dials until it stands, and again when it is gone.
 * While all peers are connected it does nothing, not even hold a timer.
 *
 * Invariants:
 *
 * (1) A configured peer that is not connected has exactly one dial or one timer.
 * (2) Between two dials to a peer pass `redialMsMin` to `redialMsMax`, growing, with jitter: nodes
 *     that start together must not dial in step. A peer that is not allowed keeps its timer.
 */
import "./polyfill.ts";
import { CODE_P2P, type Multiaddr, multiaddr } from "@multiformats/multiaddr";
import { isLedgerError, LedgerError } from "../base/errors.ts";
import type { PublicKey } from "../base/keys.ts";
import { limits } from "../base/limits.ts";
import type { Log } from "../base/log.ts";
import type { Counters } from "./counters.ts";
import type { Host } from "./host.ts";
import { peerIdOf } from "./identity.ts";

/** Where a peer listens: a multiaddr such as /ip4/127.0.0.1/tcp/7401, without /p2p/. */
export type PeerAddress = { readonly peerKey: PublicKey; readonly address: string };

/** What the dialer needs. */
type DialerOptions = {
  readonly host: Host;
  readonly peers: readonly PeerAddress[];
  readonly ownKey: PublicKey;
  readonly counters: Counters;
  readonly log: Log;
  /** Tells whether a peer may be connected now. */
  readonly allows: (peer: PublicKey) => boolean;
};

type Target = {
  readonly text: string;
  readonly address: Multiaddr;
  delayMs: number;
  dialing: boolean;
  timer: NodeJS.Timeout | undefined;
};

/**
 * Checks an address and returns it parsed.
 *
 * @throws {LedgerError} P2P_ADDRESS_INVALID
 */
export function parseAddress(address: string): Multiaddr {
  let parsed: Multiaddr;
  try {
    parsed = multiaddr(address);
  } catch (cause) {
    const facts = { address, reason: "is no multiaddr" };
    throw new LedgerError("P2P_ADDRESS_INVALID", facts, { cause });
  }
  const names = parsed.getComponents().map((component) => component.name);
  if (parsed.getComponents().some((component) => component.code === CODE_P2P)) {
    throw new LedgerError("P2P_ADDRESS_INVALID", { address, reason: "holds /p2p/" });
  }
  if (!/^(ip4|ip6|dns|dns4|dns6)\/tcp$/.test(names.join("/"))) {
    throw new LedgerError("P2P_ADDRESS_INVALID", { address, reason: "is not /host/tcp/port" });
  }
  return parsed;
}

/** Dials the peers. */
export class Dialer {
  readonly #options: DialerOptions;
  readonly #targets = new Map<PublicKey, Target>();
  readonly #stopping = new AbortController();
  #started = false;

  /** @throws {LedgerError} P2P_ADDRESS_INVALID, KEY_INVALID */
  constructor(options: DialerOptions) {
    this.#options = options;
    for (const peer of options.peers) this.#add(peer);
  }

  /** Starts dialing. Of two peers the one with the lower key goes first, to get one connection. */
  start(): void {
    this.#started = true;
    for (const [peer, target] of this.#targets) this.#begin(peer, target);
  }

  /** Replaces the peers. Existing connections are the caller's to close. */
  setPeers(peers: readonly PeerAddress[]): void {
    const wanted = new Map(peers.map((peer) => [peer.peerKey, peer]));
    for (const [peer, target] of this.#targets)
      if (wanted.get(peer)?.address !== target.text) {
        clearTimeout(target.timer);
        this.#targets.delete(peer);
      }
    for (const peer of peers) {
      if (this.#targets.has(peer.peerKey)) continue;
      const target = this.#addKnown(peer);
      if (target !== undefined && this.#started) this.#begin(peer.peerKey, target);
    }
  }

  #begin(peer: PublicKey, target: Target): void {
    if (this.#options.ownKey < peer) void this.#dial(peer, target);
    else this.#later(peer, target);
  }

  /** An address that others wrote may be wrong; that stops nobody. */
  #addKnown(peer: PeerAddress): Target | undefined {
    try {
      return this.#add(peer);
    } catch (error) {
      if (!isLedgerError(error)) throw error;
      this.#options.log.warn(
        { peer: peer.peerKey, ...error.facts },
        "address of a peer is unusable",
      );
      return undefined;
    }
  }

  #add({ peerKey, address: text }: PeerAddress): Target | undefined {
    if (peerKey === this.#options.ownKey) return undefined;
    const address = parseAddress(text).encapsulate(`/p2p/${peerIdOf(peerKey)}`);
    const delayMs = limits.redialMsMin;
    const target = { text, address, delayMs, dialing: false, timer: undefined };
    this.#targets.set(peerKey, target);
    return target;
  }

  /** Ends all dials. */
  stop(): void {
    this.#stopping.abort();
    for (const target of this.#targets.values()) clearTimeout(target.timer);
  }

  /** Must be called when a peer's last connection closed, or it became allowed. */
  wake(peer: PublicKey): void {
    const target = this.#targets.get(peer);
    if (target === undefined || target.dialing || target.timer !== undefined) return;
    target.delayMs = limits.redialMsMin;
    this.#later(peer, target);
  }

  #later(peer: PublicKey, target: Target): void {
    if (this.#stopping.signal.aborted || this.#targets.get(peer) !== target) return;
    const delayMs = target.delayMs * (0.5 + Math.random() / 2);
    target.delayMs = Math.min(2 * target.delayMs, limits.redialMsMax);
    target.timer = setTimeout(() => {
      target.timer = undefined;
      void this.#dial(peer, target);
    }, delayMs);
  }

  async #dial(peer: PublicKey, target: Target): Promise<void> {
    const { host, allows, counters, log } = this.#options;
    if (this.#stopping.signal.aborted) return;
    if (!allows(peer)) return this.#later(peer, target);
    if (host.getConnections(peerIdOf(peer)).length > 0) return;
    target.dialing = true;
    try {
      const timeout = AbortSignal.timeout(limits.handshakeTimeoutMs);
      const signal = AbortSignal.any([timeout, this.#stopping.signal]);
      await host.dial(target.address, { signal });
      target.delayMs = limits.redialMsMin;
    } catch (error) {
      counters.dialFailures += 1;
      log.debug({ peer, reason: String(error) }, "peer not reached");
    } finally {
      target.dialing = false;
    }
    // The connection may already be gone again, and then nobody calls `wake`.
    if (host.getConnections(peerIdOf(peer)).length === 0) this.#later(peer, target);
  }
}
