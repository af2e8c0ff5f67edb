/**
 * One contract in its sandbox: evaluates the bundle once, keeps the image, and runs calls from it.
 *
 * (1) Every run starts from the image: what it returns and what it costs depend on the image, the
 *     input and the answers of the host functions, on nothing else.
 * (2) After a trap the instance is dropped. After anything that is neither a normal end, a guest
 *     exception nor a limit of the meter, `run` throws: that is the node's fault, not the guest's.
 *
 * It does not know state or events: host.ts does. Pending promise jobs are never run; the next
 * restore forgets them.
 */
import { LedgerError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import { type Engine, layout } from "./engine.ts";
import { hostFunctionNames } from "./host.ts";
import { type Image, restoreImage, takeImage } from "./image.ts";
import { EngineStop, type Guest, Instance } from "./instance.ts";
import { preludeSource } from "./prelude.ts";

/** Runs one host function for the guest; see `Callbacks`. */
type HostCall = (guest: Guest, argc: number, argv: number, id: number) => number;

/** What a run is given. */
export type Run = {
  readonly entry: "call" | "describe";
  /** Argument of `call`. */
  readonly input: string;
  readonly gasLimit: number;
  readonly timeMs: number;
  readonly host: HostCall;
};

/** How a run ended; `gasUsed` is the whole limit when the guest was stopped. */
export type RunEnd = { readonly gasUsed: number } & (
  | { readonly kind: "returned" /** Undefined: no string. */; readonly text: string | undefined }
  | { readonly kind: "threw"; readonly detail: string }
  | { readonly kind: "exhausted"; readonly limit: "gas" | "depth" | "stack" | "memory" }
);

/** A guest exception that is still pending; `result` points to its mark. */
type Thrown = { readonly kind: "pending"; readonly result: number; readonly gasUsed: number };

/** Pointers to owned values inside the image; the same in every instance filled from it. */
type Handles = {
  readonly context: number;
  readonly entry: number;
  readonly call: number;
  readonly describe: number;
  /** Room for one argument pointer. */
  readonly argv: number;
};

/** Gas for turning a thrown value into text for people; not part of any receipt. */
const detailGas = 2_000_000;
const detailCharsMax = 500;

/** A contract ready to run. */
export class Sandbox {
  readonly image: Image;
  readonly #engine: Engine;
  readonly #handles: Handles;
  #instance: Instance | undefined;

  private constructor(engine: Engine, instance: Instance, handles: Handles) {
    this.#engine = engine;
    this.#handles = handles;
    this.image = takeImage(instance);
    this.#instance = instance;
  }

  /**
   * Evaluates a bundle.
   *
   * @throws {LedgerError} CONTRACT_INSTALL_INVALID when the bundle throws, runs out of gas, or
   * does not define `contractEntry`.
   */
  static build(engine: Engine, contract: string, source: string): Sandbox {
    const instance = new Instance(engine);
    try {
      const handles = evaluateBundle(instance, contract, source);
      return new Sandbox(engine, instance, handles);
    } catch (cause) {
      const limit = exhaustedLimit(instance, cause);
      if (limit === undefined) throw cause;
      throw new LedgerError(
        "CONTRACT_INSTALL_INVALID",
        { contract, reason: `evaluation ran out of ${limit}` },
        { cause },
      );
    }
  }

  /**
   * Runs an entry of the contract.
   *
   * @throws Whatever stopped the engine, when it was not the guest.
   */
  run(run: Run): RunEnd {
    const instance = this.#instance ?? new Instance(this.#engine);
    this.#instance = undefined;
    restoreImage(instance, this.image);
    const guest = { instance, context: this.#handles.context };
    instance.callbacks.timeMs = run.timeMs;
    instance.callbacks.callFunction = (argc, argv, id) => run.host(guest, argc, argv, id);
    instance.gas = run.gasLimit;
    let end: RunEnd | Thrown;
    try {
      end = this.#enter(guest, run);
    } catch (error) {
      const limit = exhaustedLimit(instance, error);
      if (limit === undefined) throw error;
      return { kind: "exhausted", limit, gasUsed: run.gasLimit };
    }
    if (end.kind === "pending") return this.#describeThrown(guest, end, run);
    this.#instance = instance;
    return end;
  }

  /** The instance of the last run, if it ended normally. */
  get instance(): Instance | undefined {
    return this.#instance;
  }

  /** Drops the instance: the next run makes a new one. */
  reset(): void {
    this.#instance = undefined;
  }

  #enter({ instance, context }: Guest, run: Run): RunEnd | Thrown {
    const { functions, words } = instance;
    const { argv, entry } = this.#handles;
    if (run.entry === "call") words[argv >>> 2] = instance.newString(context, run.input);
    const argc = run.entry === "call" ? 1 : 0;
    const result = functions.call(context, this.#handles[run.entry], entry, argc, argv);
    if (instance.isException(result)) {
      return { kind: "pending", result, gasUsed: run.gasLimit - instance.gas };
    }
    const text = instance.readString(context, result);
    return { kind: "returned", text, gasUsed: run.gasLimit - instance.gas };
  }

  /** Reads the thrown value. It may run guest code, so it has gas of its own and no host. */
  #describeThrown({ instance, context }: Guest, { result, gasUsed }: Thrown, run: Run): RunEnd {
    instance.gas = detailGas;
    instance.callbacks.callFunction = () => 0;
    let detail = "";
    try {
      const thrown = instance.functions.resolveException(context, result);
      detail = instance.toText(context, thrown) ?? "";
      this.#instance = instance;
    } catch (error) {
      if (exhaustedLimit(instance, error) === undefined) throw error;
      // Stopped like any other guest, so it pays like one: the instance is lost.
      return { kind: "threw", detail: "the thrown value has no text", gasUsed: run.gasLimit };
    }
    return { kind: "threw", detail: detail.slice(0, detailCharsMax), gasUsed };
  }
}

/** Says which limit of the guest stopped an instance; undefined when it was something else. */
function exhaustedLimit(instance: Instance, error: unknown) {
  if (error instanceof EngineStop) return error.kind === "memory" ? "memory" : undefined;
  return error instanceof WebAssembly.RuntimeError ? instance.meterLimit() : undefined;
}

function evaluateBundle(instance: Instance, contract: string, source: string): Handles {
  const { functions } = instance;
  instance.gas = limits.contractInstallGasMax;
  functions.start();
  const runtime = functions.newRuntime();
  functions.setMaxStackSize(runtime, layout.guestStackBytes);
  const context = functions.newContext(runtime, intrinsics);
  defineHost(instance, context);
  evaluate(instance, { context, contract, source: preludeSource });
  evaluate(instance, { context, contract, source });
  instance.words[(context + layout.evalSlotOffset) >>> 2] = 0;
  const global = functions.getGlobalObject(context);
  const entry = property(instance, { context, contract, object: global, name: "contractEntry" });
  const inEntry = { context, contract, object: entry };
  return {
    context,
    entry,
    call: property(instance, { ...inEntry, name: "call" }),
    describe: property(instance, { ...inEntry, name: "describe" }),
    argv: functions.malloc(8),
  };
}

/** All twelve groups of built-ins; the prelude takes away what must not stay. */
const intrinsics = 0xfff;

function defineHost(instance: Instance, context: number): void {
  const { functions } = instance;
  const host = functions.newObject(context);
  hostFunctionNames.forEach((name, id) => {
    const bytes = instance.writeText(name);
    const made = functions.newFunction(context, bytes, 0, 0, id);
    functions.setProperty(context, host, instance.newString(context, name), made);
    functions.free(bytes);
  });
  const global = functions.getGlobalObject(context);
  functions.setProperty(context, global, instance.newString(context, "host"), host);
}

type Script = { readonly context: number; readonly contract: string; readonly source: string };

function evaluate(instance: Instance, { context, contract, source }: Script): void {
  const { functions } = instance;
  const code = instance.writeText(source);
  const file = instance.writeText("contract");
  const result = functions.evaluate(context, code, Buffer.byteLength(source), file, 0, 0);
  functions.free(code);
  functions.free(file);
  if (instance.isException(result)) {
    const detail = instance.toText(context, functions.resolveException(context, result)) ?? "";
    const reason = `evaluation threw ${detail.slice(0, detailCharsMax)}`;
    throw new LedgerError("CONTRACT_INSTALL_INVALID", { contract, reason });
  }
  functions.freeValue(context, result);
}

type Lookup = Omit<Script, "source"> & { readonly object: number; readonly name: string };

/** Reads a property that must be an object or a function. */
function property(instance: Instance, { context, contract, object, name }: Lookup): number {
  const key = instance.newString(context, name);
  const value = instance.functions.getProperty(context, object, key);
  if (!instance.isObject(value)) {
    const reason = `globalThis.contractEntry: ${name} is missing`;
    throw new LedgerError("CONTRACT_INSTALL_INVALID", { contract, reason });
  }
  return value;
}
