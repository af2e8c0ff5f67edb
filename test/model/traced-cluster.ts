/**
 * A simulated cluster of cores whose every step is held against the model at once, and recorded
 * for tests that alter the trace.
 */
import type { ConsensusEvent } from "../../src/consensus/event.ts";
import { Cluster, type ClusterOptions, type SimNode } from "../sim/cluster.ts";
import { TraceChecker, type TraceEntry, type TraceSetting } from "./conformance.ts";

/** A cluster with its trace. Running it throws when the model does not allow a step. */
export class TracedCluster extends Cluster {
  readonly trace: TraceEntry[] = [];
  readonly setting: TraceSetting;
  readonly checker: TraceChecker;

  constructor(options: ClusterOptions) {
    super(options);
    const keys = this.nodes.map(({ key }) => key);
    const isTwin = ({ key }: SimNode) => keys.indexOf(key) !== keys.lastIndexOf(key);
    this.setting = {
      validators: this.node(0).ledger.nextValidators,
      liars: this.nodes.filter(isTwin).map(({ index }) => index),
    };
    this.checker = new TraceChecker(this.setting);
    this.observe = (node, effect) => {
      const { index, key } = node;
      if (effect.kind === "decide")
        this.#take({ kind: "decide", node: index, certificate: effect.certificate });
      if (effect.kind !== "sign") return;
      const { claim, attachments } = effect;
      const { block } = attachments;
      this.#take({ kind: "sign", node: index, validator: key, claim, block });
    };
  }

  override feed(node: SimNode, event: ConsensusEvent): void {
    if (node.up) this.#record(node, event);
    super.feed(node, event);
  }

  #record({ index, ledger }: SimNode, event: ConsensusEvent): void {
    if (event.kind === "message")
      this.#take({ kind: "receive", node: index, message: event.message });
    if (event.kind === "signed") this.#take({ kind: "send", node: index, message: event.message });
    if (event.kind !== "appended") return;
    const { last: block } = ledger;
    this.#take({ kind: "append", node: index, block, validators: event.validators });
  }

  #take(entry: TraceEntry): void {
    this.trace.push(entry);
    this.checker.take(entry);
  }
}
