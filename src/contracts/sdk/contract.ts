/**
 * Declares a contract and makes the entry that the sandbox calls.
 *
 * Protocol: the bundle sets `globalThis.contractEntry = { describe(), call(input) }`. `call` takes
 * and gives JSON text. A refusal is an answer; any other exception is left to the sandbox, which
 * ends the call with an error receipt. Either way nothing the call wrote remains.
 */
import type { Check } from "./check.ts";
import { currentHost } from "./host.ts";
import { canonicalText, jsonText } from "./json.ts";
import { Refusal, refuse } from "./refusal.ts";
import { enterContract } from "./table.ts";

/** What a contract knows of the call it runs in. There is no other clock or caller. */
export type Context = {
  /** `did:key` of the signer; empty in a view. */
  readonly sender: string;
  readonly roles: readonly string[];
  /** Height of the block that the call is part of; in a view the height it looks at. */
  readonly height: number;
  /** Time of that block, milliseconds since 1970. */
  readonly timeMs: number;
  /** Returns a ledger parameter, an integer. */
  parameter(name: string): number;
};

/** A method: changes the state, is called by a transaction. */
export type Method = {
  readonly roles: readonly string[];
  readonly invoke: (args: unknown, context: Context) => unknown;
};

/** A view: reads the state, is called by anyone who may read. */
export type View = { readonly invoke: (args: unknown, context: Context) => unknown };

/** A contract: its name and what can be called. */
export type Contract = {
  readonly name: string;
  readonly methods: Readonly<Record<string, Method>>;
  readonly views: Readonly<Record<string, View>>;
};

/** The object that a bundle leaves for the sandbox. */
export type ContractEntry = { describe(): string; call(input: string): string };

type Input = {
  readonly kind: "method" | "view";
  readonly method: string;
  readonly args: unknown;
  readonly sender: string;
  readonly roles: readonly string[];
  readonly height: number;
  readonly timeMs: number;
};

/** Declares a method for senders who hold at least one of the roles. */
export function method<T>(definition: {
  readonly roles: readonly string[];
  readonly args: Check<T>;
  readonly run: (args: T, context: Context) => unknown;
}): Method {
  const { roles, args, run } = definition;
  return { roles, invoke: (value, context) => run(checkedArgs(args, value), context) };
}

/** Declares a view. */
export function view<T>(definition: {
  readonly args: Check<T>;
  readonly run: (args: T, context: Context) => unknown;
}): View {
  const { args, run } = definition;
  return { invoke: (value, context) => run(checkedArgs(args, value), context) };
}

/** Declares an event topic; the returned function emits one event of it. */
export function event<T>(topic: string): (value: T) => void {
  return (value) => currentHost().emit(topic, jsonText(value));
}

/** Declares a contract. A contract file exports the result as `definition`. */
export function contract(definition: Contract): Contract {
  return definition;
}

/** Makes the entry of a contract; the build puts it in place. */
export function entryOf(definition: Contract): ContractEntry {
  const describe = () => {
    const methods: Record<string, { roles: readonly string[] }> = {};
    for (const [name, { roles }] of Object.entries(definition.methods)) methods[name] = { roles };
    const views = Object.keys(definition.views).sort();
    return canonicalText({ name: definition.name, methods, views });
  };
  const call = (text: string) => {
    enterContract(definition.name);
    try {
      const result = dispatch(definition, JSON.parse(text) as Input);
      return `{"ok":${jsonText(result ?? null)}}`;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      return jsonText({ refused: error.code, message: error.message });
    }
  };
  return { describe, call };
}

function dispatch(definition: Contract, input: Input): unknown {
  const context: Context = {
    sender: input.sender,
    roles: input.roles,
    height: input.height,
    timeMs: input.timeMs,
    parameter,
  };
  const name = input.method;
  // The sandbox answers unknown names itself, from the description; these are broken invariants.
  if (input.kind === "view") {
    if (!Object.hasOwn(definition.views, name))
      throw new Error(`${definition.name} has no view "${name}"`);
    return (definition.views[name] as View).invoke(input.args, context);
  }
  if (!Object.hasOwn(definition.methods, name))
    throw new Error(`${definition.name} has no method "${name}"`);
  const called = definition.methods[name] as Method;
  if (!called.roles.some((role) => input.roles.includes(role)))
    refuse("CONTRACT_ROLE_MISSING", `${name} needs one of the roles ${called.roles.join(", ")}`);
  return called.invoke(input.args, context);
}

function checkedArgs<T>(check: Check<T>, value: unknown): T {
  const problem = check(value);
  if (problem !== undefined) refuse("CONTRACT_ARGS_REFUSED", `args${problem}`);
  return value as T;
}

function parameter(name: string): number {
  const value = currentHost().get(`system/parameter/${name}`);
  if (value === undefined) throw new Error(`the ledger has no parameter "${name}"`);
  return JSON.parse(value) as number;
}
