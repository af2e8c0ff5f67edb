/**
 * Catching up, apart from validating: fetches decided blocks from peers and appends them.
 *
 * Nothing a peer says is believed but a certificate: a claimed height is only a reason to ask. A
 * peer that sends less than it claimed, a hole or a wrong certificate is passed over for a while
 * and another one is asked.
 *
 * Invariants:
 *
 * (1) Blocks are appended one after the other, whoever brings them: consensus or a peer.
 * (2) A faulty peer costs at most one request a `penaltyMs`.
 */
import { isLedgerError, LedgerError } from "../base/errors.ts";
import { type Block, decodeBlock } from "../base/format/block.ts";
import { encode } from "../base/format/codec.ts";
import { type Certificate, decodeCertificate } from "../base/format/message.ts";
import { TupleReader } from "../base/format/tuple.ts";
import type { PublicKey } from "../base/keys.ts";
import { limits } from "../base/limits.ts";
import type { Clock, Log } from "../base/log.ts";

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
export type FollowerStatus = { readonly catchingUp: boolean; readonly claimedHeight: number };

const pollMs = 1_000;
const penaltyMs = 5_000;

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
  readonly #log: Log;
  readonly #onAppended: AppendListener;
  readonly #penalties = new Map<PublicKey, number>();
  readonly #onFault: (reason: string) => void;
  readonly #onCaughtUp: (peers: readonly PublicKey[]) => void;
  #queue: Promise<unknown> = Promise.resolve();
  #round: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #claimedHeight = 0;
  #stopped = false;

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
  }) {
    this.#source = parts.source;
    this.#sink = parts.sink;
    this.#clock = parts.clock;
    this.#log = parts.log;
    this.#onAppended = parts.onAppended;
    this.#onFault = parts.onFault;
    this.#onCaughtUp = parts.onCaughtUp ?? (() => {});
  }

  get status(): FollowerStatus {
    const behind = this.#claimedHeight - this.#sink.tip.height;
    // One block behind is the normal state while a decision travels.
    return { catchingUp: behind > 1, claimedHeight: this.#claimedHeight };
  }

  start(): void {
    this.#timer = setInterval(() => this.poke(), pollMs);
    this.poke();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#timer);
    await this.#round;
    await this.#queue;
  }

  /** Looks for higher peers now; a look that is under way is not doubled. */
  poke(): void {
    if (this.#stopped || this.#round !== undefined) return;
    this.#round = this.#catchUp()
      .catch((error: unknown) => this.#log.warn({ error: String(error) }, "catching up failed"))
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
    if (block.header.height <= this.#sink.tip.height) return;
    await this.#sink.append(block, certificate);
    this.#onAppended(block);
  }

  async #catchUp(): Promise<void> {
    const claims = await this.#askHeights();
    this.#claimedHeight = Math.max(0, ...claims.map(({ height }) => height));
    for (const { peer, height } of claims) {
      if (this.#stopped) return;
      if (height > this.#sink.tip.height) await this.#fetchFrom(peer, height);
    }
    this.#onCaughtUp(claims.map(({ peer }) => peer));
  }

  async #askHeights(): Promise<{ peer: PublicKey; height: number }[]> {
    const now = this.#clock.nowMs();
    const peers = this.#source
      .connectedPeers()
      .filter((peer) => (this.#penalties.get(peer) ?? 0) <= now);
    const answers = await Promise.allSettled(
      peers.map(async (peer) => ({ peer, ...(await this.#source.requestStatus(peer)) })),
    );
    return answers
      .filter((answer) => answer.status === "fulfilled")
      .map(({ value }) => value)
      .sort((left, right) => right.height - left.height);
  }

  async #fetchFrom(peer: PublicKey, claimed: number): Promise<void> {
    try {
      while (!this.#stopped && this.#sink.tip.height < claimed) {
        const from = this.#sink.tip.height + 1;
        const blocks = await this.#source.requestBlocks(peer, from, limits.syncBlocksMax);
        await this.#appendAll(blocks, from, claimed);
      }
    } catch (error) {
      // These say something of this node, not of the peer: it must stop voting.
      if (isOwnFault(error)) return this.#onFault(String(error));
      this.#penalties.set(peer, this.#clock.nowMs() + penaltyMs);
      this.#log.warn({ peer, error: String(error) }, "peer passed over while catching up");
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

function isOwnFault(error: unknown): boolean {
  return (
    !isLedgerError(error) ||
    error.code === "LEDGER_DIVERGENCE" ||
    error.code === "CONTRACT_NODE_FAULT" ||
    error.code === "LEDGER_WRITE_FAILED"
  );
}
