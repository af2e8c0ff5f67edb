/**
 * Consensus messages: one long-lived stream each way between every two connected peers, in frames.
 * It does not read the messages and does not repeat them; consensus sends again what matters.
 *
 * Invariants:
 *
 * (1) What arrives from one peer arrives in the order it was sent, each frame whole.
 * (2) At most `consensusQueueBytesMax` bytes and one frame wait for one peer; the oldest go first.
 * (3) Nothing waits for a peer that is not connected: what it missed is stale when it comes back.
 * (4) A peer that sends a frame out of bounds is reported once, and nothing more is read from it.
 */
import "./polyfill.ts";
import type { Connection, PeerId, Stream, StreamMessageEvent } from "@libp2p/interface";
import { isLedgerError } from "../base/errors.ts";
import type { PublicKey } from "../base/keys.ts";
import { limits } from "../base/limits.ts";
import type { Log } from "../base/log.ts";
import type { Counters } from "./counters.ts";
import { encodeFrame, FrameReader } from "./frame.ts";
import type { Host } from "./host.ts";
import { peerKeyOf } from "./identity.ts";

/** The stream's own buffer is refilled below this mark, so that the queue stays ours to bound. */
const streamBufferBytes = 256 * 1024;
const reopenMsMin = 50;
const reopenMsMax = 2_000;

/** What the streams need. */
type ConsensusStreamsOptions = {
  readonly host: Host;
  readonly protocol: string;
  readonly counters: Counters;
  readonly log: Log;
  readonly onMessage: (from: PublicKey, bytes: Uint8Array) => void;
  /** Called when a peer broke the frame rules; must disconnect it. */
  readonly onAbuse: (peer: PublicKey, error: Error) => void;
};

type Channel = {
  readonly peerId: PeerId;
  readonly queue: Uint8Array[];
  queueBytes: number;
  stream: Stream | undefined;
  opening: boolean;
  reopenMs: number;
  timer: NodeJS.Timeout | undefined;
};

/** The direct streams to all connected peers. */
export class ConsensusStreams {
  readonly #options: ConsensusStreamsOptions;
  readonly #channels = new Map<PublicKey, Channel>();

  constructor(options: ConsensusStreamsOptions) {
    this.#options = options;
  }

  /** Accepts streams from peers. */
  async start(): Promise<void> {
    const { host, protocol } = this.#options;
    await host.handle(protocol, (stream, connection) => this.#onInbound(stream, connection), {
      maxInboundStreams: 4,
      maxOutboundStreams: 4,
    });
  }

  /** Closes all streams and forgets what waits. */
  async stop(): Promise<void> {
    for (const key of [...this.#channels.keys()]) this.onDisconnect(key);
    await this.#options.host.unhandle(this.#options.protocol);
  }

  /** Bytes that wait for all peers together. */
  get queueBytes(): number {
    let sum = 0;
    for (const channel of this.#channels.values()) sum += channel.queueBytes;
    return sum;
  }

  /** Opens the stream to a peer that has just been connected. */
  onConnect(peer: PublicKey, peerId: PeerId): void {
    if (this.#channels.has(peer)) return;
    const channel: Channel = {
      peerId,
      queue: [],
      queueBytes: 0,
      stream: undefined,
      opening: false,
      reopenMs: reopenMsMin,
      timer: undefined,
    };
    this.#channels.set(peer, channel);
    void this.#open(peer, channel);
  }

  /** Drops the stream and the queue of a peer whose last connection closed. */
  onDisconnect(peer: PublicKey): void {
    const channel = this.#channels.get(peer);
    if (channel === undefined) return;
    this.#channels.delete(peer);
    clearTimeout(channel.timer);
    this.#options.counters.consensusFramesDropped += channel.queue.length;
    channel.queue.length = 0;
    channel.queueBytes = 0;
    channel.stream?.abort(new Error("peer disconnected"));
  }

  /**
   * Queues one frame for each of the peers. The bytes must not be changed afterwards.
   *
   * @param bytes - 1 to `consensusFrameBytesMax` bytes.
   */
  send(peers: Iterable<PublicKey>, bytes: Uint8Array): void {
    const frame = encodeFrame(bytes);
    for (const peer of peers) {
      const channel = this.#channels.get(peer);
      if (channel === undefined) {
        this.#options.counters.consensusFramesDropped += 1;
      } else {
        this.#enqueue(channel, frame);
        this.#pump(channel);
      }
    }
  }

  #enqueue(channel: Channel, frame: Uint8Array): void {
    channel.queue.push(frame);
    channel.queueBytes += frame.length;
    while (channel.queueBytes > limits.consensusQueueBytesMax && channel.queue.length > 1) {
      channel.queueBytes -= (channel.queue.shift() as Uint8Array).length;
      this.#options.counters.consensusFramesDropped += 1;
    }
  }

  /** Moves frames to the stream while it takes them. */
  #pump(channel: Channel): void {
    const stream = channel.stream;
    if (stream === undefined) return;
    while (channel.queue.length > 0 && stream.writeStatus === "writable") {
      if (stream.writeBufferLength > streamBufferBytes) return;
      const frame = channel.queue.shift() as Uint8Array;
      channel.queueBytes -= frame.length;
      this.#options.counters.consensusFramesSent += 1;
      this.#options.counters.consensusBytesSent += frame.length;
      try {
        stream.send(frame);
      } catch (error) {
        stream.abort(error as Error);
        return;
      }
    }
  }

  async #open(peer: PublicKey, channel: Channel): Promise<void> {
    if (channel.opening || channel.stream !== undefined) return;
    channel.opening = true;
    try {
      const connection = newestOpen(this.#options.host.getConnections(channel.peerId));
      if (connection === undefined) throw new Error("no open connection");
      const signal = AbortSignal.timeout(limits.handshakeTimeoutMs);
      const stream = await connection.newStream(this.#options.protocol, { signal });
      this.#adopt(peer, channel, stream);
    } catch (error) {
      this.#options.log.debug({ peer, reason: String(error) }, "consensus stream not opened");
      this.#reopenLater(peer, channel);
    } finally {
      channel.opening = false;
    }
    this.#pump(channel);
  }

  #adopt(peer: PublicKey, channel: Channel, stream: Stream): void {
    if (this.#channels.get(peer) !== channel) {
      stream.abort(new Error("peer disconnected"));
      return;
    }
    channel.stream = stream;
    channel.reopenMs = reopenMsMin;
    // Not at once: libp2p says "idle" while it still counts as sending, and what is given to it
    // then stays in its buffer for ever.
    const pumpLater = (): void => queueMicrotask(() => this.#pump(channel));
    stream.addEventListener("drain", pumpLater);
    stream.addEventListener("idle", pumpLater);
    const onEnd = (): void => {
      if (channel.stream !== stream) return;
      channel.stream = undefined;
      this.#reopenLater(peer, channel);
    };
    stream.addEventListener("close", onEnd);
    if (stream.status !== "open") onEnd();
  }

  #reopenLater(peer: PublicKey, channel: Channel): void {
    if (this.#channels.get(peer) !== channel) return;
    clearTimeout(channel.timer);
    channel.timer = setTimeout(() => void this.#open(peer, channel), channel.reopenMs);
    channel.reopenMs = Math.min(2 * channel.reopenMs, reopenMsMax);
  }

  #onInbound(stream: Stream, connection: Connection): void {
    const from = peerKeyOf(connection.remotePeer);
    if (from === undefined) {
      stream.abort(new Error("peer key is not Ed25519"));
      return;
    }
    const reader = new FrameReader("consensus", limits.consensusFrameBytesMax);
    const onPiece = (event: StreamMessageEvent): void => {
      const pieces = event.data instanceof Uint8Array ? [event.data] : event.data;
      for (const piece of pieces) {
        if (!this.#onBytes(from, reader, piece)) {
          stream.removeEventListener("message", onPiece);
          stream.abort(new Error("frame out of bounds"));
          return;
        }
      }
    };
    stream.addEventListener("message", onPiece);
    stream.addEventListener("remoteCloseWrite", () => void stream.close().catch(() => undefined));
  }

  /** Hands on the frames that the piece completes; false when the peer broke the rules. */
  #onBytes(from: PublicKey, reader: FrameReader, piece: Uint8Array): boolean {
    let frames: Uint8Array[];
    try {
      frames = reader.read(piece);
    } catch (error) {
      if (!isLedgerError(error)) throw error;
      this.#options.onAbuse(from, error);
      return false;
    }
    for (const frame of frames) {
      this.#options.counters.consensusFramesReceived += 1;
      this.#options.counters.consensusBytesReceived += frame.length;
      this.#options.onMessage(from, frame);
    }
    return true;
  }
}

/** Returns the youngest open connection: an older one may be dead without anybody knowing. */
export function newestOpen(connections: readonly Connection[]): Connection | undefined {
  return connections
    .filter((connection) => connection.status === "open")
    .reduce<Connection | undefined>(
      (best, next) =>
        best === undefined || next.timeline.open >= best.timeline.open ? next : best,
      undefined,
    );
}
