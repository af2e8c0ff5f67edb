/** A member that speaks gossip by hand: the parts of its messages as protobuf, and a stream for them. */
import type { Libp2p, Stream } from "@libp2p/interface";
import type { Multiaddr } from "@multiformats/multiaddr";
import { concatBytes, utf8 } from "../../../src/base/bytes.ts";
import { encodeGossipFrame } from "../../../src/p2p/transactions.ts";
import { chainId, type Node, startRaw, until } from "./helpers.ts";

const protocol = "/meshsub/1.2.0";
export const topic = `loopledger/${chainId}/transactions`;

// --- protobuf by hand: every field here is length-delimited (wire type 2) or a small varint ---
function varint(value: number | bigint): Uint8Array {
  const bytes: number[] = [];
  let rest = BigInt(value);
  while (rest > 127n) {
    bytes.push(Number(rest & 127n) | 128);
    rest >>= 7n;
  }
  return Uint8Array.from([...bytes, Number(rest)]);
}
export const field = (tag: number, bytes: Uint8Array) =>
  concatBytes(varint(tag * 8 + 2), varint(bytes.length), bytes);
export const subscription = (name: string) =>
  field(1, concatBytes(Uint8Array.of(8, 1), field(2, utf8(name))));
export const message = (data: Uint8Array, name = topic) =>
  field(2, concatBytes(field(2, data), field(4, utf8(name))));
export const control = (parts: Uint8Array) => field(3, parts);
export const graft = control(field(3, field(1, utf8(topic))));
let nextId = 1_000_000;
/** Message ids, each another one, as a repeated field. */
export const named = (tag: number, count: number) =>
  concatBytes(
    ...Array.from({ length: count }, () => {
      nextId += 1;
      return field(tag, concatBytes(utf8("id"), varint(nextId)));
    }),
  );
const ids = (count: number) => named(2, count);
export const repeated = (count: number, part: Uint8Array) =>
  concatBytes(...Array.from({ length: count }, () => part));
/** A PRUNE with the back-off as it stands on the wire. */
export const prune = (backoff: bigint) =>
  control(field(4, concatBytes(onTopic, Uint8Array.of(24), varint(backoff))));
export const onTopic = field(1, utf8(topic));
export const peers = (count: number) => repeated(count, field(2, field(1, utf8("peer"))));
export const ihave = (count: number) =>
  control(field(1, concatBytes(field(1, utf8(topic)), ids(count))));

/** A member that speaks gossip by hand. */
export class RawGossip {
  readonly raw: Libp2p;
  readonly stream: Stream;
  /** Bytes of gossip that the node sent. */
  bytesReceived = 0;

  constructor(raw: Libp2p, stream: Stream) {
    this.raw = raw;
    this.stream = stream;
  }

  static async connect(target: Multiaddr, index = 1): Promise<RawGossip> {
    const raw = await startRaw(index);
    let bytes = 0;
    await raw.handle(protocol, (stream) => {
      stream.addEventListener("message", (event) => {
        bytes += event.data.byteLength;
      });
    });
    await raw.dial(target);
    const self = new RawGossip(raw, await raw.dialProtocol(target, protocol));
    Object.defineProperty(self, "bytesReceived", { get: () => bytes });
    self.send(subscription(topic));
    await until(() => bytes > 0, "the node sent its subscription");
    self.send(graft);
    return self;
  }

  send(rpc: Uint8Array): void {
    this.stream.send(concatBytes(varint(rpc.length), rpc));
  }

  /** Publishes a transaction and waits until the node has heard it, and so all that went before. */
  async mark(node: Node, mark: number): Promise<void> {
    const marker = Buffer.from([200, mark]);
    this.send(message(encodeGossipFrame([marker])));
    const heard = () => node.recorder.transactions.some((each) => marker.equals(each));
    await until(heard, "the marker arrived");
  }
}
