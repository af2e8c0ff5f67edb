/**
 * Catching up, apart from validating: fetches decided blocks from peers and appends them.
 *
 * Nothing a peer says is believed but a certificate: a claimed height is only a reason to ask. A
 * peer that sends less than it claimed, a hole or a wrong certificate is passed over for a while
 * and another one is asked. A slow one is left to send on while another one is asked.
 *
 * Invariants:
 *
 * (1) Blocks are appended one after the other, whoever brings them: consensus or a peer.
 * (2) A faulty peer costs at most one request a `penaltyMs`.
 * (3) A peer that does not answer holds nothing up for longer than `patienceMs`, and no look at
 *     heights for longer than `firstMs` and `graceMs`; where others answer, `graceMs`.
 * (4) Nothing is appended once `stop` was called.
 * (5) With claims of more than `f` members, `f` liars cannot make this node call itself behind.
 *     With fewer, or without an `f`, a peer is believed until its claim leads to no block.
 */
import { AssertionError } from "../base/assert.ts";
import { isLedgerError, LedgerError } from "../base/errors.ts";
import { type Block, decodeBlock } from "../base/format/block.ts";
import { encode } from "../base/format/codec.ts";
import { type Certificate, decodeCertificate } from "../base/format/message.ts";
import { TupleReader } from "../base/format/tuple.ts";
import type { PublicKey } from "../base/keys.ts";
import { limits } from "../base/limits.ts";
import type { Clock, Log } from "../base/log.ts";
import { faultyMax } from "../base/proof/certificate.ts";
import { surface } from "./crash.ts";
import { isOwnFault, isProvenLie } from "./own-fault.ts";
import { SeldomLog } from "./seldom.ts";
import { type Cancel, realTimers, type Timers } from "./timers.ts";

/** What the follower needs of the network. */
export interface BlockSource {
  connectedPeers(): readonly PublicKey[];
  requestStatus(peer: PublicKey): Promise<{ readonly height: number }>;
  requestBlocks(peer: PublicKey, from: number, countMax: number): Promise<readonly Uint8Array[]>;
}

/** What the follower needs of the ledger. */
export interface BlockSink {
  readonly tip: { readonly height: number };
  append(block: Block, certificate: Certificate): Promise<void>;
}

/** Told after each append, whoever brought the block. */
export type AppendListener = (block: Block) => void;

/** How far this node is behind what peers claim. */
export type FollowerStatus = {
  readonly catchingUp: boolean;
  readonly claimedHeight: number;
  /** False until the first peer told its height. */
  readonly hasLooked: boolean;
};

const pollMs = 1_000;
const penaltyMs = 5_000;
/** Less than a person waits; an answer over a slow line may take longer and is still taken. */
const patienceMsDefault = 3_000;
/** Whoever connects meanwhile is asked in the next look: together with `graceMs` less than a poll. */
const firstMs = 600;
/** Once one has told its height the others have this much more time. */
const graceMs = 300;
/** After a fault of this node itself, which asking again does not mend, it bothers peers seldom. */
const faultRestMs = 30_000;

type Claim = { readonly peer: PublicKey; readonly height: number };

/** How asking a peer for blocks went. */
type FetchOutcome = "progress" | "lied" | "unanswered";

/** Encodes a decided block for a peer. */
export function encodeDecided(block: Uint8Array, certificate: Uint8Array): Uint8Array {
  return encode([block, certificate]);
}

/** Decodes what a peer sent as a decided block. @throws {LedgerError} CODEC_INVALID */
export function decodeDecided(bytes: Uint8Array): { block: Block; certificate: Certificate } {
  const reader = TupleReader.decode(bytes, "decided block");
  const block = decodeBlock(reader.bytes("block"));
  const certificate = decodeCertificate(reader.bytes("certificate"));
  reader.end();
  return { block, certificate };
}

/** Keeps the ledger at the height of its peers. */
export class ChainFollower {
  readonly #source: BlockSource;
  readonly #sink: BlockSink;
  readonly #clock: Clock;
  readonly #onAppended: AppendListener;
  readonly #penalties = new Map<PublicKey, number>();
  /** What connected peers claimed last. */
  #claims: readonly Claim[] = [];
  /** Peers whose last claim led to no block: it is no measure of being behind. */
  readonly #doubted = new Set<PublicKey>();
  /** Peers that are asked for their height. */
  readonly #asked = new Set<PublicKey>();
  /** Peers whose blocks are still awaited, though others are asked meanwhile. */
  readonly #busy = new Set<PublicKey>();
  /** Heights told since the last look. */
  readonly #answers = new Map<PublicKey, number>();
  /** Peers that have the block above this height no more. */
  readonly #pruned = new Map<PublicKey, number>();
  readonly #seldom: SeldomLog;
  readonly #stopping = new AbortController();
  readonly #patienceMs: number;
  readonly #timers: Timers;
  #restUntilMs = 0;
  readonly #onFault: (reason: string) => void;
  readonly #onCaughtUp: (peers: readonly PublicKey[]) => void;
  readonly #onPruned: (peers: readonly PublicKey[]) => void;
  readonly #members: () => readonly PublicKey[];
  #queue: Promise<unknown> = Promise.resolve();
  #round: Promise<void> | undefined;
  #stopPolling: Cancel = () => {};
  #hasLooked = false;

  constructor(parts: {
    source: BlockSource;
    sink: BlockSink;
    clock: Clock;
    log: Log;
    onAppended: AppendListener;
    /** Told when this node itself is at fault: its state differs, or its contracts do not run. */
    onFault(reason: string): void;
    /** Told with the peers that answered and from whom nothing more is to be had at the moment. */
    onCaughtUp?(peers: readonly PublicKey[]): void;
    /**
     * Told with the peers that say that they pruned the next block, when nobody else has it at the
     * moment: liars may say so of what there is not.
     */
    onPruned?(peers: readonly PublicKey[]): void;
    /** Peer keys of the validators: of them, and of them only, it is known how many may lie. */
    members(): readonly PublicKey[];
    readonly patienceMs?: number;
    /** Default: those of the process. */
    readonly timers?: Timers | undefined;
  }) {
    this.#source = parts.source;
    this.#sink = parts.sink;
    this.#clock = parts.clock;
    this.#timers = parts.timers ?? realTimers;
    this.#seldom = new SeldomLog(parts.log, () => this.#timers.nowMs());
    this.#onAppended = parts.onAppended;
    this.#onFault = parts.onFault;
    this.#patienceMs = parts.patienceMs ?? patienceMsDefault;
    this.#onCaughtUp = parts.onCaughtUp ?? (() => {});
    this.#onPruned = parts.onPruned ?? (() => {});
    this.#members = parts.members;
  }

  get status(): FollowerStatus {
    const claimedHeight = this.#measure();
    // One block behind is the normal state while a decision travels.
    const catchingUp = claimedHeight > this.#sink.tip.height + 1;
    return { catchingUp, claimedHeight, hasLooked: this.#hasLooked };
  }

  /** How many peers have pruned the blocks that this node needs next. */
  get prunedPeers(): number {
    return this.#without().length;
  }

  start(): void {
    this.#stopPolling = this.#timers.every(pollMs, () => this.poke());
    this.poke();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#stopPolling();
    await this.#round;
    await this.#queue;
  }

  get #stopped(): boolean {
    return this.#stopping.signal.aborted;
  }

  /** Looks for higher peers now; a look that is under way is not doubled. */
  poke(): void {
    if (this.#stopped || this.#round !== undefined) return;
    this.#round = this.#catchUp()
      .catch(surface)
      .finally(() => {
        this.#round = undefined;
      });
  }

  /**
   * Appends a decided block unless it is here already.
   *
   * @throws {LedgerError} what the ledger says against the block.
   */
  append(block: Block, certificate: Certificate): Promise<void> {
    const turn = this.#queue.then(() => this.#appendNext(block, certificate));
    this.#queue = turn.catch(() => undefined);
    return turn;
  }

  async #appendNext(block: Block, certificate: Certificate): Promise<void> {
    if (this.#stopped || block.header.height <= this.#sink.tip.height) return;
    await this.#sink.append(block, certificate);
    this.#onAppended(block);
  }

  async #catchUp(): Promise<void> {
    if (this.#clock.nowMs() < this.#restUntilMs) return;
    const claims = await this.#askHeights();
    this.#remember(claims);
    const exhausted: PublicKey[] = [];
    for (const { peer, height } of claims) {
      if (this.#stopped) return;
      if (await this.#exhaust({ peer, height })) exhausted.push(peer);
    }
    this.#hasLooked ||= claims.length > 0;
    this.#onCaughtUp(exhausted);
    const without = this.#without();
    if (without.length > 0) this.#onPruned(without);
  }

  /** Those who are there and said that they have the next block no more. */
  #without(): PublicKey[] {
    const { height } = this.#sink.tip;
    return this.#source.connectedPeers().filter((peer) => this.#pruned.get(peer) === height);
  }

  /** Keeps what was claimed before by who is still there and was not asked this time. */
  #remember(claims: readonly Claim[]): void {
    const connected = new Set(this.#source.connectedPeers());
    const anew = new Set(claims.map(({ peer }) => peer));
    const former = this.#claims.filter(({ peer }) => connected.has(peer) && !anew.has(peer));
    this.#claims = [...claims, ...former];
  }

  /** The height that others have, as far as their claims can be believed. */
  #measure(): number {
    const members = this.#members();
    const liarsMax = faultyMax(members.length);
    const heights = this.#claims
      .filter(({ peer }) => members.includes(peer))
      .map(({ height }) => height)
      .sort((left, right) => right - left);
    // One of so many is honest. A liar may feed blocks one by one, and so never be found out.
    if (liarsMax > 0 && heights.length > liarsMax) return heights[liarsMax] ?? 0;
    const believed = this.#claims.filter(({ peer }) => !this.#doubted.has(peer));
    return Math.max(0, ...believed.map(({ height }) => height));
  }

  /** Asks all at once. Who is slow is left out; its answer counts in the look after it came. */
  async #askHeights(): Promise<Claim[]> {
    let hasOne = () => {};
    const first = new Promise<void>((resolve) => {
      hasOne = resolve;
    });
    // Who keeps silent is not asked again meanwhile, so it holds up one look and not each.
    const peers = this.#source.connectedPeers().filter((peer) => !this.#asked.has(peer));
    const questions = peers
      .filter((peer) => this.#isFree(peer))
      .map(async (peer) => {
        this.#asked.add(peer);
        const answer = await this.#source.requestStatus(peer).catch(() => undefined);
        this.#asked.delete(peer);
        if (answer === undefined) return;
        this.#answers.set(peer, answer.height);
        hasOne();
      });
    const all = Promise.all(questions);
    if (this.#answers.size === 0)
      await this.#within(Promise.race([all, first]), Math.min(firstMs, this.#patienceMs));
    await this.#within(all, Math.min(graceMs, this.#patienceMs));
    const connected = this.#source.connectedPeers();
    const claims = [...this.#answers]
      .filter(([peer]) => connected.includes(peer) && this.#isFree(peer))
      .map(([peer, height]) => ({ peer, height }));
    this.#answers.clear();
    return claims.sort((left, right) => right.height - left.height);
  }

  /** Tells whether a peer may be asked: no blocks are awaited from it, and it is not passed over. */
  #isFree(peer: PublicKey): boolean {
    return !this.#busy.has(peer) && (this.#penalties.get(peer) ?? 0) <= this.#clock.nowMs();
  }

  /** Fetches all that a peer claims. @returns Whether nothing more is to be had from it. */
  async #exhaust({ peer, height }: Claim): Promise<boolean> {
    while (!this.#stopped && this.#sink.tip.height < height) {
      const from = this.#sink.tip.height + 1;
      this.#busy.add(peer);
      const request = this.#source.requestBlocks(peer, from, limits.syncBlocksMax);
      const fetching = this.#take(request, { peer, from, claimed: height }).finally(() =>
        this.#busy.delete(peer),
      );
      // Patience is for the answer; what this node then takes to append it is its own affair.
      const isAnswered = await this.#within(request.then(isSettled, isSettled));
      if (isAnswered !== true) this.#doubted.add(peer);
      const outcome = isAnswered === true ? await fetching : "unanswered";
      if (outcome !== "progress") return outcome === "lied";
    }
    return !this.#stopped;
  }

  async #take(
    request: Promise<readonly Uint8Array[]>,
    { peer, from, claimed }: { peer: PublicKey; from: number; claimed: number },
  ): Promise<FetchOutcome> {
    try {
      await this.#appendAll(await request, from, claimed);
      this.#doubted.delete(peer);
      this.#pruned.clear();
      return "progress";
    } catch (error) {
      if (isOwnFault(error)) this.#onOwnFault(error);
      else this.#passOver(peer, error, from);
      return isProvenLie(error) ? "lied" : "unanswered";
    }
  }

  /** This says something of this node, not of the peer: it must stop voting. */
  #onOwnFault(error: unknown): void {
    if (error instanceof AssertionError) surface(error);
    this.#restUntilMs = this.#clock.nowMs() + faultRestMs;
    this.#onFault(String(error));
  }

  #passOver(peer: PublicKey, error: unknown, from: number): void {
    // Who has pruned the block has later ones all the same.
    if (isLedgerError(error, "P2P_SYNC_PRUNED")) this.#pruned.set(peer, from - 1);
    else this.#doubted.add(peer);
    this.#penalties.set(peer, this.#clock.nowMs() + penaltyMs);
    this.#seldom.warn(peer, { peer, error: String(error) }, "peer passed over while catching up");
  }

  /** Waits for something, but neither too long nor after `stop`. */
  async #within<T>(work: Promise<T>, patienceMs = this.#patienceMs): Promise<T | undefined> {
    const { signal } = this.#stopping;
    let giveUp = () => {};
    const patience = new Promise<undefined>((resolve) => {
      giveUp = () => resolve(undefined);
    });
    const stopWaiting = this.#timers.after(patienceMs, giveUp);
    signal.addEventListener("abort", giveUp, { once: true });
    if (signal.aborted) giveUp();
    try {
      return await Promise.race([work, patience]);
    } finally {
      stopWaiting();
      signal.removeEventListener("abort", giveUp);
    }
  }

  async #appendAll(blocks: readonly Uint8Array[], from: number, claimed: number): Promise<void> {
    // Consensus may have brought the block meanwhile: then an empty answer is no lie.
    if (blocks.length === 0 && this.#sink.tip.height < from)
      throw new LedgerError("SYNC_PEER_LIED", { height: from, claimed });
    let expected = from;
    for (const bytes of blocks) {
      const { block, certificate } = decodeDecided(bytes);
      if (block.header.height !== expected)
        throw new LedgerError("SYNC_PEER_LIED", { height: expected, claimed });
      expected += 1;
      await this.append(block, certificate);
    }
  }
}

function isSettled(): true {
  return true;
}
