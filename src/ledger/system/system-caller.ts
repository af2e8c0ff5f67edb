/**
 * Calls of the system contract, which is part of the node and not of the sandbox. To the executor
 * it is a contract like any other: what it does follows from state, arguments, height and time;
 * a refusal leaves a receipt and nothing else. Prices are fixed: what a method does is bounded by
 * the bounds of its tables.
 */
import { systemContract } from "../../base/format/genesis.ts";
import { encodeJson, type JsonValue, parseJson } from "../../base/format/json.ts";
import type { ContractEvent } from "../../base/format/receipt.ts";
import { type Hash, zeroHash } from "../../base/hash.ts";
import type { Verifier } from "../../base/keys.ts";
import { StateOverlay } from "../state-overlay.ts";
import type { CallOutcome, CallRequest, ContractCaller, StateReader } from "../types.ts";
import { systemMethods } from "./methods.ts";
import { type SystemMethod, SystemRefusal } from "./types.ts";

/** What admission and the API know of the system contract; nothing of it is in the sandbox. */
export const systemEntry = {
  bundleHash: zeroHash,
  imageHash: zeroHash,
  methods: systemMethods,
  views: [],
};

type Parts = { readonly chainId: Hash; readonly verifier: Verifier };

/** Puts the system contract beside those of the sandbox. */
export function withSystemContract(sandbox: ContractCaller, parts: Parts): ContractCaller {
  return {
    call: async (request, state) =>
      request.contract === systemContract
        ? callSystem(request, state, parts)
        : sandbox.call(request, state),
  };
}

function callSystem(request: CallRequest, state: StateReader, parts: Parts): CallOutcome {
  const { method: name, gasLimit } = request;
  const method = Object.hasOwn(systemMethods, name) ? systemMethods[name] : undefined;
  if (method === undefined) return ended("CONTRACT_METHOD_UNKNOWN", 0);
  if (gasLimit < method.gas) return ended("CONTRACT_OUT_OF_GAS", gasLimit);
  try {
    return { ...run(method, { request, state, parts }), gasUsed: method.gas };
  } catch (error) {
    if (!(error instanceof SystemRefusal)) throw error;
    return ended(error.outcome, method.gas, error.message);
  }
}

function run(
  method: SystemMethod,
  call: { readonly request: CallRequest; readonly state: StateReader; readonly parts: Parts },
): Omit<CallOutcome, "gasUsed"> {
  const { height, timeMs, sender, argsJson } = call.request;
  const state = new StateOverlay(call.state);
  const events: ContractEvent[] = [];
  const emit = (topic: string, data: JsonValue) => {
    events.push({ contract: systemContract, topic, json: encodeJson(data) });
  };
  const args = checkedArguments(method, argsJson);
  method.run(args, { ...call.parts, height, timeMs, sender, state, emit });
  return { outcome: "ok", changes: state.netChanges().changes, events };
}

function checkedArguments(method: SystemMethod, argsJson: string): unknown {
  const parsed = method.args.safeParse(parseJson(argsJson));
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const detail = `${issue?.path.join(".") ?? ""}: ${issue?.message ?? ""}`;
  throw new SystemRefusal("SYSTEM_ARGUMENTS_INVALID", detail);
}

function ended(outcome: string, gasUsed: number, detail?: string): CallOutcome {
  const empty = { outcome, gasUsed, changes: [], events: [] };
  return detail === undefined ? empty : { ...empty, detail };
}
