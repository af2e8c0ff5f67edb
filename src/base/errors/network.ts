/** Errors of consensus messages and of the peer-to-peer network. See errors.ts. */
import type { ErrorRow } from "./row.ts";

/** Rows of the error table. */
export const networkErrors = {
  CONSENSUS_SIGNATURE_INVALID: {
    httpStatus: 400,
    facts: ["validator", "height"],
    meaning: "A consensus message carries a signature that does not hold on this chain.",
    next: "Nothing: the message was dropped. Look at the peer that sent it if it happens again.",
  },
  P2P_ADDRESS_INVALID: {
    httpStatus: 400,
    facts: ["address", "reason"],
    meaning: "A peer or listen address is not a TCP multiaddr such as /ip4/127.0.0.1/tcp/7401.",
    next: "Correct the address in the configuration; leave out /p2p/..., the peer key stands for it.",
  },
  P2P_LISTEN_FAILED: {
    httpStatus: 503,
    facts: ["addresses", "reason"],
    meaning: "The node cannot listen for peers on the configured addresses.",
    next: "Free the port or configure another one, then start again.",
  },
  P2P_FRAME_INVALID: {
    httpStatus: 400,
    facts: ["frame", "reason"],
    meaning: "A peer sent a frame that is malformed or over its limit.",
    next: "Nothing here; the peer was blamed. If it goes on, ask its operator which version runs.",
  },
  P2P_PEER_UNREACHABLE: {
    httpStatus: 503,
    facts: ["peer"],
    meaning: "No connection to this peer is open at the moment.",
    next: "Use another peer, or wait: connections to configured peers are renewed by themselves.",
  },
  P2P_SYNC_FAILED: {
    httpStatus: 502,
    facts: ["peer", "request", "reason"],
    meaning: "A peer did not answer a sync request, refused it, or answered out of bounds.",
    next: "Ask another peer.",
  },
  P2P_SYNC_PRUNED: {
    httpStatus: 502,
    facts: ["peer", "request", "height"],
    meaning: "A peer has this no more: its blocks begin above, or its snapshot is at, `height`.",
    next: "Another peer is asked. If all answer so, start from a snapshot: `sync: snapshot`.",
  },
} as const satisfies Record<string, ErrorRow>;
