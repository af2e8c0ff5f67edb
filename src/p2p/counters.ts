/** What the network counts for `/metrics`. Plain numbers: the composition root names them. */

/** Sums since start. */
export type Counters = {
  consensusFramesSent: number;
  consensusBytesSent: number;
  consensusFramesReceived: number;
  consensusBytesReceived: number;
  /** Frames dropped because the peer was away or its queue was full. */
  consensusFramesDropped: number;
  gossipFramesSent: number;
  gossipTransactionsSent: number;
  gossipFramesReceived: number;
  gossipTransactionsReceived: number;
  gossipFramesIgnored: number;
  gossipFramesRejected: number;
  /** Frames dropped unread because too many of one peer waited. */
  gossipFramesDropped: number;
  /** Connections closed because gossip over them had died. */
  gossipRepairs: number;
  syncRequestsServed: number;
  syncRequestsRefused: number;
  /** Times a peer was disconnected for a frame out of bounds. */
  peersSuspended: number;
  dialFailures: number;
};

/** Returns counters that all stand at zero. */
export function zeroCounters(): Counters {
  return {
    consensusFramesSent: 0,
    consensusBytesSent: 0,
    consensusFramesReceived: 0,
    consensusBytesReceived: 0,
    consensusFramesDropped: 0,
    gossipFramesSent: 0,
    gossipTransactionsSent: 0,
    gossipFramesReceived: 0,
    gossipTransactionsReceived: 0,
    gossipFramesIgnored: 0,
    gossipFramesRejected: 0,
    gossipFramesDropped: 0,
    gossipRepairs: 0,
    syncRequestsServed: 0,
    syncRequestsRefused: 0,
    peersSuspended: 0,
    dialFailures: 0,
  };
}
