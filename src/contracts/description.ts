/** Reads what a contract says of itself. The text comes from the bundle and is not trusted. */
import { LedgerError } from "../base/errors.ts";
import { parseJson } from "../base/format/json.ts";
import { namePattern } from "../base/format/transaction.ts";
import type { ContractDescription } from "./types.ts";

/** Methods and views together. */
const entriesMax = 256;
const rolesMax = 32;

/**
 * Checks the text that `describe()` returned.
 *
 * @throws {LedgerError} CONTRACT_INSTALL_INVALID.
 */
export function readDescription(contract: string, text: string | undefined): ContractDescription {
  const fail = (reason: string): never => {
    throw new LedgerError("CONTRACT_INSTALL_INVALID", { contract, reason: `describe: ${reason}` });
  };
  if (text === undefined) return fail("did not return a string");
  const value = parse(text) ?? fail("did not return JSON");
  if (!isRecord(value) || !isRecord(value.methods)) return fail("no object with methods");
  if (value.name !== contract) return fail(`the name is ${JSON.stringify(value.name)}`);
  const { methods, views } = value;
  if (!isNames(views)) return fail("views is not a list of distinct names");
  const entries = Object.entries(methods).map(([name, method]) => {
    if (!namePattern.test(name) || views.includes(name)) return fail(`method name ${name}`);
    if (!isRecord(method) || !isRoles(method.roles)) return fail(`roles of ${name}`);
    return [name, { roles: method.roles }] as const;
  });
  if (entries.length + views.length > entriesMax) return fail("too many methods and views");
  return { name: contract, methods: Object.fromEntries(entries), views };
}

function parse(text: string): unknown {
  try {
    return parseJson(text);
  } catch (error) {
    if (error instanceof LedgerError) return undefined;
    throw error;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isNames(value: unknown): value is readonly string[] {
  if (!Array.isArray(value) || new Set(value).size !== value.length) return false;
  return value.every((name) => typeof name === "string" && namePattern.test(name));
}

function isRoles(value: unknown): value is readonly string[] {
  return (
    Array.isArray(value) &&
    value.length <= rolesMax &&
    value.every((role) => typeof role === "string" && role.length <= 64)
  );
}
