/**
 * The administrators of a simulated world. They bring about the changes of a plan, one after the
 * other: admit a node, wait until it says that it is ready, add it; or remove one. Each signs for
 * itself and brings its transaction to whatever node answers, again and again until it is final.
 */
import { didOf } from "../../../src/base/format/did.ts";
import { signTransaction, type Transaction } from "../../../src/base/format/transaction.ts";
import { limits } from "../../../src/base/limits.ts";
import type { Random } from "../random.ts";
import { administratorKey, fakeSigner, peerKey, validatorKey, worldStartMs } from "./chain.ts";
import type { WorldNode } from "./node.ts";
import { memberId, type SetModel } from "./set-model.ts";
import { type SetPlan, type SetStep, setsOf } from "./set-plan.ts";
import type { VirtualTime } from "./time.ts";

/** What administrators work with. */
export type SetChangeOptions = {
  readonly plan: SetPlan;
  readonly time: VirtualTime;
  readonly random: Random;
  readonly chainId: string;
  readonly model: SetModel;
  /** Signed bytes that somebody made, by id. */
  readonly sent: Map<string, Uint8Array>;
  isFinal(id: string): boolean;
  /** Nodes that may be asked. */
  nodes(): readonly WorldNode[];
};

/** A transaction under way. */
type Errand = { readonly transaction: Transaction; broughtMs: number };

/** Brought again after this time, as gossip may have lost it and the node may be behind. */
const patienceMs = 5_000;

/** All administrators of a world. */
export class SetChanges {
  readonly #options: SetChangeOptions;
  readonly #sets: readonly (readonly number[])[];
  readonly #errands: (Errand | undefined)[];
  readonly #nonces: number[];
  #done = 0;
  /** No step waits for its time any more. */
  isHurried = false;

  constructor(options: SetChangeOptions) {
    this.#options = options;
    const { administrators } = options.plan;
    this.#sets = setsOf(options.plan);
    this.#errands = new Array(administrators).fill(undefined);
    this.#nonces = new Array(administrators).fill(0);
  }

  /** All changes of the plan took effect. */
  get isDone(): boolean {
    return this.#done === this.#options.plan.steps.length;
  }

  /** Changes that did not take effect yet. */
  get left(): number {
    return this.#options.plan.steps.length - this.#done;
  }

  /** The set that holds now and those to come. */
  get setsToCome(): readonly (readonly number[])[] {
    this.#look();
    return this.#sets.slice(this.#done);
  }

  /** What is asked for at the moment, for people. */
  get state(): string {
    const step = this.#options.plan.steps[this.#done];
    return step === undefined ? "all changes made" : `to ${step.kind} ${step.nodes.join(" and ")}`;
  }

  /** Does what is due; to be called twice a second or so. */
  tick(): void {
    this.#look();
    const { plan, time } = this.#options;
    const step = plan.steps[this.#done];
    for (const administrator of this.#errands.keys()) {
      this.#follow(administrator);
      if (this.#errands[administrator] !== undefined) continue;
      const isDue = step !== undefined && (this.isHurried || step.atMs <= time.nowMs);
      const wanted = isDue ? this.#wanted(step, administrator) : undefined;
      const change = administrator === 0 ? (this.#stray() ?? wanted) : wanted;
      if (change !== undefined) this.#send(administrator, change);
    }
  }

  /** Notes what took effect: changes do so in the order of the plan. */
  #look(): void {
    const { model } = this.#options;
    if (this.#done === model.applied) return;
    this.#done = model.applied;
    const planned = this.#sets[this.#done]?.map(validatorKey).sort();
    if (planned?.join() !== model.current.join()) throw new Error("a change that nobody planned");
  }

  /** @returns What this administrator should approve next. */
  #wanted({ kind, nodes }: SetStep, administrator: number): string | undefined {
    const { model } = this.#options;
    const isOpen = (change: string) => !model.hasApproved(administrator, change);
    const ids = nodes.map(memberId);
    if (kind === "remove") return [removalOf(ids)].find(isOpen);
    const strangers = nodes.filter((node) => !model.isCandidate(memberId(node)));
    if (strangers.length > 0) return strangers.map(admissionOf).find(isOpen);
    return ids.every((id) => model.isReady(id)) ? [additionOf(ids)].find(isOpen) : undefined;
  }

  /** Now and then one of several approves what comes later, or is not possible at all. */
  #stray(): string | undefined {
    const { plan, random } = this.#options;
    const { administrators, steps, strays } = plan;
    // The word of a single one would count.
    if (administrators < 3 || !random.chance(strays)) return undefined;
    const later = steps[this.#done + random.below(2)];
    if (later === undefined || random.chance(0.2)) return removalOf(["nobody"]);
    const ids = later.nodes.map(memberId);
    return later.kind === "add" ? additionOf(ids) : removalOf(ids);
  }

  #send(administrator: number, argsJson: string): void {
    const { chainId, sent, time } = this.#options;
    this.#nonces[administrator] = (this.#nonces[administrator] as number) + 1;
    const body = {
      chainId,
      nonce: this.#nonces[administrator] as number,
      expiresAtMs: worldStartMs + time.nowMs + 12 * 3_600_000,
      contract: "system",
      method: "approveChange",
      argsJson,
      gasLimit: limits.callGasMin,
    };
    const transaction = signTransaction(body, fakeSigner(administratorKey(administrator)));
    sent.set(transaction.id, transaction.bytes);
    const errand: Errand = { transaction, broughtMs: time.nowMs };
    this.#errands[administrator] = errand;
    this.#bring(errand);
  }

  #follow(administrator: number): void {
    const { isFinal, time } = this.#options;
    const errand = this.#errands[administrator];
    if (errand === undefined) return;
    if (isFinal(errand.transaction.id)) this.#errands[administrator] = undefined;
    else if (time.nowMs - errand.broughtMs >= patienceMs) this.#bring(errand);
  }

  #bring(errand: Errand): void {
    const { nodes, random, time } = this.#options;
    errand.broughtMs = time.nowMs;
    const ready = nodes().filter(
      ({ running, life }) => running !== undefined && life?.isPaused === false,
    );
    const node = ready[random.below(ready.length)];
    // What it refuses it refuses for the moment: the same bytes are brought again.
    node?.running?.shell.submit(errand.transaction.bytes).catch(() => undefined);
  }
}

function admissionOf(node: number): string {
  const candidate = {
    id: memberId(node),
    name: `Member ${node}`,
    peerKey: didOf(peerKey(node)),
    validatorKey: didOf(validatorKey(node)),
  };
  return JSON.stringify({ change: { candidate, kind: "admit" } });
}

function additionOf(ids: readonly string[]): string {
  return JSON.stringify({ change: { ids, kind: "add" } });
}

function removalOf(ids: readonly string[]): string {
  return JSON.stringify({ change: { ids, kind: "remove" } });
}
