/**
 * The shell of a node: ledger, consensus, catching up and the way of transactions, fitted together
 * over any network. `src/node.ts` puts it between a real disk, real keys and libp2p; the simulator
 * puts the very same between virtual ones.
 *
 * It owns no rule of its own but one: when a node whose signing record was lost may vote again.
 *
 * Order: make it, start the network with `handlers`, `connect`, then `start`.
 */
import { assert } from "../base/assert.ts";
import { isLedgerError, LedgerError } from "../base/errors.ts";
import type { Block } from "../base/format/block.ts";
import type { Equivocation } from "../base/format/equivocation.ts";
import { decodeSigningRecord } from "../base/format/signing-record.ts";
import type { Hash } from "../base/hash.ts";
import type { PublicKey, Signer, Verifier } from "../base/keys.ts";
import { limits } from "../base/limits.ts";
import type { Log } from "../base/log.ts";
import { quorumSize } from "../base/proof/certificate.ts";
import type { Ledger } from "../ledger/ledger.ts";
import type { Submission } from "../ledger/ledger-types.ts";
import type { SnapshotServing } from "../ledger/snapshot-source.ts";
import { type BlockSink, ChainFollower, encodeDecided } from "./chain-follower.ts";
import type { NodeClock } from "./clock.ts";
import { ConsensusDriver } from "./consensus-driver.ts";
import { surface } from "./crash.ts";
import { type ClockedSource, PeerClocks, type PeerStatus } from "./peer-clocks.ts";
import { type Account, PeerPayers } from "./peer-payers.ts";
import { Republisher } from "./republisher.ts";
import { SeldomLog } from "./seldom.ts";
import type { StorageGate } from "./storage-gate.ts";
import { realTimers, type Timers } from "./timers.ts";
import { directFrame, TransactionIntake, type Verdict } from "./transaction-intake.ts";
import { shareOf, VerificationBudget } from "./verification-budget.ts";

/** What the shell needs of the network. */
export interface ShellNetwork extends ClockedSource {
  /** Sends a direct frame to all peers. */
  broadcast(frame: Uint8Array): void;
  /** Sends a direct frame to one peer. */
  send(peer: PublicKey, frame: Uint8Array): void;
  /** Gossips signed transactions. */
  publishTransactions(transactions: readonly Uint8Array[]): void;
}

/** A peer that connects again sooner has to wait for what is sent to all. */
const handOverMsMin = 2_000;

/** What the network calls. */
export interface ShellHandlers {
  onTransactions(from: PublicKey, transactions: readonly Uint8Array[]): Promise<Verdict[]>;
  onConsensusMessage(from: PublicKey, frame: Uint8Array): void;
  onPeerChange(peer: PublicKey, isConnected: boolean): void;
  status(): PeerStatus & { readonly hash: Hash };
  readonly snapshots?: SnapshotServing | undefined;
  readBlocks(from: number, countMax: number, bytesMax: number): Promise<Uint8Array[]>;
}

/** The signing record as it was found at start. */
export type Votes = {
  /** Bytes of the last record; `undefined` when nothing was signed, or when that is not known. */
  readonly record: Uint8Array | undefined;
  /** What was signed is not known: nothing is signed before enough others told their tip. */
  readonly loss: VoteLoss | undefined;
  /** Returns once the record is on disk. */
  write(bytes: Uint8Array): Promise<void>;
};

/** What a lost record may hide. */
export type VoteLoss = {
  /** Votes this many heights above the highest certified tip. */
  readonly hiddenHeights: number;
};

/** A member, by its two keys. */
export type ShellMember = { readonly validator: PublicKey; readonly peer: PublicKey };

/** What the shell is made of. */
export type ShellParts = {
  readonly ledger: Ledger;
  /** Absent when the node follows without voting. */
  readonly signer: Signer | undefined;
  readonly votes: Votes | undefined;
  /** Blocks and signing record go through it to the disk; without it a failed write is a fault. */
  readonly storage?: StorageGate | undefined;
  /** Set on a node that only answers: it neither votes nor appends, and says why. */
  readonly readOnlyBecause?: string | undefined;
  readonly peerKey: PublicKey;
  /** What peers may begin with; absent: this node serves none. */
  readonly snapshots?: SnapshotServing | undefined;
  /** Told with the peers that have pruned the next block, when nobody else has it. */
  readonly onPruned?: ((peers: readonly PublicKey[]) => void) | undefined;
  members(): readonly ShellMember[];
  onEquivocation(pair: Equivocation): void;
  readonly verifier: Verifier;
  readonly clock: NodeClock;
  readonly timers?: Timers | undefined;
  readonly log: Log;
  readonly blockIntervalMs: number;
};

/** What exists once the network does. */
type Connected = {
  readonly network: ShellNetwork;
  readonly driver: ConsensusDriver;
  readonly follower: ChainFollower;
  readonly republisher: Republisher;
};

/** The parts of a node between its ledger and its network. */
export class NodeShell {
  readonly intake: TransactionIntake;
  /** For people; nothing is decided by it. */
  readonly peerClocks: PeerClocks;
  readonly #parts: ShellParts;
  readonly #seldom: SeldomLog;
  readonly #budget: VerificationBudget;
  readonly #payers: PeerPayers;
  /** When each member or candidate last got what is pending because it connected. */
  readonly #handedOverMs = new Map<PublicKey, number>();
  /** Who answered since the start and had nothing more; kept only while the tip is to be learnt. */
  readonly #exhausted = new Set<PublicKey>();
  /** The handlers need the driver and the driver needs the network: so it comes later. */
  #connected: Connected | undefined;

  constructor(parts: ShellParts) {
    const { timers = realTimers } = parts;
    this.#parts = parts;
    this.#seldom = new SeldomLog(parts.log, () => timers.nowMs());
    this.#budget = new VerificationBudget(() => timers.nowMs());
    this.peerClocks = new PeerClocks({ clock: parts.clock, timers });
    const accountOf = (peer: PublicKey) => this.#accountOf(peer);
    this.#payers = new PeerPayers({ budget: this.#budget, timers, accountOf });
    this.intake = new TransactionIntake(parts.ledger, (peer) => this.#payers.of(peer));
  }

  /** What to start the network with. */
  get handlers(): ShellHandlers {
    const { ledger, clock } = this.#parts;
    return {
      onTransactions: (from, transactions) => this.intake.judge(from, transactions),
      onConsensusMessage: (from, frame) =>
        this.intake.receiveDirect(from, frame, (message) => this.#receive(from, message)),
      onPeerChange: (peer, isConnected) => {
        this.#connected?.follower.poke();
        if (isConnected) this.#onPeer(peer);
      },
      status: () => {
        const { height, hash } = ledger.tip;
        return { height, hash, clockMs: clock.nowMs() };
      },
      snapshots: this.#parts.snapshots,
      readBlocks: (from, countMax, bytesMax) => readBlocks(ledger, from, { countMax, bytesMax }),
    };
  }

  /** Fits the network in. Nothing runs yet. */
  connect(network: ShellNetwork): Pick<Connected, "driver" | "follower"> {
    const { ledger, timers } = this.#parts;
    const follower = this.#makeFollower(network);
    const driver = this.#makeDriver(network, follower);
    const republisher = new Republisher({
      pendingTransactions: (bytesMax) => ledger.pendingTransactions(bytesMax),
      publish: (transactions) => network.publishTransactions(transactions),
      timers,
    });
    this.#connected = { network, driver, follower, republisher };
    this.intake.onAdmitted = () => driver.noteWork();
    ledger.onAppend(({ certificate, validators }) =>
      driver.noteCertificate(certificate, validators),
    );
    return { driver, follower };
  }

  start(): void {
    const { network, republisher, follower, driver } = this.#whole();
    const { readOnlyBecause } = this.#parts;
    if (readOnlyBecause !== undefined) {
      driver.halt(readOnlyBecause);
      void follower.stop();
      return;
    }
    republisher.start();
    follower.start();
    driver.start();
    if (network.connectedPeers().length > 0) driver.listen();
  }

  /** Ends; what is under way has ended, too, when this returns. */
  async stop(): Promise<void> {
    const { republisher, follower, driver } = this.#whole();
    republisher.stop();
    this.#payers.stop();
    // What waits for the disk gives up, or nothing would ever end here.
    this.#parts.storage?.stop();
    try {
      await driver.stop();
    } finally {
      await follower.stop();
    }
  }

  /**
   * Admits what a client brought; it goes to the peers and wakes consensus.
   *
   * @throws {LedgerError} Why it is refused; NODE_NOT_READY on a node that only answers.
   */
  async submit(bytes: Uint8Array): Promise<Submission> {
    const { network, driver } = this.#whole();
    const { readOnlyBecause: reason } = this.#parts;
    if (reason !== undefined) throw new LedgerError("NODE_NOT_READY", { reason });
    const submission = await this.#parts.ledger.submit(bytes);
    if (submission.status === "pending") {
      network.publishTransactions([bytes]);
      driver.noteWork();
    }
    return submission;
  }

  #whole(): Connected {
    assert(this.#connected !== undefined, "the shell has its network");
    return this.#connected;
  }

  #makeFollower(network: ShellNetwork): ChainFollower {
    const { clock, log, timers } = this.#parts;
    return new ChainFollower({
      source: this.peerClocks.watching(network),
      sink: this.#sink(),
      clock,
      log,
      timers,
      onAppended: () => this.#connected?.driver.noteAppended(),
      onFault: (reason) => this.#connected?.driver.halt(reason),
      onCaughtUp: (peers) => this.#resumeWhenKnown(peers),
      onPruned: (peers) => this.#parts.onPruned?.(peers),
      members: () => this.#parts.members().map(({ peer }) => peer),
    });
  }

  /** The ledger behind the gate of the disk: a block that cannot be written waits. */
  #sink(): BlockSink {
    const { ledger, storage } = this.#parts;
    if (storage === undefined) return ledger;
    return {
      get tip() {
        return ledger.tip;
      },
      append: (block, certificate) => storage.pass(() => ledger.append(block, certificate)),
    };
  }

  async #writeRecord(bytes: Uint8Array): Promise<void> {
    const { votes, storage } = this.#parts;
    const write = async () => votes?.write(bytes);
    await (storage === undefined ? write() : storage.pass(write));
  }

  #makeDriver(network: ShellNetwork, follower: ChainFollower): ConsensusDriver {
    const { ledger, votes, signer, clock, log, timers, verifier, blockIntervalMs } = this.#parts;
    return new ConsensusDriver({
      ledger: consensusView(ledger),
      signer,
      record: votes?.record && decodeSigningRecord(votes.record),
      isRecordLost: votes?.loss !== undefined,
      writeRecord: (bytes) => this.#writeRecord(bytes),
      broadcast: (bytes) => network.broadcast(directFrame("consensus", bytes)),
      forwardTransactions: (validator) => this.#forward(validator),
      decide: (block, certificate) => follower.append(block, certificate),
      catchUp: () => follower.poke(),
      onEquivocation: (pair) => this.#parts.onEquivocation(pair),
      verifier,
      clock,
      log,
      timers,
      blockIntervalMs,
      // Alone, there is nobody to hear.
      listenMs: this.#parts.members().length > 1 ? limits.roundTimeoutMsBase : 0,
    });
  }

  /**
   * Ends the abstention after a lost record: a quorum of others answered and has nothing more, so
   * the tip here is the highest certified one. What was signed before can concern its successor;
   * one height more is for a vote that was on its way. Where a quorum takes everybody, all others
   * are enough: without them nothing was certified. Answers need not be of one moment: all came
   * after the start, so after what may be hidden, and this node has all that they told.
   */
  #resumeWhenKnown(peers: readonly PublicKey[]): void {
    const { ledger, members, peerKey, votes } = this.#parts;
    const driver = this.#connected?.driver;
    if (driver?.awaitsTip !== true || votes?.loss === undefined) return;
    // On slow lines they never answer all at once; what one had to tell is told once.
    for (const peer of peers) this.#exhausted.add(peer);
    // Candidates answer, too, but only members can have certified a higher tip.
    const others = members().filter(({ peer }) => peer !== peerKey);
    const answered = others.filter(({ peer }) => this.#exhausted.has(peer));
    const enough = Math.min(quorumSize(members().length), others.length);
    if (answered.length < enough) return;
    driver.resumeSigningAbove(ledger.tip.height + votes.loss.hiddenHeights);
  }

  /** Messages of peers that had used up their share of this node's time. */
  get messagesOverBudget(): number {
    return this.#budget.refused;
  }

  /** Who is no validator has little to say: all of them share what one has. */
  #accountOf(from: PublicKey): Account {
    const members = this.#parts.members();
    const payer = members.some(({ peer }) => peer === from) ? from : "others";
    return { payer, share: shareOf(members.length) };
  }

  #receive(from: PublicKey, message: Uint8Array): void {
    const { payer, share } = this.#accountOf(from);
    if (this.#budget.spend(payer, share, () => this.#take(from, message))) return;
    const kind = `over budget: ${payer}`;
    this.#seldom.warn(kind, { from }, "consensus messages dropped: they take too much time");
  }

  #take(from: PublicKey, message: Uint8Array): void {
    try {
      this.#connected?.driver.receive(message);
    } catch (error) {
      if (isLedgerError(error))
        this.#seldom.warn(from, { from, error: String(error) }, "consensus message dropped");
      else surface(error);
    }
  }

  #forward(validator: PublicKey): void {
    const { members, peerKey } = this.#parts;
    const peer = members().find((member) => member.validator === validator)?.peer;
    if (peer !== undefined && peer !== peerKey) this.#handOver(peer);
  }

  #onPeer(peer: PublicKey): void {
    this.#connected?.driver.listen();
    const nowMs = (this.#parts.timers ?? realTimers).nowMs();
    const lastMs = this.#handedOverMs.get(peer) ?? Number.NEGATIVE_INFINITY;
    // It takes tens of milliseconds when much is pending, and whoever connects chooses how often.
    if (nowMs - lastMs < handOverMsMin) return;
    this.#handedOverMs.set(peer, nowMs);
    this.#handOver(peer);
  }

  /** Gives a peer what is pending here, directly: gossip may not have reached it. */
  #handOver(peer: PublicKey): void {
    for (const frame of this.intake.pendingFrames()) this.#connected?.network.send(peer, frame);
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
