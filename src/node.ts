/**
 * The node: fits all parts together and carries data between them. It owns no rule of its own.
 *
 * Order of start: keys, contracts, ledger (mended if damaged), network, consensus, HTTP. Order of
 * stop: the reverse, so that nothing is signed or appended after the ledger has closed.
 */
import { startApi } from "./api/server.ts";
import { isLedgerError, LedgerError } from "./base/errors.ts";
import type { Block } from "./base/format/block.ts";
import { publicKeyOf } from "./base/format/did.ts";
import { type Genesis, genesisBlock, parseGenesis } from "./base/format/genesis.ts";
import { decodeSigningRecord } from "./base/format/signing-record.ts";
import type { PublicKey } from "./base/keys.ts";
import { limits } from "./base/limits.ts";
import type { Log } from "./base/log.ts";
import { quorumSize } from "./base/proof/certificate.ts";
import { Ledger } from "./ledger/ledger.ts";
import { openRepaired } from "./ledger/repair.ts";
import { createExecute } from "./ledger/replay.ts";
import type { LedgerStore } from "./ledger/store.ts";
import { apiNodeOf } from "./node/api-adapter.ts";
import { ChainFollower, encodeDecided } from "./node/chain-follower.ts";
import { steadyClock } from "./node/clock.ts";
import { type NodeConfig, readText } from "./node/config.ts";
import { ConsensusDriver } from "./node/consensus-driver.ts";
import { crashesMax, crashJournalOf, recentCrashes, surface } from "./node/crash.ts";
import { signingRecordPath } from "./node/key-file.ts";
import { type KeyLock, lockKey } from "./node/key-lock.ts";
import { nodeLog } from "./node/log.ts";
import { injectNative, nativeVerifier } from "./node/native-crypto.ts";
import { openContracts } from "./node/open-contracts.ts";
import { type NodeKeys, openNodeKeys } from "./node/open-keys.ts";
import { Republisher } from "./node/republisher.ts";
import { SeldomLog } from "./node/seldom.ts";
import { SigningRecordFile } from "./node/signing-record-file.ts";
import { directFrame, TransactionIntake } from "./node/transaction-intake.ts";
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
};

/** Parts that others call before they exist. */
type Late = { driver?: ConsensusDriver; follower?: ChainFollower; network?: Network };

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
  },
): Promise<RunningNode> {
  const closers: Closers = [];
  const stop = () => closeAll(closers);
  injectNative();
  try {
    const log = nodeLog(config.name, config.log.level);
    const genesisText = readText(config.genesis);
    const genesis = parseGenesis(genesisText);
    const keys = await openNodeKeys(config, genesis, options.passphrase);
    const { acceptLostVotes } = options;
    const foundation = { config, genesis, genesisText, keys, log, acceptLostVotes };
    const apiUrl = await run(foundation, closers);
    log.info({ api: apiUrl }, "node started");
    return { apiUrl, stop };
  } catch (error) {
    await stop();
    throw error;
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
  const votes = await openVotes(foundation, closers);
  const clock = steadyClock();
  const { ledger, store } = await openLedger(foundation, clock, closers);
  const intake = new TransactionIntake(ledger);
  // The network's handlers need the driver and the driver needs the network: the handlers look
  // the driver up when they are called, which is after both exist.
  const late: Late = {};
  const network = await startNetwork(foundation, ledger, { intake, late });
  closers.push(() => network.stop());
  late.network = network;
  const isRecordLost = votes?.isLost === true && foundation.acceptLostVotes !== true;
  const follower = new ChainFollower({
    source: network,
    sink: ledger,
    clock,
    log,
    onAppended: () => late.driver?.noteAppended(),
    onFault: (reason) => late.driver?.halt(reason),
    onCaughtUp: (peers) => resumeWhenKnown({ ledger, late, peers, keys }),
  });
  late.follower = follower;
  const driver = new ConsensusDriver({
    ledger: consensusView(ledger),
    signer: keys.validator,
    record: votes?.record && decodeSigningRecord(votes.record),
    isRecordLost,
    writeRecord: async (bytes) => votes?.file.write(bytes),
    broadcast: (bytes) => network.broadcast(directFrame("consensus", bytes)),
    forwardTransactions: (validator) => forward(validator, { keys, intake, network }),
    decide: (block, certificate) => follower.append(block, certificate),
    catchUp: () => follower.poke(),
    verifier: nativeVerifier,
    clock,
    log,
    blockIntervalMs: config.blockIntervalMs,
    // Alone, there is nobody to hear.
    listenMs: keys.members.length > 1 ? limits.roundTimeoutMsBase : 0,
  });
  late.driver = driver;
  haltAfterCrashes(driver, config);
  intake.onAdmitted = () => driver.noteWork();
  closers.push(() => follower.stop());
  closers.push(() => driver.stop());
  const republisher = new Republisher({
    pendingTransactions: (bytesMax) => ledger.pendingTransactions(bytesMax),
    publish: (transactions) => network.publishTransactions(transactions),
  });
  closers.push(() => republisher.stop());
  republisher.start();
  follower.start();
  driver.start();
  const parts = { ...foundation, ledger, store, network, driver, follower, intake, clock };
  const api = await startApi({ node: apiNodeOf(parts), ...config.api, log });
  closers.push(() => api.stop());
  return api.url;
}

/** A node that crashes over and over is of more use when it answers without voting. */
function haltAfterCrashes(driver: ConsensusDriver, config: NodeConfig): void {
  const crashes = recentCrashes(crashJournalOf(config));
  if (crashes >= crashesMax) driver.halt(`it crashed ${crashes} times within ten minutes`);
}

/** Locks the validator key and opens its signing record; nothing for a node that only follows. */
async function openVotes(
  { config, keys, log, acceptLostVotes }: Foundation,
  closers: Closers,
): Promise<Awaited<ReturnType<typeof SigningRecordFile.open>> | undefined> {
  if (keys.validator === undefined || config.validatorKeyFile === undefined) return undefined;
  const lock: KeyLock = await lockKey(keys.validator.publicKey, log);
  closers.push(() => lock.release());
  const path = config.signingRecordFile ?? signingRecordPath(config.validatorKeyFile);
  const votes = await SigningRecordFile.open(path);
  closers.push(() => votes.file.close());
  const validators = keys.members.length;
  const canLearn = validators - 1 >= quorumSize(validators);
  if (votes.isTorn && canLearn) {
    // A torn write was never signed for, but damage to the newest slot looks the same.
    log.warn({ path }, "one slot of the signing record is damaged: taken for lost");
    return { ...votes, isLost: true };
  }
  if (!votes.isLost) return votes;
  log.warn({ path, acceptLostVotes }, "the signing record is lost");
  if (acceptLostVotes !== true && !canLearn)
    throw new LedgerError("NODE_VOTES_LOST", { validators });
  return votes;
}

/**
 * Ends the abstention after a lost record: a quorum of others answered and has nothing more, so
 * the tip here is the highest certified one. What was signed before can concern its successor;
 * one height more is for a vote that was on its way.
 */
function resumeWhenKnown(found: {
  readonly ledger: Ledger;
  readonly late: Late;
  readonly peers: readonly PublicKey[];
  readonly keys: NodeKeys;
}): void {
  const { ledger, late, peers, keys } = found;
  const { driver } = late;
  if (driver?.awaitsTip !== true || peers.length < quorumSize(keys.members.length)) return;
  driver.resumeSigningAbove(ledger.tip.height + 2);
}

function forward(
  validator: PublicKey,
  parts: {
    readonly keys: NodeKeys;
    readonly intake: TransactionIntake;
    readonly network: Network;
  },
): void {
  const { keys, intake, network } = parts;
  const peer = keys.members.find((member) => member.validator === validator)?.peer;
  if (peer !== undefined && peer !== keys.peerKey) handOver(peer, { intake, network });
}

/** Gives a peer what is pending here, directly: gossip may not have reached it. */
function handOver(
  peer: PublicKey,
  { intake, network }: { readonly intake: TransactionIntake; readonly network: Network },
): void {
  for (const frame of intake.pendingFrames()) network.send(peer, frame);
}

async function openLedger(
  { config, genesis, log }: Foundation,
  clock: ReturnType<typeof steadyClock>,
  closers: Closers,
): Promise<{ ledger: Ledger; store: LedgerStore }> {
  const caller = await openContracts(genesis);
  closers.push(() => caller.close());
  const block = genesisBlock(genesis);
  const verifier = nativeVerifier;
  const execute = createExecute({ chainId: block.chainId, caller, verifier });
  const directory = config.ledgerDirectory;
  const store = await openRepaired({ directory, genesis: block, log, execute });
  closers.push(() => store.close());
  const ledger = await Ledger.open({ store, genesis: block, verifier, caller, clock, log });
  return { ledger, store };
}

function startNetwork(
  { config, keys, log }: Foundation,
  ledger: Ledger,
  handlers: {
    readonly intake: TransactionIntake;
    readonly late: Late;
  },
): Promise<Network> {
  const { intake, late } = handlers;
  const seldom = new SeldomLog(log);
  return Network.start({
    chainId: ledger.chainId,
    peerSeed: keys.peerSeed,
    listen: config.p2p.listen,
    peers: config.p2p.peers.map(({ peerKey, address }) => ({
      peerKey: publicKeyOf(peerKey),
      address,
    })),
    allowedPeerKeys: keys.members.map(({ peer }) => peer),
    log,
    handlers: {
      onTransactions: (_from, transactions) => intake.judge(transactions),
      onConsensusMessage: (from, bytes) =>
        intake.receiveDirect(from, bytes, (message) =>
          receive(late.driver, { from, message, seldom }),
        ),
      onPeerChange: (peer, isConnected) => {
        late.follower?.poke();
        if (isConnected && late.network) handOver(peer, { intake, network: late.network });
      },
      status: () => ({ height: ledger.tip.height, hash: ledger.tip.hash }),
      readBlocks: (from, countMax, bytesMax) => readBlocks(ledger, from, { countMax, bytesMax }),
    },
  });
}

function receive(
  driver: ConsensusDriver | undefined,
  { from, message, seldom }: { from: PublicKey; message: Uint8Array; seldom: SeldomLog },
): void {
  try {
    driver?.receive(message);
  } catch (error) {
    if (isLedgerError(error))
      seldom.warn(from, { from, error: String(error) }, "consensus message dropped");
    else surface(error);
  }
}

async function readBlocks(
  ledger: Ledger,
  from: number,
  { countMax, bytesMax }: { countMax: number; bytesMax: number },
): Promise<Uint8Array[]> {
  const found: Uint8Array[] = [];
  let bytes = 0;
  const last = Math.min(ledger.tip.height, from + Math.min(countMax, limits.syncBlocksMax) - 1);
  for (let height = Math.max(1, from); height <= last; height += 1) {
    const stored = await ledger.readBlockBytes(height);
    if (stored === undefined) break;
    const decided = encodeDecided(stored.block, stored.certificate);
    bytes += decided.length;
    if (found.length > 0 && bytes > bytesMax) break;
    found.push(decided);
  }
  return found;
}

function consensusView(ledger: Ledger) {
  return {
    chainId: ledger.chainId,
    get tip() {
      return ledger.tip;
    },
    validators: () => ledger.validators(),
    proposers: () => ledger.schedule.proposers,
    hasWork: (nowMs: number) => ledger.hasWork(nowMs),
    buildBlock: (request: { proposer: PublicKey; nowMs: number }) => ledger.buildBlock(request),
    checkBlock: (block: Block, request: { fresh: boolean; nowMs: number }) =>
      ledger.checkBlock(block, request),
  };
}
