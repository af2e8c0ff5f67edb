/**
 * The contract runtime: installs bundles and runs calls, each a pure function of the contract's
 * image, the call and the state it reads.
 *
 * (1) A failed call has no changes and no events, whatever it did before it failed.
 * (2) Gas, outcome, changes, events and result are equal on every machine with the same engine
 *     hash. `detail` is for people only.
 * (3) What is not the contract's doing is never an outcome: it is tried once more in a fresh
 *     instance, then `call` throws CONTRACT_NODE_FAULT and the node must stop voting. What the
 *     state throws, a closed store above all, comes out as it is.
 *
 * Calls run one after the other on this thread, behind an asynchronous interface so that they can
 * move to a worker. Who may call a method is up to the contract's own code.
 */
import { AssertionError, assert } from "../base/assert.ts";
import { utf8 } from "../base/bytes.ts";
import { isLedgerError, LedgerError } from "../base/errors.ts";
import { canonicalJson } from "../base/format/json.ts";
import { namePattern } from "../base/format/transaction.ts";
import { type Hash, hashOf } from "../base/hash.ts";
import { limits } from "../base/limits.ts";
import { readDescription } from "./description.ts";
import { type Engine, loadEngine } from "./engine.ts";
import { CallHost, outputGas } from "./host.ts";
import { type RunEnd, Sandbox } from "./sandbox.ts";
import {
  type CallCode,
  type CallOutcome,
  type CallRequest,
  type ContractDescription,
  callCodes,
  type InstalledContract,
  type RuntimeOptions,
  type StateReader,
} from "./types.ts";

type Installed = { readonly sandbox: Sandbox; readonly description: ContractDescription };

/** Runs contracts. */
export class ContractRuntime {
  /** SHA-256 of the metered engine; the genesis pins it. */
  readonly engineHash: Hash;
  readonly #engine: Engine;
  readonly #options: RuntimeOptions;
  readonly #contracts = new Map<string, Installed>();

  private constructor(engine: Engine, options: RuntimeOptions) {
    this.#engine = engine;
    this.engineHash = engine.hash;
    this.#options = options;
  }

  /** Loads the engine, once a process. @throws {LedgerError} CONTRACT_ENGINE_INVALID. */
  static async create(options: RuntimeOptions): Promise<ContractRuntime> {
    return new ContractRuntime(loadEngine(), options);
  }

  /**
   * Evaluates a bundle and keeps its image under a name; replaces what had the name before.
   *
   * @throws {LedgerError} CONTRACT_INSTALL_INVALID.
   */
  async install(name: string, source: string): Promise<InstalledContract> {
    const bytes = utf8(source);
    if (!namePattern.test(name)) throw installInvalid(name, "the name is not a contract name");
    if (bytes.length > limits.contractSourceBytesMax) {
      throw installInvalid(name, `the source has ${bytes.length} bytes`);
    }
    const sandbox = Sandbox.build(this.#engine, name, source);
    const end = sandbox.run({
      entry: "describe",
      input: "",
      gasLimit: limits.callGasMax,
      timeMs: 0,
      host: (guest) => guest.instance.throwError(guest.context, "describe has no host functions"),
    });
    if (end.kind !== "returned") throw installInvalid(name, `describe: ${endText(end)}`);
    const description = readDescription(name, end.text);
    this.#contracts.set(name, { sandbox, description });
    return { bundleHash: hashOf(bytes), imageHash: sandbox.image.hash, description };
  }

  /**
   * Runs one call.
   *
   * @throws {LedgerError} CONTRACT_NODE_FAULT when this node could not run it, twice.
   */
  async call(request: CallRequest, state: StateReader): Promise<CallOutcome> {
    const { contract, method, gasLimit } = request;
    assert(
      Number.isSafeInteger(gasLimit) && gasLimit >= 0 && gasLimit <= limits.callGasMax,
      "the gas limit of a call is within the maximum",
    );
    const installed = this.#contracts.get(contract);
    if (installed === undefined) return failed(callCodes.unknown, 0, contract);
    if (!describes(installed.description, request)) {
      return failed(callCodes.methodUnknown, 0, `${contract}.${method}`);
    }
    if (gasLimit < limits.callGasMin) return failed(callCodes.outOfGas, gasLimit, gasLimitLow);
    const input = encodeInput(request);
    if (input === undefined) return failed(callCodes.argumentsInvalid, 0);
    try {
      return this.#attempt(installed, { request, state, input });
    } catch (error) {
      if (error instanceof AssertionError) throw error;
      installed.sandbox.reset();
      if (isLedgerError(error)) throw error;
    }
    try {
      return this.#attempt(installed, { request, state, input });
    } catch (cause) {
      if (cause instanceof AssertionError) throw cause;
      installed.sandbox.reset();
      if (isLedgerError(cause)) throw cause;
      const reason = cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause);
      throw new LedgerError("CONTRACT_NODE_FAULT", { contract, method, reason }, { cause });
    }
  }

  /** Forgets all contracts and their memory. */
  async close(): Promise<void> {
    this.#contracts.clear();
  }

  #attempt(installed: Installed, { request, state, input }: Attempt): CallOutcome {
    const { contract, kind, gasLimit, timeMs } = request;
    const { verifier, onLog } = this.#options;
    const host = new CallHost({ contract, kind, state, verifier, onLog });
    const end = installed.sandbox.run({ entry: "call", input, gasLimit, timeMs, host: host.call });
    if (end.kind === "exhausted")
      return failed(callCodes.outOfGas, gasLimit, `no ${end.limit} left`);
    if (host.failure !== undefined) {
      return failed(host.failure.code, end.gasUsed, host.failure.message);
    }
    if (end.kind === "threw") return failed(callCodes.threw, end.gasUsed, end.detail);
    const gasUsed = end.gasUsed + outputGas(end.text ?? "");
    if (gasUsed > gasLimit) return failed(callCodes.outOfGas, gasLimit, "no gas left");
    return readOutput(end.text, gasUsed, host);
  }
}

/** Else a block of calls that are stopped at once would take 10,000 engines and 26 seconds. */
const gasLimitLow = `a call needs a gas limit of ${limits.callGasMin} or more`;

type Attempt = {
  readonly request: CallRequest;
  readonly state: StateReader;
  readonly input: string;
};

function describes(description: ContractDescription, { kind, method }: CallRequest): boolean {
  if (kind === "view") return description.views.includes(method);
  return Object.hasOwn(description.methods, method);
}

/** The text that the bundle's `call` takes; undefined when the arguments are not JSON of D10. */
function encodeInput(request: CallRequest): string | undefined {
  const { kind, method, sender, roles, height, timeMs } = request;
  let args: string;
  try {
    args = canonicalJson(request.argsJson);
  } catch (error) {
    if (error instanceof LedgerError) return undefined;
    throw error;
  }
  const rest = JSON.stringify({ kind, method, sender, roles, height, timeMs });
  return `{"args":${args},${rest.slice(1)}`;
}

/** Reads `{"ok": result}` or `{"refused": code, "message": text}`. */
function readOutput(text: string | undefined, gasUsed: number, host: CallHost): CallOutcome {
  const invalid = (reason: string) => failed(callCodes.outputInvalid, gasUsed, reason);
  if (text === undefined) return invalid("call did not return a string");
  let json: string;
  try {
    json = canonicalJson(text);
  } catch (error) {
    if (!(error instanceof LedgerError)) throw error;
    return invalid(error.message);
  }
  if (Buffer.byteLength(json) > limits.contractResultBytesMax) return invalid("result too long");
  const output: unknown = JSON.parse(json);
  if (typeof output !== "object" || output === null) return invalid("call returned no object");
  const names = Object.keys(output);
  if (names.length === 1 && names[0] === "ok") {
    // The canonical text of the only member: taken from the text, as parsing would order keys.
    const resultJson = json.slice('{"ok":'.length, -1);
    return { outcome: "ok", gasUsed, changes: host.changes(), events: host.events, resultJson };
  }
  const { refused, message } = output as Record<string, unknown>;
  if (typeof refused !== "string" || !isRefusalCode(refused))
    return invalid("neither ok nor refused");
  return failed(refused, gasUsed, typeof message === "string" ? message : undefined);
}

const refusalPattern = /^[A-Z][A-Z0-9_]{2,63}$/;
const reservedCodes: readonly string[] = Object.values(callCodes);

/** A contract cannot claim an outcome that only the sandbox can know. */
function isRefusalCode(code: string): boolean {
  return refusalPattern.test(code) && !reservedCodes.includes(code);
}

function failed(outcome: CallCode | string, gasUsed: number, detail?: string): CallOutcome {
  const base = { outcome, gasUsed, changes: [], events: [] };
  return detail === undefined ? base : { ...base, detail };
}

function endText(end: Exclude<RunEnd, { kind: "returned" }>): string {
  return end.kind === "threw" ? `threw ${end.detail}` : `ran out of ${end.limit}`;
}

function installInvalid(contract: string, reason: string): LedgerError {
  return new LedgerError("CONTRACT_INSTALL_INVALID", { contract, reason });
}
