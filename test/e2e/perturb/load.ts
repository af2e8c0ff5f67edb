/**
 * Senders that put load on a devnet while it is perturbed, and write down what they are told.
 *
 * Every lane is one sender with one meter: it sends one reading, learns its fate, and goes on after
 * a random while. Lanes differ in manner:
 *
 * | manner | what it does | fate |
 * |---|---|---|
 * | careful | sends the same bytes again and again, to any node | final |
 * | doubled | sends the same bytes to all nodes at once, again and again | final |
 * | brief | careful, with a life of a few seconds | final or expired |
 * | once | sends once to one node | final, or lost with that node's memory |
 * | rivals | sends two transactions with one nonce to two nodes | one final at most |
 *
 * It draws no conclusion: what must follow from what was told is the audit's to say.
 */
import { didOf } from "../../../src/base/format/did.ts";
import type { Transaction } from "../../../src/base/format/transaction.ts";
import type { Signer } from "../../../src/base/keys.ts";
import { LedgerClient } from "../../../src/client/client.ts";
import { pause, type TestDevnet, until } from "../../helpers/devnet.ts";
import { Random } from "../../sim/random.ts";
import { readingOf, registerMeter, TestSender } from "../sender.ts";
import type { History } from "./history.ts";
import { between } from "./plan.ts";
import { type Asked, askTold, noteProven, submitTold } from "./told.ts";

type Manner = "careful" | "doubled" | "brief" | "once" | "rivals";

/** One a lane. */
const lanes: readonly Manner[] = [
  ...(["careful", "careful", "careful", "careful"] as const),
  ...(["doubled", "brief", "once", "rivals"] as const),
];

/** Roles of the senders that a devnet must know, one a lane. */
export const laneAccounts = lanes.map(() => ["gateway"]);

const thinkMs = { min: 10, max: 120 };
/** Life of a transaction. Short ones still suffice where nothing is wrong. */
const lifeMs: Readonly<Record<Manner, { min: number; max: number }>> = {
  careful: { min: 600_000, max: 600_000 },
  doubled: { min: 600_000, max: 600_000 },
  brief: { min: 2_500, max: 6_000 },
  once: { min: 600_000, max: 600_000 },
  rivals: { min: 5_000, max: 8_000 },
};
/** How long one node may take to answer before another one is asked. */
const answerMsMax = 2_500;
const pollMs = 200;
/** A node may call a transaction pending for a moment after it expired. */
const expiryGraceMs = 1_000;

type Parts = {
  readonly devnet: TestDevnet;
  readonly history: History;
  readonly seed: number;
};

type Lane = {
  readonly meter: string;
  readonly manner: Manner;
  readonly sender: TestSender;
  readonly random: Random;
};

/** The lanes of one run. */
export class Load {
  readonly #parts: Parts;
  readonly #clients: readonly LedgerClient[];
  readonly #running: readonly Promise<void>[];
  #isEnding = false;
  #isAbandoned = false;
  #readingCount = 0;
  #finalCount = 0;
  #newestFinalMs = -1;

  private constructor(parts: Parts) {
    this.#parts = parts;
    const { devnet, seed } = parts;
    this.#clients = devnet.nodes.map(
      ({ url }) => new LedgerClient({ nodes: [url], timeoutMs: answerMsMax }),
    );
    this.#running = lanes.map((manner, lane) =>
      this.#run({
        meter: meterOf(lane),
        manner,
        sender: new TestSender(devnet, signerOf(devnet, lane)),
        random: new Random(seed ^ Math.imul(lane + 1, 0x85ebca6b)),
      }),
    );
  }

  /** Registers the meters and starts the lanes. All nodes must be up. */
  static async start(parts: Parts): Promise<Load> {
    for (const lane of lanes.keys()) await register(parts, lane);
    return new Load(parts);
  }

  /** Transactions that were told final. */
  get finalCount(): number {
    return this.#finalCount;
  }

  /** Waits until a transaction is told final that was signed after a time of the history. */
  async finalSince(sinceMs: number, timeoutMs: number): Promise<void> {
    const isDone = () => this.#newestFinalMs > sinceMs;
    await until("a transaction signed after the perturbation is final", isDone, timeoutMs);
  }

  /** Stops when the fate of all that is on its way is known. */
  async end(): Promise<void> {
    this.#isEnding = true;
    await Promise.all(this.#running);
  }

  /** Makes one more block, dated after all that was to expire. Only after the end. */
  endWithBlock(): Promise<void> {
    return register(this.#parts, lanes.length);
  }

  /** Stops at once, whatever the fate of what is on its way: the run has failed. */
  abandon(): void {
    this.#isEnding = true;
    this.#isAbandoned = true;
  }

  async #run(lane: Lane): Promise<void> {
    while (!this.#isEnding) {
      await (lane.manner === "once" ? this.#once(lane) : this.#again(lane));
      await pause(between(lane.random, thinkMs));
    }
  }

  /** Sends one reading to one node. Who takes it must see to it, as long as the process lives. */
  async #once(lane: Lane): Promise<void> {
    const { history, devnet } = this.#parts;
    const transaction = this.#sign(lane, { expiresAtMs: this.#expiryOf(lane) });
    const signedMs = history.nowMs;
    const node = lane.random.below(devnet.nodes.length);
    const endings = history.endingsOf(node);
    if (!(await this.#submit(transaction, node))) return;
    while (history.endingsOf(node) === endings && !this.#isAbandoned) {
      const asked = lane.random.below(devnet.nodes.length);
      const known = await this.#look(transaction, asked);
      if (known === "final") return this.#onFinal(signedMs);
      if (known !== "pending") await pause(pollMs);
    }
  }

  #expiryOf({ random, manner }: Lane): number {
    return Date.now() + between(random, lifeMs[manner]);
  }

  #onFinal(signedMs: number): void {
    this.#newestFinalMs = Math.max(this.#newestFinalMs, signedMs);
    this.#finalCount += 1;
  }

  /** Sends one reading, or two rivals, again and again until the fate is known. */
  async #again(lane: Lane): Promise<void> {
    const { manner, random } = lane;
    const nodes = this.#parts.devnet.nodes.map((_, node) => node);
    const expiresAtMs = this.#expiryOf(lane);
    const first = this.#sign(lane, { expiresAtMs });
    const pair = [first];
    if (manner === "rivals") pair.push(this.#sign(lane, { expiresAtMs, nonce: first.nonce }));
    const signedMs = this.#parts.history.nowMs;
    while (Date.now() < expiresAtMs + expiryGraceMs && !this.#isAbandoned) {
      const node = random.below(nodes.length);
      const targets = manner === "doubled" ? nodes : [node];
      await Promise.all(
        pair.flatMap((transaction, place) =>
          targets.map((target) => this.#submit(transaction, (target + place) % nodes.length)),
        ),
      );
      const known = await Promise.all(pair.map((transaction) => this.#look(transaction, node)));
      if (known.includes("final")) return this.#onFinal(signedMs);
      // What waits for its expiry need not be asked for without a pause.
      if (known.every((each) => each !== "pending")) await pause(pollMs);
    }
  }

  #sign(
    { sender, meter }: Lane,
    change: { readonly expiresAtMs: number; readonly nonce?: number },
  ): Transaction {
    const readings = [readingOf(meter, this.#readingCount)];
    this.#readingCount += 1;
    const transaction = sender.sign("metering", "report", { readings }, change);
    noteSigned(this.#parts.history, transaction);
    return transaction;
  }

  #submit(transaction: Transaction, node: number): Promise<boolean> {
    return submitTold(transaction, this.#asked(node));
  }

  #look(transaction: Transaction, node: number): Promise<string | undefined> {
    return askTold(transaction, { ...this.#asked(node), trust: this.#parts.devnet.trust });
  }

  #asked(node: number): Asked {
    const client = this.#clients[node] as LedgerClient;
    return { node, client, history: this.#parts.history };
  }
}

/** Registers the meter of a lane; one beyond the last lane's belongs to the devnet's gateway. */
async function register({ devnet, history }: Parts, lane: number): Promise<void> {
  const final = await registerMeter(devnet, meterOf(lane), devnet.extra[lane]);
  noteSigned(history, final.transaction);
  noteProven({ node: 0, history }, final);
}

function noteSigned(history: History, { id, sender, nonce, expiresAtMs }: Transaction): void {
  history.append({ kind: "signed", id, sender: didOf(sender), nonce, expiresAtMs });
}

function meterOf(lane: number): string {
  return `m-lane-${lane}`;
}

function signerOf({ extra }: TestDevnet, lane: number): Signer {
  const signer = extra[lane];
  if (signer === undefined) throw new Error(`the devnet has no account for lane ${lane}`);
  return signer;
}
