/**
 * Yamux, so that a connection that ends cannot end the process. The library sends the first frame
 * of a new stream from a microtask of its own; when the connection was closed in the same turn, the
 * error of that send reaches nobody and would end the node. So frames for a connection that is
 * closed are dropped here: its streams are closed, too, as soon as it says so.
 */
import type { MessageStream, StreamMuxer, StreamMuxerFactory } from "@libp2p/interface";
import { yamux } from "@libp2p/yamux";

type Sending = StreamMuxer & { send(data: unknown): boolean };

/** Returns what makes muxers, under the limits of the host. */
export function guardedYamux(options: Parameters<typeof yamux>[0]): () => StreamMuxerFactory {
  const makeFactory = yamux(options);
  return () => {
    const factory = makeFactory();
    return {
      protocol: factory.protocol,
      createStreamMuxer: (connection: MessageStream) =>
        guarded(factory.createStreamMuxer(connection) as unknown as Sending, connection),
    };
  };
}

function guarded(muxer: Sending, connection: MessageStream): StreamMuxer {
  const send = muxer.send.bind(muxer);
  // False: write no more until the connection says that it can take more, which it never will.
  muxer.send = (data) => connection.status === "open" && send(data);
  return muxer;
}
