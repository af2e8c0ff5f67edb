/**
 * Two ledgers for tests of contracts with one face: the bench in plain Node, and the real sandbox
 * over a state in memory. A contract must behave the same in both.
 */
import { fileURLToPath } from "node:url";
import type { Verifier } from "../../../src/base/keys.ts";
import { buildContract } from "../../../src/contracts/build.ts";
import { ContractRuntime } from "../../../src/contracts/runtime.ts";
import type { Contract } from "../../../src/contracts/sdk/contract.ts";
import {
  type BenchEvent,
  type Caller,
  ContractBench,
  type Outcome,
} from "../../../src/contracts/sdk/testing.ts";
import type { CallOutcome } from "../../../src/contracts/types.ts";

/** A ledger that runs contracts. */
export type Bench = {
  timeMs: number;
  readonly events: readonly BenchEvent[];
  call(target: string, args: unknown, caller: Caller): Promise<Outcome>;
  view(target: string, args: unknown): Promise<Outcome>;
  stateText(key: string): string | undefined;
  snapshot(): Record<string, string>;
};

type Options = {
  readonly contracts: readonly Contract[];
  readonly parameters: Readonly<Record<string, number>>;
  readonly timeMs: number;
};

/** Opens a ledger. */
export type OpenBench = (options: Options) => Promise<Bench>;

/** The bench without a sandbox, behind the asynchronous face. */
export const openNodeBench: OpenBench = async (options) => {
  const bench = new ContractBench(options);
  return {
    get timeMs() {
      return bench.timeMs;
    },
    set timeMs(value) {
      bench.timeMs = value;
    },
    events: bench.events,
    call: async (...args) => bench.call(...args),
    view: async (...args) => bench.view(...args),
    stateText: (key) => bench.stateText(key),
    snapshot: () => bench.snapshot(),
  };
};

/** Opens the sandbox with the bundles of the contracts. */
export const openSandboxBench: OpenBench = async (options) => SandboxBench.open(options);

/** The real sandbox; remembers the gas of the last call. */
export class SandboxBench implements Bench {
  timeMs: number;
  gasUsed = 0;
  readonly events: BenchEvent[] = [];
  readonly #runtime: ContractRuntime;
  readonly #state: Map<string, string>;
  #sortedKeys: string[] | undefined;

  private constructor(runtime: ContractRuntime, state: Map<string, string>, timeMs: number) {
    this.#runtime = runtime;
    this.#state = state;
    this.timeMs = timeMs;
  }

  static async open({ contracts, parameters, timeMs }: Options): Promise<SandboxBench> {
    const runtime = await sharedRuntime(contracts.map(({ name }) => name));
    const state = Object.entries(parameters).map(
      ([name, value]) => [`system/parameter/${name}`, `${value}`] as const,
    );
    return new SandboxBench(runtime, new Map(state), timeMs);
  }

  async call(target: string, args: unknown, caller: Caller): Promise<Outcome> {
    const end = await this.#run("method", target, args, caller);
    for (const [key, value] of end.changes) {
      if (this.#state.has(key) !== (value !== undefined)) this.#sortedKeys = undefined;
      if (value === undefined) this.#state.delete(key);
      else this.#state.set(key, value);
    }
    for (const { contract, topic, json } of end.events)
      this.events.push({ contract, topic, value: JSON.parse(json) });
    return outcomeOf(end);
  }

  async view(target: string, args: unknown): Promise<Outcome> {
    return outcomeOf(await this.#run("view", target, args, { sender: "", roles: [] }));
  }

  stateText(key: string): string | undefined {
    return this.#state.get(key);
  }

  snapshot(): Record<string, string> {
    return Object.fromEntries(this.#state);
  }

  async #run(kind: "method" | "view", target: string, args: unknown, caller: Caller) {
    const [contract = "", method = ""] = target.split(".");
    const { timeMs } = this;
    const argsJson = JSON.stringify(args);
    const request = { contract, method, argsJson, kind, gasLimit: 300_000_000, height: 1, timeMs };
    const end = await this.#runtime.call({ ...request, ...caller }, this.#reader());
    this.gasUsed = end.gasUsed;
    return end;
  }

  #reader() {
    return {
      get: (key: string) => this.#state.get(key),
      range: (range: { from: string; to: string; reverse: boolean; limit: number }) => {
        this.#sortedKeys ??= [...this.#state.keys()].sort();
        const keys = this.#sortedKeys.filter((key) => key >= range.from && key < range.to);
        if (range.reverse) keys.reverse();
        const some = keys.slice(0, range.limit);
        return some.map((key) => [key, this.#state.get(key) as string] as const);
      },
    };
  }
}

/** Runtimes by the contracts in them: a call is a pure function, so tests cannot disturb another. */
const runtimes = new Map<string, Promise<ContractRuntime>>();

function sharedRuntime(names: readonly string[]): Promise<ContractRuntime> {
  const known = runtimes.get(names.join());
  if (known !== undefined) return known;
  const open = async () => {
    const verifier: Verifier = { verify: () => false };
    const runtime = await ContractRuntime.create({ verifier });
    for (const name of names) await runtime.install(name, await bundleOf(name));
    return runtime;
  };
  const opening = open();
  runtimes.set(names.join(), opening);
  return opening;
}

async function bundleOf(name: string): Promise<string> {
  const url = new URL(`../../../contracts/${name}/index.ts`, import.meta.url);
  return (await buildContract(fileURLToPath(url))).source;
}

function outcomeOf({ outcome, resultJson, detail }: CallOutcome): Outcome {
  if (outcome === "ok") return { ok: JSON.parse(resultJson ?? "null") };
  return detail === undefined ? { refused: outcome } : { refused: outcome, message: detail };
}
