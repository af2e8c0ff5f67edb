/**
 * The network of the simulated world: carries the encoded bytes of direct frames, gossip and sync
 * between shells, and does to them what the seed says.
 *
 * Harsher than the real one: frames of one connection get lost, come twice, late, out of order, and
 * again after minutes. A connection exists while both processes live and at least one direction
 * passes; it is made again some time after it became possible.
 */
import { isLedgerError, LedgerError } from "../../../src/base/errors.ts";
import type { PublicKey } from "../../../src/base/keys.ts";
import { limits } from "../../../src/base/limits.ts";
import type { ShellHandlers, ShellNetwork } from "../../../src/node/shell.ts";
import type { SnapshotPeers } from "../../../src/node/snapshot-download.ts";
import { decodeList, encodeList } from "../../../src/p2p/frame.ts";
import { answerSync } from "../../../src/p2p/sync-answer.ts";
import {
  bodyOf,
  decodeSyncRequest,
  decodeSyncStatus,
  encodeSyncRequest,
  refusal,
  type SyncRequest,
} from "../../../src/p2p/sync-format.ts";
import type { Random } from "../random.ts";
import { peerKey } from "./chain.ts";
import type { Effects } from "./effects.ts";
import type { Life, VirtualTime } from "./time.ts";

/** What happens to frames; all shares from 0 to 1. */
export type Rates = {
  loss: number;
  duplicate: number;
  /** Frames after which an old one, of whatever age, comes once more. */
  replay: number;
  delayMsMin: number;
  delayMsMax: number;
  /** Frames that take up to twenty times as long, and so come out of order. */
  late: number;
};

/** A process on the network. */
export type Station = {
  readonly index: number;
  readonly life: Life;
  readonly handlers: ShellHandlers;
  /** Tells whom the gate of this process lets in; absent: everybody. */
  readonly allows?: ((index: number) => boolean) | undefined;
};

/** What a process sends with. */
export type Attachment = ShellNetwork & SnapshotPeers;

/** What somebody sees of the traffic. */
export type NetworkListener = {
  /** An own frame of a node is about to go out, once for all peers. */
  onSend(from: number, frame: Uint8Array): void;
  /** A direct frame reaches a node. */
  onDeliver(to: number, frame: Uint8Array): void;
  /** A node refused what a peer gossiped, and blames it. */
  onBlame(by: number, from: number): void;
};

type Pair = { state: "down" | "dialling" | "up" };
type Request = { readonly to: Station; readonly fail: (reason: string) => void };

const redialMsMin = 100;
const redialMsMax = 1_500;
/** A request that got lost is sent again after this time, until it has certainly timed out. */
const resendMs = 1_000;
const resendsMax = 20;
/** Old frames that may come again. */
const archiveMax = 512;
/** A frame is passed on by gossip; who saw it does not look at it again. */
const seenMax = 4_096;

/** All connections of a world. */
export class WorldNetwork {
  readonly rates: Rates;
  /** Directions that do not pass, as "from>to". */
  readonly cut = new Set<string>();
  readonly #time: VirtualTime;
  readonly #random: Random;
  readonly #listener: NetworkListener;
  readonly #stations = new Map<number, Station>();
  readonly #pairs = new Map<string, Pair>();
  readonly #archive: { from: number; to: number; frame: Uint8Array }[] = [];
  readonly #requests = new Set<Request>();
  readonly #seen = new WeakMap<Life, Set<number>>();
  readonly #effects: Effects;
  #gossips = 0;

  constructor(options: {
    readonly time: VirtualTime;
    readonly random: Random;
    readonly rates: Rates;
    readonly listener: NetworkListener;
    readonly effects: Effects;
  }) {
    this.#effects = options.effects;
    this.#time = options.time;
    this.#random = options.random;
    this.#listener = options.listener;
    this.rates = options.rates;
  }

  /** Brings a process onto the network. @returns What it sends with. */
  attach(station: Station): Attachment {
    this.#stations.set(station.index, station);
    this.refresh();
    const { index, life } = station;
    return {
      connectedPeers: () =>
        life.isAlive ? this.peersOf(index).map(({ index: peer }) => peerKey(peer)) : [],
      broadcast: (frame) => {
        if (!life.isAlive) return;
        this.#listener.onSend(index, frame);
        for (const peer of this.peersOf(index)) this.sendRaw(index, peer.index, frame);
      },
      send: (peer, frame) => {
        const to = this.peersOf(index).find(({ index: other }) => peerKey(other) === peer);
        if (life.isAlive && to !== undefined) this.sendRaw(index, to.index, frame);
      },
      publishTransactions: (transactions) => {
        if (life.isAlive) this.publish(index, transactions);
      },
      ...this.#syncOf(station),
    };
  }

  /** Takes a process off the network; its connections end. */
  detach(index: number): void {
    const gone = this.#stations.get(index);
    this.#stations.delete(index);
    for (const request of this.#requests)
      if (request.to === gone) this.#time.after(5, () => request.fail("the peer is gone"));
    this.refresh();
  }

  /** Looks anew which connections can be. To be called after any change of `cut` or of a gate. */
  refresh(): void {
    const stations = [...this.#stations.values()];
    const names = new Set<string>();
    for (const left of stations)
      for (const right of stations)
        if (left.index < right.index && this.#mayConnect(left, right)) {
          names.add(pairName(left.index, right.index));
          this.#dial(left, right);
        }
    for (const [name, pair] of this.#pairs) {
      if (names.has(name)) continue;
      this.#pairs.delete(name);
      if (pair.state === "up") this.#tellOf(name, false);
    }
  }

  /** Processes a node is connected with. */
  peersOf(index: number): Station[] {
    return [...this.#stations.values()].filter(
      (other) =>
        other.index !== index && this.#pairs.get(pairName(index, other.index))?.state === "up",
    );
  }

  /** Sends a direct frame over one connection. */
  sendRaw(from: number, to: number, frame: Uint8Array): void {
    const archive = this.#archive;
    if (archive.length < archiveMax) archive.push({ from, to, frame });
    else archive[this.#random.below(archiveMax)] = { from, to, frame };
    this.#carry({ from, to, frame });
    if (!this.#random.chance(this.rates.replay)) return;
    const old = archive[this.#random.below(archive.length)];
    if (old === undefined) return;
    if (old.frame !== frame) this.#effects.note("replay");
    this.#carry(old);
  }

  /** Gossips transactions as a node would. */
  publish(from: number, transactions: readonly Uint8Array[]): void {
    this.#gossips += 1;
    this.#passOn(from, { id: this.#gossips, bytes: encodeList(transactions), origin: from });
  }

  #passOn(from: number, gossip: Gossip, except?: number): void {
    for (const peer of this.peersOf(from)) {
      if (peer.index === except) continue;
      this.#lossy(from, peer, () => this.#gossipTo(peer, from, gossip));
    }
  }

  #gossipTo(to: Station, from: number, gossip: Gossip): void {
    const seen = this.#seen.get(to.life) ?? new Set();
    if (seen.has(gossip.id) || to.index === gossip.origin) return;
    if (seen.size >= seenMax) seen.clear();
    this.#seen.set(to.life, seen.add(gossip.id));
    const bounds = { name: "gossip", countMax: 2_048, itemBytesMax: limits.transactionBytesMax };
    const transactions = decodeList(gossip.bytes, bounds).map((each) => each.slice());
    void to.handlers.onTransactions(peerKey(from), transactions).then((verdicts) => {
      if (verdicts.includes("reject")) this.#listener.onBlame(to.index, from);
      else if (verdicts.includes("accept") && to.life.isAlive) this.#passOn(to.index, gossip, from);
    });
  }

  #carry({ from, to, frame }: { from: number; to: number; frame: Uint8Array }): void {
    const station = this.#stations.get(to);
    if (station === undefined) return;
    this.#lossy(from, station, () => {
      this.#listener.onDeliver(to, frame);
      station.handlers.onConsensusMessage(peerKey(from), frame);
    });
  }

  #lossy(from: number, to: Station, deliver: () => void): void {
    const copies = this.#random.chance(this.rates.duplicate) ? 2 : 1;
    let delivered = 0;
    for (let copy = 0; copy < copies; copy += 1) {
      if (this.#isLost(from, to.index, this.rates.loss)) continue;
      this.#time.after(this.#delayMs(), deliver, to.life);
      delivered += 1;
    }
    if (delivered > 1) this.#effects.note("duplicate");
  }

  #isLost(from: number, to: number, rate: number): boolean {
    const isCut = this.cut.has(`${from}>${to}`);
    const isLost = isCut || this.#random.chance(rate);
    if (isLost) this.#effects.note(isCut ? "partition" : "loss");
    return isLost;
  }

  #delayMs(): number {
    const { delayMsMin, delayMsMax, late } = this.rates;
    const delayMs = delayMsMin + this.#random.below(delayMsMax - delayMsMin + 1);
    if (!this.#random.chance(late)) return delayMs;
    const factor = 1 + this.#random.below(20);
    if (factor > 1) this.#effects.note("late");
    return delayMs * factor;
  }

  #syncOf(station: Station) {
    const itemBytesMax = limits.syncBytesMax;
    const copied = (body: Uint8Array) => body.slice();
    return {
      requestStatus: (peer: PublicKey) =>
        this.#request(station, { peer, request: { kind: "status" } }, decodeSyncStatus),
      requestBlocks: (peer: PublicKey, from: number, countMax: number) =>
        this.#request(station, { peer, request: { kind: "blocks", from, countMax } }, (body) =>
          decodeList(body, { name: "sync blocks", countMax, itemBytesMax }).map(copied),
        ),
      requestManifest: (peer: PublicKey, height: number) =>
        this.#request(station, { peer, request: { kind: "manifest", height } }, copied),
      requestChunk: (peer: PublicKey, height: number, first: string) =>
        this.#request(station, { peer, request: { kind: "chunk", height, from: first } }, copied),
    };
  }

  /** A direction that does not pass shows as silence, until the time for the request is up. */
  #request<T>(
    from: Station,
    { peer, request: asked }: { readonly peer: PublicKey; readonly request: SyncRequest },
    decode: (body: Uint8Array) => T,
  ): Promise<T> {
    const to = this.peersOf(from.index).find(({ index: other }) => peerKey(other) === peer);
    if (to === undefined || !from.life.isAlive)
      return Promise.reject(new LedgerError("P2P_PEER_UNREACHABLE", { peer }));
    return new Promise((resolve, reject) => {
      const fail = (reason: string) => settle(() => reject(syncFailed(peer, reason)));
      const take = (response: Uint8Array) =>
        settle(() => {
          try {
            resolve(decode(bodyOf(response, peer, asked.kind)));
          } catch (error) {
            if (isLedgerError(error, "P2P_SYNC_PRUNED")) reject(error);
            else reject(syncFailed(peer, String(error)));
          }
        });
      const request = { to, fail };
      const settle = (act: () => void) => {
        if (!this.#requests.delete(request)) return;
        stopWaiting();
        this.#time.after(0, act, from.life);
      };
      this.#requests.add(request);
      const { syncTimeoutMs, syncStatusTimeoutMs } = limits;
      const timeoutMs = asked.kind === "status" ? syncStatusTimeoutMs : syncTimeoutMs;
      const stopWaiting = this.#time.after(timeoutMs, () => fail("it takes too long"));
      const bytes = encodeSyncRequest(asked);
      this.#once(from.index, to, async () => {
        const response = await answered(to, bytes);
        this.#once(to.index, from, () => take(response));
      });
    });
  }

  /** One leg of a request. What is lost is sent again, as TCP does, as long as anybody waits. */
  #once(from: number, to: Station, run: () => void | Promise<void>, resends = 0): void {
    const isLost = this.#isLost(from, to.index, this.rates.loss / 4);
    if (!isLost) this.#time.after(this.#delayMs(), () => void run(), to.life);
    else if (resends < resendsMax)
      this.#time.after(resendMs, () => this.#once(from, to, run, resends + 1), to.life);
  }

  #mayConnect(left: Station, right: Station): boolean {
    const [one, other] = [left.index, right.index];
    const isCut = this.cut.has(`${one}>${other}`) && this.cut.has(`${other}>${one}`);
    const isAllowed = (left.allows?.(other) ?? true) && (right.allows?.(one) ?? true);
    return isAllowed && !isCut;
  }

  #dial(left: Station, right: Station): void {
    const name = pairName(left.index, right.index);
    if (this.#pairs.has(name)) return;
    const pair: Pair = { state: "dialling" };
    this.#pairs.set(name, pair);
    const delayMs = redialMsMin + this.#random.below(redialMsMax - redialMsMin);
    this.#time.after(delayMs, () => {
      if (this.#pairs.get(name) !== pair) return;
      pair.state = "up";
      this.#tellOf(name, true);
    });
  }

  #tellOf(name: string, isConnected: boolean): void {
    const [left = 0, right = 0] = name.split("-").map(Number);
    for (const [one, other] of [
      [left, right],
      [right, left],
    ] as const) {
      const end = this.#stations.get(one);
      const tell = () => end?.handlers.onPeerChange(peerKey(other), isConnected);
      if (end !== undefined) this.#time.after(0, tell, end.life);
    }
  }
}

type Gossip = { readonly id: number; readonly bytes: Uint8Array; readonly origin: number };

function pairName(one: number, other: number): string {
  return `${Math.min(one, other)}-${Math.max(one, other)}`;
}

/** What the real one does with an error of the node, such as a database that is closed just now. */
async function answered({ handlers }: Station, request: Uint8Array): Promise<Uint8Array> {
  try {
    return await answerSync(handlers, decodeSyncRequest(request));
  } catch (error) {
    if (isLedgerError(error)) return refusal;
    throw error;
  }
}

function syncFailed(peer: PublicKey, reason: string): LedgerError {
  return new LedgerError("P2P_SYNC_FAILED", { peer, request: "sync", reason });
}
