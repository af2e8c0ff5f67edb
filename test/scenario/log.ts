/** The log of a scenario: one line an event, with the time since the start in ms and the node. */
import type { Block } from "../../src/base/format/block.ts";
import type { Certificate, Claim } from "../../src/base/format/message.ts";
import type { ConsensusEvent, Effect } from "../../src/consensus/event.ts";
import type { ConsensusState } from "../../src/consensus/state.ts";
import type { Cluster, SimNode } from "../sim/cluster.ts";
import { simStartMs } from "../sim/fake-ledger.ts";
import { BlockNames, indexOf } from "./block-names.ts";

/** Writes down what the nodes of a cluster do. */
export class ScenarioLog {
  readonly lines: string[] = [];
  readonly names = new BlockNames();
  /** Whether to log what is sent again. */
  showAgain = false;
  /** Whether to leave out what nodes do. */
  isMuted = false;
  readonly #cluster: Cluster;
  /** What the node under way was told. */
  #event: ConsensusEvent["kind"] | undefined;

  /** Listens to a cluster from now on. */
  constructor(cluster: Cluster) {
    this.#cluster = cluster;
    const feed = cluster.feed.bind(cluster);
    cluster.feed = (node, event) => {
      if (!node.up) return;
      const [before, outer, place] = [node.core, this.#event, this.lines.length];
      this.#event = event.kind;
      feed(node, event);
      this.#event = outer;
      const text = this.#describeEvent(event, before, node);
      // The cause stands before its effects.
      if (text !== undefined && !this.isMuted)
        this.lines.splice(place, 0, this.#line(node.index, text));
    };
    cluster.observe = (node, effect) => this.note(node.index, this.#describeEffect(node, effect));
  }

  /** Adds a line about a node, if there is something to say. */
  note(index: number, text: string | undefined): void {
    if (text !== undefined && !this.isMuted) this.lines.push(this.#line(index, text));
  }

  #line(index: number, text: string): string {
    return `${String(this.#cluster.nowMs - simStartMs).padStart(6)} ${index} ${text}`;
  }

  /** What an event did that no effect shows, or why the effects after it came about. */
  #describeEvent(event: ConsensusEvent, before: ConsensusState, node: SimNode): string | undefined {
    const { core, ledger } = node;
    const at = `${core.height}/${core.round}`;
    const hasMoved = core.height === before.height && core.round > before.round;
    switch (event.kind) {
      case "timeout":
        return `time-out of ${event.height}/${event.round}, ${hasMoved ? `enters ${at}` : "ignored"}`;
      case "checked": {
        const isRefused = !event.valid && core !== before;
        return isRefused ? `refuses ${this.names.ofHash(event.blockHash)}` : undefined;
      }
      case "built":
        return event.block === undefined ? "has nothing to propose" : undefined;
      case "restored":
        return core.height === event.record.height
          ? `takes up ${at}, ${core.phase}`
          : `signs nothing below height ${event.record.height}`;
      case "appended": {
        const isNews = before.phase !== "decided" && core.height > before.height;
        return isNews ? `fetches ${this.names.of(ledger.last)}` : undefined;
      }
      default:
        if (!hasMoved) return undefined;
        return event.kind === "message" && event.message.kind === "proposal"
          ? `follows a proposal to ${at}`
          : `jumps to ${at}`;
    }
  }

  #describeEffect({ core, ledger }: SimNode, effect: Effect): string | undefined {
    switch (effect.kind) {
      case "sign":
        return this.#describeClaim(effect.claim, effect.attachments.block);
      case "decide":
        return `decides ${this.names.of(effect.block)} by ${describeVotes(effect.certificate, core)}`;
      case "checkBlock":
        return effect.fresh ? undefined : `checks ${this.names.of(effect.block)}, not its time`;
      case "startTimer":
        return `timer ${effect.height}/${effect.round} ${effect.durationMs} ms`;
      case "stopTimer":
        return core.phase === "decided" || this.#event === "appended" ? undefined : "timer stops";
      case "send":
        return this.showAgain ? `again: ${this.#describeClaim(effect.message)}` : undefined;
      case "forwardTransactions":
        if (ledger.pending.size === 0) return undefined;
        return `forwards ${[...ledger.pending].join(" ")} to ${indexOf(effect.validator)}`;
      case "catchUp":
        return `catches up to ${effect.height}`;
      default:
        return undefined;
    }
  }

  #describeClaim(claim: Claim, block?: Block): string {
    const slot = `${claim.kind} ${claim.height}/${claim.round}`;
    if (claim.kind !== "roundChange")
      return `${slot} ${block ? this.names.of(block) : this.names.ofHash(claim.blockHash)}`;
    const { prepared } = claim;
    return prepared === undefined
      ? `${slot}, nothing prepared`
      : `${slot}, prepared ${this.names.ofHash(prepared.blockHash)} in ${prepared.round}`;
  }
}

function describeVotes({ round, signatures }: Certificate, { validators }: ConsensusState): string {
  const signers = signatures.map(({ validatorIndex }) => indexOf(validators[validatorIndex] ?? ""));
  return `commits of ${signers.join(" ")} in round ${round}`;
}
