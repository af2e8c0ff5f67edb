/** A node's shell between fakes: a ledger of fixed blocks, peers that answer as told, virtual time. */
import type { LedgerError } from "../../../src/base/errors.ts";
import { type Block, encodeBlock } from "../../../src/base/format/block.ts";
import { encodeCertificate } from "../../../src/base/format/message.ts";
import { silentLog } from "../../../src/base/log.ts";
import type { Ledger } from "../../../src/ledger/ledger.ts";
import { encodeDecided } from "../../../src/node/chain-follower.ts";
import type { SteadyClock } from "../../../src/node/clock.ts";
import { nativeVerifier } from "../../../src/node/native-crypto.ts";
import { NodeShell, type VoteLoss } from "../../../src/node/shell.ts";
import { blockAt, chainId, proposer, sorted } from "./driver-fixture.ts";
import { VirtualTimers } from "./virtual-timers.ts";

/** Of the node itself. */
export const ownPeer = "peer 0";
const parentHash = "22".repeat(32);

const decided = (height: number) => {
  const block = blockAt(height, parentHash);
  const certificate = { height, round: 0, blockHash: block.hash, signatures: [] };
  return encodeDecided(encodeBlock(block), encodeCertificate(certificate));
};

/** How a peer answers. */
export type Peer = {
  /** The height it tells; absent when it does not answer. */
  readonly height?: number;
  /** Time until it tells its height, milliseconds; the first time, then from then on. */
  readonly tellsAfterMs?: readonly [first: number, then: number];
  /** What it says its clock shows; default: that of the node. */
  readonly clockMs?: number;
  /** Default: all up to its height. */
  readonly blocks?: (from: number) => readonly Uint8Array[] | LedgerError;
};

/** Starts a node at height 5, one of so many members, that lost its record. */
export function startShell(options: {
  readonly members: number;
  readonly peers: Readonly<Record<string, Peer>>;
  readonly loss?: VoteLoss;
  readonly stepForward?: SteadyClock["stepForward"];
}) {
  const { members, peers, loss = { hiddenHeights: 2 } } = options;
  const timers = new VirtualTimers();
  const { stepForward } = options;
  const clock = { nowMs: () => timers.nowMs(), ...(stepForward && { stepForward }) };
  const validators = sorted.slice(0, members).map(({ publicKey }) => publicKey);
  const ledger = {
    chainId,
    tip: { height: 5, hash: parentHash },
    schedule: { proposers: validators },
    validators: () => validators,
    hasWork: () => false,
    onAppend: () => () => {},
    pendingTransactions: () => [Uint8Array.of(1)],
    async append({ header: { height } }: Block) {
      ledger.tip = { height, hash: parentHash };
    },
  };
  const shell = new NodeShell({
    ledger: ledger as unknown as Ledger,
    signer: proposer,
    votes: { record: undefined, loss, write: async () => {} },
    peerKey: ownPeer,
    members: () => validators.map((validator, index) => ({ validator, peer: `peer ${index}` })),
    onEquivocation() {},
    ...{ verifier: nativeVerifier, clock, timers, log: silentLog, blockIntervalMs: 500 },
  });
  const sentTo: string[] = [];
  const asked = new Set<string>();
  const { driver } = shell.connect({
    connectedPeers: () => Object.keys(peers),
    requestStatus: async (peer) => {
      const { height, clockMs, tellsAfterMs: [first, then] = [0, 0] } = peers[peer] as Peer;
      const delayMs = asked.has(peer) ? then : first;
      asked.add(peer);
      if (delayMs > 0) await new Promise<void>((resolve) => timers.after(delayMs, resolve));
      if (height === undefined) return new Promise<never>(() => {});
      return { height, clockMs: clockMs ?? timers.nowMs() };
    },
    requestBlocks: async (peer, from) => {
      const { height = 0, blocks } = peers[peer] as Peer;
      const rest = Array.from({ length: height - from + 1 }, (_, index) => decided(from + index));
      const answer = blocks?.(from) ?? rest;
      if (answer instanceof Error) throw answer;
      return answer;
    },
    broadcast() {},
    send: (peer) => void sentTo.push(peer),
    publishTransactions() {},
  });
  shell.start();
  return { shell, driver, ledger, timers, sentTo };
}
