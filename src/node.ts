/**
 * The node: fits all parts together and carries data between them. It owns no rule of its own.
 *
 * Order of start: keys, contracts, ledger (mended if damaged), network, consensus, HTTP. Order of
 * stop: the reverse, so that nothing is signed or appended after the ledger has closed.
 */
import { startApi } from "./api/server.ts";
import { isLedgerError } from "./base/errors.ts";
import { publicKeyOf } from "./base/format/did.ts";
import { type Genesis, genesisBlock, parseGenesis } from "./base/format/genesis.ts";
import type { PublicKey } from "./base/keys.ts";
import type { Log } from "./base/log.ts";
import { Ledger } from "./ledger/ledger.ts";
import { openRepaired } from "./ledger/repair.ts";
import { createExecute } from "./ledger/replay.ts";
import { SnapshotSource } from "./ledger/snapshot-source.ts";
import type { LedgerStore } from "./ledger/store.ts";
import { apiNodeOf } from "./node/api-adapter.ts";
import { BackgroundPruner } from "./node/background-pruner.ts";
import { type SteadyClock, steadyClock } from "./node/clock.ts";
import { checkpointOf, type NodeConfig, readText } from "./node/config.ts";
import { crashesMax, crashJournalOf, noteRunning, recentCrashes, surface } from "./node/crash.ts";
import { equivocationReporter } from "./node/equivocation-reporter.ts";
import { signingRecordPath } from "./node/key-file.ts";
import { type KeyLock, lockKey } from "./node/key-lock.ts";
import { LedgerSize } from "./node/ledger-size.ts";
import { nodeLog } from "./node/log.ts";
import { Membership } from "./node/membership.ts";
import { injectNative, nativeVerifier } from "./node/native-crypto.ts";
import type { SystemCall } from "./node/node-transactions.ts";
import { openContracts } from "./node/open-contracts.ts";
import { checkNodeKeys, type NodeKeys, openNodeKeys } from "./node/open-keys.ts";
import { startOwnCalls } from "./node/own-calls.ts";
import { PeerFollower } from "./node/peer-follower.ts";
import { RunOrder } from "./node/run-order.ts";
import { NodeShell, type ShellHandlers, type Votes } from "./node/shell.ts";
import { SigningRecordFile } from "./node/signing-record-file.ts";
import { SnapshotNeed } from "./node/snapshot-need.ts";
import {
  type KnownLedger,
  prepareLedger,
  replaceLedger,
  snapshotContextOf,
  tidyDownload,
} from "./node/snapshot-start.ts";
import { StorageGate } from "./node/storage-gate.ts";
import { storagePlaces } from "./node/storage-places.ts";
import { judgeRecord } from "./node/votes.ts";
import { Network } from "./p2p/network.ts";

/** A running node. */
export type RunningNode = {
  readonly apiUrl: string;
  /** Stops all parts in order; returns when files are closed. */
  stop(): Promise<void>;
};

/** Parts that exist before the ledger is open. */
type Foundation = {
  readonly config: NodeConfig;
  readonly genesis: Genesis;
  readonly genesisText: string;
  readonly keys: NodeKeys;
  readonly log: Log;
  readonly acceptLostVotes: boolean | undefined;
  /** The operator wants the ledger checked and rebuilt. */
  readonly isRepair: boolean | undefined;
  readonly need: SnapshotNeed;
  /** Aborted when the node is to stop. */
  readonly signal: AbortSignal;
  /** Stops all parts, begins with a snapshot above the ledger, and starts them again. */
  restartAbove(known: KnownLedger): void;
};

type OpenedRecord = Awaited<ReturnType<typeof SigningRecordFile.open>>;

/** Parts that others call before they exist. */
type Late = {
  network?: Network;
  /** Submits a call of the system contract, signed by this node. */
  submitCall?: (call: SystemCall) => void;
};

/** Parts that the shell is made of. */
type Opened = {
  readonly ledger: Ledger;
  readonly store: LedgerStore;
  readonly membership: Membership;
  readonly peers: PeerFollower;
  readonly storage: StorageGate;
  readonly votes: Votes | undefined;
  readonly clock: SteadyClock;
};

/** Things to close, last opened first. */
type Closers = (() => unknown)[];

/**
 * Starts a node and returns once it serves.
 *
 * @throws {LedgerError} with what is wrong and what to do; everything opened is closed again.
 */
export async function startNode(
  config: NodeConfig,
  options: {
    readonly passphrase: string;
    /** The operator's word, agreed with the others, that a lost record hides no vote. */
    readonly acceptLostVotes?: boolean | undefined;
    /** The operator wants the ledger checked byte by byte and rebuilt, whatever that drops. */
    readonly isRepair?: boolean | undefined;
    /** Ends a start that waits for peers. */
    readonly signal?: AbortSignal | undefined;
  },
): Promise<RunningNode> {
  const closers: Closers = [];
  const stopping = new AbortController();
  options.signal?.addEventListener("abort", () => stopping.abort());
  const order = new RunOrder();
  const stop = async () => {
    stopping.abort();
    await order.end();
    await closeAll(closers);
  };
  injectNative();
  try {
    const log = nodeLog(config.name, config.log.level);
    const genesisText = readText(config.genesis);
    const genesis = parseGenesis(genesisText);
    const keys = await openNodeKeys(config, options.passphrase);
    const { acceptLostVotes, isRepair } = options;
    const foundation: Foundation = {
      ...{ config, genesis, genesisText, keys, log, acceptLostVotes, isRepair },
      need: new SnapshotNeed({ config, context: snapshotContextOf({ config, genesis }), log }),
      signal: stopping.signal,
      restartAbove: (known) => order.restart(() => restart(foundation, closers, known)),
    };
    const apiUrl = await order.start(() => run(foundation, closers));
    log.info({ api: apiUrl }, "node started");
    return { apiUrl, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** A node that cannot be started again ends: its supervisor starts it anew. */
async function restart(
  foundation: Foundation,
  closers: Closers,
  known: KnownLedger,
): Promise<void> {
  const { log, signal, need } = foundation;
  try {
    await closeAll(closers);
    if (await replaceLedger(foundation, known)) need.noteReplaced();
    if (signal.aborted) return;
    await run({ ...foundation, isRepair: false }, closers);
    log.info({}, "node started again");
  } catch (error) {
    if (!isLedgerError(error, "NODE_STOPPED")) surface(error);
  }
}

/** Closes all, also when one of them fails; what failed first is thrown at the end. */
async function closeAll(closers: Closers): Promise<void> {
  const failures: unknown[] = [];
  for (let close = closers.pop(); close !== undefined; close = closers.pop())
    try {
      await close();
    } catch (error) {
      failures.push(error);
    }
  if (failures.length > 0) throw failures[0];
}

async function run(foundation: Foundation, closers: Closers): Promise<string> {
  const { config, keys, log } = foundation;
  const record = await openRecord(foundation, closers);
  const clock = steadyClock();
  const { ledger, store } = await openLedger(foundation, clock, closers);
  const membership = new Membership(ledger);
  checkNodeKeys(keys, config, [...genesisMembers(foundation.genesis), ...known(membership)]);
  const votes = record && judgeVotes(record, membership, foundation);
  const storage = new StorageGate({
    places: storagePlaces(config),
    mend: () => store.recover(),
    log,
  });
  const late: Late = {};
  const peers = new PeerFollower({ membership, config, clock });
  const opened = { ledger, store, membership, peers, storage, votes, clock };
  const shell = makeShell(foundation, opened, late);
  const network = await startNetwork(foundation, { ledger, peers, handlers: shell.handlers });
  late.network = network;
  closers.push(() => network.stop());
  peers.start(network);
  closers.push(() => peers.stop());
  const { driver, follower } = shell.connect(network);
  closers.push(() => shell.stop());
  shell.start();
  const ownCalls = startOwnCalls({
    ...{ keys, ledger, membership, clock, log },
    submit: (bytes) => shell.submit(bytes),
    following: () => follower.status,
  });
  closers.push(() => ownCalls.stop());
  late.submitCall = (call) => ownCalls.submit(call);
  const size = watchSize(foundation, { store, storage }, closers);
  const parts = { ...foundation, ...opened, network, driver, follower, shell, size };
  const api = await startApi({ node: apiNodeOf(parts), ...config.api, log });
  closers.push(() => api.stop());
  return api.url;
}

/** Prunes as configured, and measures what is on disk. */
function watchSize(
  { config, log }: Foundation,
  { store, storage }: { readonly store: LedgerStore; readonly storage: StorageGate },
  closers: Closers,
): LedgerSize {
  const size = new LedgerSize(config.ledgerDirectory);
  size.start();
  closers.push(() => size.stop());
  const pruner = new BackgroundPruner({
    ...{ store, storage, log },
    keepBlocks: config.pruning?.keepBlocks,
    keptHeight: checkpointOf(config)?.height,
    measureBytes: () => size.measure(),
  });
  // A node that is read-only after crashes writes nothing; pruning may be what it crashed in.
  if (tooManyCrashes(config) === undefined) pruner.start();
  closers.push(() => pruner.stop());
  return size;
}

function makeShell(foundation: Foundation, opened: Opened, late: Late): NodeShell {
  const { config, keys, log } = foundation;
  const { ledger, store, membership, storage, votes, clock } = opened;
  return new NodeShell({
    ledger,
    signer: keys.validator,
    votes,
    storage,
    readOnlyBecause: tooManyCrashes(config),
    peerKey: keys.peerKey,
    snapshots: new SnapshotSource(store),
    onPruned: (without) => {
      beginAnewIfNeeded(foundation, opened, late.network, without).catch(surface);
    },
    members: () => membership.members(),
    onEquivocation: equivocationReporter({
      ledger,
      log,
      submit: (call) => late.submitCall?.(call),
    }),
    verifier: nativeVerifier,
    clock,
    log,
    blockIntervalMs: config.blockIntervalMs,
  });
}

/** Begins with a snapshot when those who pruned the next block show that there is a later one. */
async function beginAnewIfNeeded(
  { need, restartAbove }: Foundation,
  { store, membership, peers }: Pick<Opened, "store" | "membership" | "peers">,
  network: Network | undefined,
  without: readonly PublicKey[],
): Promise<void> {
  if (network === undefined) return;
  const { header: tip, height } = store.tip;
  const own = { tip, memberCount: membership.members().length };
  if ((await need.look(without, own, network)) !== "wanted") return;
  // Meanwhile somebody may have sent the block.
  if (store.tip.height > height) return;
  restartAbove({ tip, allowed: peers.allowed(), peers: peers.peers() });
}

/** A node that crashes over and over is of more use when it only answers. */
function tooManyCrashes(config: NodeConfig): string | undefined {
  const crashes = recentCrashes(crashJournalOf(config));
  if (crashes < crashesMax) return undefined;
  return `it crashed ${crashes} times within ten minutes and is read-only now`;
}

function genesisMembers({ members }: Genesis) {
  return members.map(({ validatorKey, peerKey }) => ({
    validator: publicKeyOf(validatorKey),
    peer: publicKeyOf(peerKey),
  }));
}

function known(membership: Membership) {
  return [...membership.members(), ...membership.candidates()];
}

/** Locks the validator key and opens its signing record; nothing for a node that only follows. */
async function openRecord(
  { config, keys, log }: Foundation,
  closers: Closers,
): Promise<OpenedRecord | undefined> {
  if (keys.validator === undefined || config.validatorKeyFile === undefined) return undefined;
  const lock: KeyLock = await lockKey(keys.validator.publicKey, log);
  closers.push(() => lock.release());
  const path = config.signingRecordFile ?? signingRecordPath(config.validatorKeyFile);
  const found = await SigningRecordFile.open(path);
  closers.push(() => found.file.close());
  return found;
}

function judgeVotes(
  found: OpenedRecord,
  membership: Membership,
  { acceptLostVotes, log }: Foundation,
): Votes {
  const validators = membership.members().length;
  const judged = judgeRecord(found, { validators, acceptLostVotes: acceptLostVotes === true, log });
  return { ...judged, write: (bytes) => found.file.write(bytes) };
}

async function openLedger(
  foundation: Foundation,
  clock: SteadyClock,
  closers: Closers,
): Promise<{ ledger: Ledger; store: LedgerStore }> {
  const { config, genesis, log } = foundation;
  await prepareLedger(foundation);
  const caller = await openContracts(genesis);
  closers.push(() => caller.close());
  const block = genesisBlock(genesis);
  const verifier = nativeVerifier;
  const execute = createExecute({ chainId: block.chainId, caller, verifier });
  const directory = config.ledgerDirectory;
  const { hasCrashed, endOrderly } = noteRunning(config);
  const isAlone = genesis.members.length === 1 && config.p2p.peers.length === 0;
  const damage = { hasCrashed, isAlone, isThorough: foundation.isRepair };
  const open = () => openRepaired({ directory, genesis: block, log, execute, ...damage });
  const store = await open().catch(async (error: unknown) => {
    if (!isLedgerError(error, "LEDGER_BASE_CORRUPT")) throw error;
    log.error({ ...error.facts }, "the base of the ledger is damaged: fetching a snapshot anew");
    if (!(await replaceLedger(foundation))) throw error;
    return open();
  });
  closers.push(endOrderly);
  closers.push(() => store.close());
  await tidyDownload(foundation, store.tip.height);
  const checkpoint = checkpointOf(config);
  const parts = { store, genesis: block, verifier, caller, clock, log, checkpoint };
  const ledger = await Ledger.open(parts);
  return { ledger, store };
}

function startNetwork(
  { config, keys, log }: Foundation,
  parts: {
    readonly ledger: Ledger;
    readonly peers: PeerFollower;
    readonly handlers: ShellHandlers;
  },
): Promise<Network> {
  const { ledger, peers, handlers } = parts;
  return Network.start({
    chainId: ledger.chainId,
    peerSeed: keys.peerSeed,
    listen: config.p2p.listen,
    peers: peers.peers(),
    allowedPeerKeys: peers.allowed(),
    log,
    handlers,
  });
}
