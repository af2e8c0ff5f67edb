/**
 * Byzantine nodes. A liar runs the real shell, so it is always where the others are; a mask between
 * it and the network replaces what it says, and says more. It signs with its own key only (and, as
 * all honest nodes may do, for another chain), so whatever it does, the others must bear it.
 *
 * | trick | what it does |
 * |---|---|
 * | equivocate | two blocks in one round; votes for both, to different peers; early commits |
 * | silence | says nothing to some peers, others each few seconds |
 * | staleClaims | hides or invents prepared certificates; proposals with old justifications |
 * | wrongBlocks | proposals that break one rule of blocks |
  onLie(trick: Exclude<Trick, "twoProposals"> | "burst"): void;
 * | syncLies | wrong heights; blocks with holes, altered, or with made-up certificates; snapshot-lies.ts |
 */
import { type Block, blockOf, encodeBlock } from "../../../src/base/format/block.ts";
import {
  type Certificate,
  type Claim,
  type ConsensusMessage,
  decodeMessage,
  encodeCertificate,
  encodeMessage,
  type ProposalMessage,
  type RoundChangeMessage,
  type VoteMessage,
} from "../../../src/base/format/message.ts";
import { zeroHash } from "../../../src/base/hash.ts";
import { quorumSize } from "../../../src/base/proof/certificate.ts";
import { merkleRoot } from "../../../src/base/proof/merkle.ts";
import type { SnapshotServing } from "../../../src/ledger/snapshot-source.ts";
import { decodeDecided, encodeDecided } from "../../../src/node/chain-follower.ts";
import type { ShellHandlers, ShellNetwork } from "../../../src/node/shell.ts";
import { directFrame } from "../../../src/node/transaction-intake.ts";
import { claimOnly, signedBy } from "../fake-keys.ts";
import type { Random } from "../random.ts";
import type { Bursts } from "./burst-plan.ts";
import { validatorKey } from "./chain.ts";
import type { Mask } from "./node.ts";
import { OtherChain, transactionsFrame } from "./other-chain.ts";
import { lyingSnapshots } from "./snapshot-lies.ts";

/** One way of lying. */
export type Trick =
  | "equivocate"
  | "twoProposals"
  | "silence"
  | "staleClaims"
  | "wrongBlocks"
  | "flood"
  | "otherChain"
  | "syncLies";

/** What a liar works with. */
export type LiarOptions = {
  readonly index: number;
  readonly count: number;
  readonly chainId: string;
  readonly otherChainId: string;
  readonly tricks: readonly Trick[];
  readonly bursts?: Bursts | undefined;
  readonly random: Random;
  /** For lies about snapshots: draws here leave the others as they are. */
  readonly snapshotRandom: Random;
  /** The same for bursts, and for what is brought from the other chain. */
  readonly burstRandom: Random;
  readonly otherRandom: Random;
  /** Sends a direct frame to one node, past the real shell. */
  send(to: number, frame: Uint8Array): void;
  publish(transactions: readonly Uint8Array[]): void;
  /** A lie was told. */
  onLie(trick: Exclude<Trick, "twoProposals"> | "burst"): void;
};

/** Messages of others that are kept for later use. */
const heardMax = 400;
/** Bursts of one liar: more in runs of hours would only take long. */
const burstsMax = 6;

/** The mask of one liar. */
export class Liar implements Mask {
  readonly #options: LiarOptions;
  readonly #tricks: ReadonlySet<Trick>;
  readonly #heard: ConsensusMessage[] = [];
  /** Blocks by height that it or others offered. */
  readonly #blocks = new Map<number, Map<string, Block>>();
  #deaf: ReadonlySet<number> = new Set();
  readonly #otherChain: OtherChain;
  #ticks = 0;
  #bursts = 0;
  #tipHeight: () => number = () => 0;
  /** The wrong block of the present proposal. */
  #wrong: { readonly instead: string; readonly block: Block } | undefined;

  constructor(options: LiarOptions) {
    this.#options = options;
    this.#tricks = new Set(options.tricks);
    const { otherChainId: chainId, count, otherRandom: random } = options;
    this.#otherChain = new OtherChain({ chainId, count, random });
  }

  network(network: ShellNetwork): ShellNetwork {
    return {
      ...network,
      broadcast: (frame) => this.#broadcast(frame),
      send: (peer, frame) => {
        if (this.#deaf.size === 0) network.send(peer, frame);
        else this.#options.onLie("silence");
      },
    };
  }

  handlers(handlers: ShellHandlers): ShellHandlers {
    this.#tipHeight = () => handlers.status().height;
    return {
      ...handlers,
      onConsensusMessage: (from, frame) => {
        this.#hear(frame);
        handlers.onConsensusMessage(from, frame);
      },
      status: () => this.#status(handlers.status()),
      snapshots: this.#snapshots(handlers.snapshots),
      readBlocks: async (from, countMax, bytesMax) =>
        this.#lieOfBlocks(await handlers.readBlocks(from, countMax, bytesMax)),
    };
  }

  /** Does something by itself; to be called every second or so. */
  tick(): void {
    const { random } = this.#options;
    if (this.#tricks.has("silence"))
      this.#deaf = new Set(this.#others().filter(() => random.chance(0.5)));
    if (this.#tricks.has("flood")) this.#flood();
    this.#ticks += 1;
    const { bursts } = this.#options;
    if (bursts !== undefined && this.#ticks % bursts.everyTicks === 0) this.#burst(bursts);
    if (this.#tricks.has("otherChain")) this.#relayOtherChain();
    if (this.#tricks.has("equivocate") && random.chance(0.5)) this.#voteForBoth();
  }

  #others(): number[] {
    const { count, index } = this.#options;
    return Array.from({ length: count }, (_, other) => other).filter((other) => other !== index);
  }

  #broadcast(frame: Uint8Array): void {
    const message = messageIn(frame);
    if (message !== undefined) this.#note(message);
    if (message?.kind === "proposal" && this.#tricks.has("twoProposals")) {
      this.#proposeTwo(frame, message);
      return;
    }
    for (const to of this.#others()) {
      if (this.#deaf.has(to)) this.#options.onLie("silence");
      if (this.#deaf.has(to)) continue;
      for (const said of this.#versions(frame, message)) this.#options.send(to, said);
    }
  }

  /** What one peer gets instead of a message; each may get something else. */
  #versions(frame: Uint8Array, message: ConsensusMessage | undefined): Uint8Array[] {
    const { random } = this.#options;
    if (message === undefined || random.chance(0.2)) return [frame];
    if (message.kind === "proposal") return this.#versionsOfProposal(frame, message);
    if (message.kind === "roundChange")
      return this.#tricks.has("staleClaims")
        ? this.#versionsOfRoundChange(frame, message)
        : [frame];
    if (!this.#tricks.has("equivocate")) return [frame];
    const { kind, height, round } = message;
    const hashes = [...(this.#blocks.get(height)?.keys() ?? [])];
    const blockHash = hashes[random.below(hashes.length)] ?? message.blockHash;
    const other = this.#signed({ kind, height, round, blockHash });
    const early = this.#signed({ kind: "commit", height, round, blockHash });
    if (blockHash !== message.blockHash) this.#options.onLie("equivocate");
    return random.chance(0.3) ? [other, early] : [other];
  }

  #versionsOfProposal(frame: Uint8Array, proposal: ProposalMessage): Uint8Array[] {
    const { random } = this.#options;
    if (this.#tricks.has("staleClaims") && proposal.round > 0 && random.chance(0.5))
      return [this.#withOldJustification(proposal)];
    if (this.#tricks.has("wrongBlocks") && random.chance(0.8))
      return [this.#proposalOf(proposal, this.#wrongFor(proposal.block))];
    if (!this.#tricks.has("equivocate")) return [frame];
    const { header, transactions } = proposal.block;
    const fewer = random.chance(0.5) ? transactions : transactions.slice(1);
    const timestampMs = header.timestampMs + 1 + random.below(3);
    const transactionsRoot = merkleRoot(fewer);
    const twin = blockOf({ ...header, timestampMs, transactionsRoot }, fewer);
    this.#noteBlock(twin);
    if (!random.chance(0.5)) return [frame];
    this.#options.onLie("equivocate");
    return [this.#proposalOf(proposal, twin)];
  }

  /** As a twin does: an instance of the same key somewhere else made another block. */
  #proposeTwo(frame: Uint8Array, proposal: ProposalMessage): void {
    const { header, transactions } = proposal.block;
    const twin = blockOf({ ...header, timestampMs: header.timestampMs + 1 }, transactions);
    const other = this.#proposalOf(proposal, twin);
    this.#options.onLie("equivocate");
    for (const to of this.#others())
      for (const said of to % 2 === 0 ? [frame, other] : [other, frame])
        this.#options.send(to, said);
  }

  #versionsOfRoundChange(frame: Uint8Array, change: RoundChangeMessage): Uint8Array[] {
    const { random, count } = this.#options;
    const { kind, height, round } = change;
    const none = { preparedBlock: undefined, prepares: [] };
    const blocks = [...(this.#blocks.get(height)?.values() ?? [])];
    const block = blocks[random.below(blocks.length)];
    if (block === undefined || random.chance(0.5)) {
      const claim = { kind, height, round, prepared: undefined } as const;
      if (change.prepared !== undefined) this.#options.onLie("staleClaims");
      return [direct({ ...this.#sign(claim), ...none })];
    }
    if (random.chance(0.2)) return [frame];
    this.#options.onLie("staleClaims");
    // A certificate of one signer many times, or of votes that are of another round.
    const prepared = { round: random.below(round), blockHash: block.hash };
    const own = this.#sign({
      kind: "prepare",
      height,
      round: prepared.round,
      blockHash: block.hash,
    });
    const heard = this.#votes("prepare", height).filter(
      ({ blockHash }) => blockHash === block.hash,
    );
    const prepares = random.chance(0.5)
      ? Array.from({ length: quorumSize(count) }, () => own)
      : [...heard, own].slice(0, count);
    return [
      direct({ ...this.#sign({ kind, height, round, prepared }), preparedBlock: block, prepares }),
    ];
  }

  /** Leaves out who prepared something, fills up with round changes of other rounds. */
  #withOldJustification(proposal: ProposalMessage): Uint8Array {
    const { random, index, onLie } = this.#options;
    onLie("staleClaims");
    const { height, round, block } = proposal;
    const old = this.#heard.flatMap((message) =>
      message.kind === "roundChange" && message.height === height ? [claimOnly(message)] : [],
    );
    const unprepared = [...proposal.roundChanges, ...old].filter(({ prepared }) => !prepared);
    const roundChanges = random.chance(0.5) ? unprepared : [...proposal.roundChanges].slice(1);
    const proposer = validatorKey(index);
    const { header, transactions } = block;
    const fresh = blockOf(
      { ...header, proposer, timestampMs: header.timestampMs + 1 },
      transactions,
    );
    const claim = { kind: "proposal", height, round, blockHash: fresh.hash } as const;
    return direct({ ...this.#sign(claim), block: fresh, roundChanges, prepares: [] });
  }

  #proposalOf(proposal: ProposalMessage, block: Block): Uint8Array {
    const { height, round, roundChanges, prepares } = proposal;
    const claim = { kind: "proposal", height, round, blockHash: block.hash } as const;
    return direct({ ...this.#sign(claim), block, roundChanges, prepares });
  }

  /** Mostly the same wrong block for all: only that could ever get a quorum. */
  #wrongFor(block: Block): Block {
    this.#options.onLie("wrongBlocks");
    const known = this.#wrong?.instead === block.hash ? this.#wrong.block : undefined;
    if (known !== undefined && this.#options.random.chance(0.9)) return known;
    const wrong = this.#wrongBlock(block);
    this.#wrong = { instead: block.hash, block: wrong };
    return wrong;
  }

  #wrongBlock({ header, transactions }: Block): Block {
    const { random } = this.#options;
    const of = (list: readonly Uint8Array[], fields: Partial<typeof header> = {}) =>
      blockOf({ ...header, transactionsRoot: merkleRoot(list), ...fields }, list);
    const [first, ...rest] = transactions;
    switch (random.below(10)) {
      case 0:
        return of(transactions, { timestampMs: header.timestampMs + 60_000 });
      case 1:
        return of(transactions, { timestampMs: header.timestampMs - 60_000 });
      case 2:
        return of(transactions, { stateRoot: zeroHash });
      case 3:
        return of(transactions, { proposer: validatorKey(random.below(this.#options.count)) });
      case 4:
        return of([...transactions, ...transactions]);
      case 5:
        // A known body with a signature that does not hold.
        return first === undefined ? of([]) : of([forged(first), ...rest]);
      case 6:
        return of([]);
      case 7:
        // The header of one block with the transactions of another.
        return blockOf(header, rest);
      case 8:
        return of(transactions, { chainId: this.#options.otherChainId });
      default:
        return of(transactions, { gasUsed: header.gasUsed + 1 });
    }
  }

  #voteForBoth(): void {
    const { random } = this.#options;
    const last = this.#heard.at(-1);
    if (last === undefined) return;
    for (const to of this.#others()) {
      const hashes = [...(this.#blocks.get(last.height)?.keys() ?? [])];
      const blockHash = hashes[random.below(hashes.length)];
      if (blockHash === undefined) continue;
      const at = { height: last.height, round: last.round, blockHash };
      for (const kind of ["prepare", "commit"] as const)
        this.#options.send(to, this.#signed({ kind, ...at }));
    }
  }

  #flood(): void {
    const { random, send, publish, onLie } = this.#options;
    onLie("flood");
    const last = this.#heard[random.below(Math.max(1, this.#heard.length))];
    const height = last?.height ?? 1;
    for (const to of this.#others())
      for (let frames = 0; frames < 4; frames += 1) send(to, this.#noise(height));
    const bytes = Uint8Array.from({ length: 1 + random.below(300) }, () => random.below(256));
    if (random.chance(0.3)) publish([bytes]);
  }

  /** Votes for the present height in rounds too far to be kept: each is checked. */
  #burst({ frames }: Bursts): void {
    const { burstRandom: random, send, onLie } = this.#options;
    if (this.#bursts === burstsMax) return;
    this.#bursts += 1;
    onLie("burst");
    const height = this.#tipHeight() + 1;
    const farRound = 40 + random.below(1_000_000);
    for (let sent = 0; sent < frames; sent += 1) {
      const kind = random.chance(0.5) ? "prepare" : "commit";
      const frame = this.#signed({ kind, height, round: farRound + sent, blockHash: zeroHash });
      for (const to of this.#others()) send(to, frame);
    }
  }

  #noise(height: number): Uint8Array {
    const { random } = this.#options;
    const blockHash = zeroHash;
    const far = height + random.below(3) * random.below(1_000_000_000);
    switch (random.below(4)) {
      case 0:
        return Uint8Array.from({ length: random.below(200) }, () => random.below(256));
      case 1: {
        const round = 1 + random.below(2 ** 31) * random.below(500);
        const claim = { kind: "roundChange", height: far, round, prepared: undefined } as const;
        return direct({ ...this.#sign(claim), preparedBlock: undefined, prepares: [] });
      }
      case 2:
        return this.#signed({ kind: "prepare", height: far, round: random.below(40), blockHash });
      default:
        return this.#signed({ kind: "commit", height: far, round: random.below(40), blockHash });
    }
  }

  /** All validators run another chain with the same keys; its messages are brought here. */
  #relayOtherChain(): void {
    const { random, otherRandom, count, send, publish } = this.#options;
    const last = this.#heard.at(-1);
    if (last === undefined) return;
    const { height, round } = last;
    const blocks = [...(this.#blocks.get(height)?.values() ?? [])];
    const block = blocks[random.below(blocks.length)];
    const to = this.#others()[random.below(count - 1)] as number;
    this.#options.onLie("otherChain");
    const votes = this.#otherChain.votes({ height, round, blockHash: block?.hash ?? zeroHash });
    for (const frame of votes) send(to, frame);
    if (block === undefined) return;
    send(to, this.#otherChain.proposal(block, round));
    const transactions = this.#otherChain.transactions(block);
    if (transactions.length === 0 || otherRandom.chance(0.5)) return;
    if (otherRandom.chance(0.5)) publish(transactions);
    else send(to, transactionsFrame(transactions));
  }

  #snapshots(real: SnapshotServing | undefined): SnapshotServing | undefined {
    const { snapshotRandom } = this.#options;
    if (!this.#tricks.has("syncLies") || real === undefined) return real;
    return lyingSnapshots(real, snapshotRandom);
  }

  #status(real: ReturnType<ShellHandlers["status"]>) {
    const { random } = this.#options;
    if (!this.#tricks.has("syncLies") || random.chance(0.4)) return real;
    const height = random.chance(0.5) ? real.height + 1 + random.below(1_000) : 0;
    this.#options.onLie("syncLies");
    const clockMs = height === 0 ? 0 : Number.MAX_SAFE_INTEGER;
    return { ...real, height, clockMs };
  }

  #lieOfBlocks(real: Uint8Array[]): Uint8Array[] {
    const { random, otherRandom, onLie } = this.#options;
    if (this.#tricks.has("otherChain") && real.length > 0 && otherRandom.chance(0.5)) {
      onLie("otherChain");
      return real.map((bytes) => this.#otherChain.decided(bytes));
    }
    if (!this.#tricks.has("syncLies") || random.chance(0.4)) return real;
    switch (random.below(4)) {
      case 0:
        return real.slice(1);
      case 1:
        return [];
      case 2:
        return real.map((bytes) => this.#otherBlock(bytes));
      default:
        return real.map((bytes) => this.#otherCertificate(bytes));
    }
  }

  #otherBlock(bytes: Uint8Array): Uint8Array {
    const { block, certificate } = decodeDecided(bytes);
    const wrong = this.#wrongBlock(block);
    const blockHash = this.#options.random.chance(0.5) ? wrong.hash : certificate.blockHash;
    return encodeDecided(encodeBlock(wrong), encodeCertificate({ ...certificate, blockHash }));
  }

  /** Commits of other rounds, of prepares, or of one signer, put together to a certificate. */
  #otherCertificate(bytes: Uint8Array): Uint8Array {
    const { random, count, index } = this.#options;
    const { block, certificate } = decodeDecided(bytes);
    const { height, round, blockHash } = certificate;
    const own = this.#sign({ kind: "commit", height, round, blockHash }).signature;
    const votes = [...this.#votes("commit", height), ...this.#votes("prepare", height)];
    const signatures: { validatorIndex: number; signature: Uint8Array }[] = [];
    for (let signer = 0; signer < count; signer += 1) {
      const vote = votes.find(({ validator }) => validator === validatorKey(signer));
      const signature = signer === index || vote === undefined ? own : vote.signature;
      if (random.chance(0.9)) signatures.push({ validatorIndex: signer, signature });
    }
    const wrong: Certificate = { ...certificate, round: random.below(3), signatures };
    return encodeDecided(encodeBlock(block), encodeCertificate(wrong));
  }

  #hear(frame: Uint8Array): void {
    const message = messageIn(frame);
    if (message !== undefined) this.#note(message);
  }

  #note(message: ConsensusMessage): void {
    this.#heard.push(message);
    if (this.#heard.length > heardMax) this.#heard.shift();
    if (message.kind === "proposal") this.#noteBlock(message.block);
  }

  #noteBlock(block: Block): void {
    const { height } = block.header;
    const known = this.#blocks.get(height) ?? new Map();
    if (known.size < 8) this.#blocks.set(height, known.set(block.hash, block));
    for (const lower of this.#blocks.keys()) if (lower < height - 3) this.#blocks.delete(lower);
  }

  #votes(kind: "prepare" | "commit", height: number): VoteMessage[] {
    return this.#heard.filter(
      (message): message is VoteMessage => message.kind === kind && message.height === height,
    );
  }

  #sign<C extends Claim>(claim: C) {
    return signedBy(validatorKey(this.#options.index), claim, this.#options.chainId);
  }

  #signed(claim: Extract<Claim, { kind: "prepare" | "commit" }>): Uint8Array {
    return direct(this.#sign(claim));
  }
}

function direct(message: ConsensusMessage): Uint8Array {
  return directFrame("consensus", encodeMessage(message));
}

/** Reads the consensus message of a direct frame, if it is one. */
export function messageIn(frame: Uint8Array): ConsensusMessage | undefined {
  if (frame[0] !== 0) return undefined;
  try {
    return decodeMessage(frame.subarray(1));
  } catch {
    return undefined;
  }
}

function forged(transaction: Uint8Array): Uint8Array {
  const bytes = transaction.slice();
  const last = bytes.length - 1;
  bytes[last] = (bytes[last] as number) ^ 1;
  return bytes;
}
