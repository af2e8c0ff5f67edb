/**
 * Runs contracts in plain Node, without sandbox, gas or consensus: an in-memory state, time and
 * height driven by hand. For unit tests of contracts; a node never loads it.
 *
 * It keeps the rules of the sandbox that a contract can notice: own prefix only, nothing written
 * in a view, canonical values, no trace of a refused call, events only from calls that succeed.
 */
import { type Contract, type ContractEntry, entryOf } from "./contract.ts";
import type { Host } from "./host.ts";
import { canonicalText } from "./json.ts";

/** What a call gave: `ok`, or `refused` with a code. */
export type Outcome = {
  readonly ok?: unknown;
  readonly refused?: string;
  readonly message?: string;
};

/** An event of a call that succeeded. */
export type BenchEvent = {
  readonly contract: string;
  readonly topic: string;
  readonly value: unknown;
};

/** Who calls. */
export type Caller = { readonly sender: string; readonly roles: readonly string[] };

type BenchOptions = {
  readonly contracts: readonly Contract[];
  readonly parameters?: Readonly<Record<string, number>>;
  readonly timeMs: number;
};

/** A ledger for tests of contracts. */
export class ContractBench {
  /** Block time of the next call, milliseconds since 1970. */
  timeMs: number;
  height = 1;
  readonly events: BenchEvent[] = [];
  readonly logs: string[] = [];
  readonly #state = new Map<string, string>();
  readonly #entries: Map<string, ContractEntry>;
  /** Keys in order; undefined after a key came or went. */
  #sortedKeys: string[] | undefined;

  constructor(options: BenchOptions) {
    this.timeMs = options.timeMs;
    this.#entries = new Map(options.contracts.map((each) => [each.name, entryOf(each)]));
    for (const [name, value] of Object.entries(options.parameters ?? {}))
      this.#state.set(`system/parameter/${name}`, `${value}`);
  }

  /** Calls a method as one block of its own. */
  call(target: string, args: unknown, caller: Caller): Outcome {
    this.height += 1;
    return this.#run("method", target, args, caller);
  }

  /** Calls a view at the present height. */
  view(target: string, args: unknown): Outcome {
    return this.#run("view", target, args, { sender: "", roles: [] });
  }

  /** Returns a state value as text, or undefined. */
  stateText(key: string): string | undefined {
    return this.#state.get(key);
  }

  /** Returns the whole state, to compare before and after. */
  snapshot(): Record<string, string> {
    return Object.fromEntries(this.#state);
  }

  #run(kind: "method" | "view", target: string, args: unknown, caller: Caller): Outcome {
    const [contract = "", method = ""] = target.split(".");
    const { height, timeMs } = this;
    const input = canonicalText({ kind, method, args, ...caller, height, timeMs });
    const undo = new Map<string, string | undefined>();
    const emitted: BenchEvent[] = [];
    const host = this.#host(contract, kind === "view", undo, emitted);
    let outcome: Outcome | undefined;
    try {
      outcome = JSON.parse(this.#invoke(contract, input, host)) as Outcome;
    } finally {
      if (outcome === undefined || outcome.refused !== undefined) this.#restore(undo);
      else this.events.push(...emitted);
    }
    return outcome;
  }

  #invoke(contract: string, input: string, host: Host): string {
    const entry = this.#entries.get(contract);
    if (entry === undefined) throw new Error(`the bench has no contract "${contract}"`);
    (globalThis as { host?: Host }).host = host;
    return entry.call(input);
  }

  #host(
    contract: string,
    readOnly: boolean,
    undo: Map<string, string | undefined>,
    emitted: BenchEvent[],
  ): Host {
    const write = (key: string, value: string | undefined) => {
      if (readOnly) throw new Error("a view writes nothing");
      if (!key.startsWith(`${contract}/`)) throw new Error(`not a key of ${contract}: ${key}`);
      if (!undo.has(key)) undo.set(key, this.#state.get(key));
      this.#put(key, value);
    };
    return {
      get: (key) => this.#state.get(key),
      set: (key, value) => write(key, canonical(value)),
      delete: (key) => write(key, undefined),
      range: (from, to, reverse, limit) => JSON.stringify(this.#range(from, to, reverse, limit)),
      emit: (topic, json) => emitted.push({ contract, topic, value: JSON.parse(canonical(json)) }),
      log: (text) => this.logs.push(text),
      sha256: () => unavailable("sha256"),
      verify: () => unavailable("verify"),
    };
  }

  #put(key: string, value: string | undefined): void {
    if (this.#state.has(key) !== (value !== undefined)) this.#sortedKeys = undefined;
    if (value === undefined) this.#state.delete(key);
    else this.#state.set(key, value);
  }

  #range(from: string, to: string, reverse: boolean, limit: number): [string, string][] {
    this.#sortedKeys ??= [...this.#state.keys()].sort();
    const keys = this.#sortedKeys.filter((key) => key >= from && key < to);
    if (reverse) keys.reverse();
    return keys.slice(0, limit).map((key) => [key, this.#state.get(key) as string]);
  }

  #restore(undo: ReadonlyMap<string, string | undefined>): void {
    for (const [key, value] of undo) this.#put(key, value);
  }
}

function canonical(json: string): string {
  return canonicalText(JSON.parse(json));
}

function unavailable(name: string): never {
  throw new Error(`host.${name} is not part of the test bench`);
}
