/**
 * The host functions of one call: state with the call's own changes over it, events, hashing and
 * signature checks.
 *
 * (1) Work is charged before it is done, by size, so that no host function is cheaper than the
 *     instructions it saves. A charge that leaves no gas traps and ends the call.
 * (2) The first rule a contract breaks decides the outcome, even if it catches the exception: the
 *     call fails with that code, and every later host function throws.
 * (3) Changes and events are only kept here. Whoever made this object drops it if the call fails.
 */
import { bytesToHex, compareUtf8, hexToBytes } from "../base/bytes.ts";
import { LedgerError } from "../base/errors.ts";
import { canonicalJson } from "../base/format/json.ts";
import { hash32Pattern, sha256 } from "../base/hash.ts";
import { signatureBytes, type Verifier } from "../base/keys.ts";
import { limits } from "../base/limits.ts";
import type { Guest } from "./instance.ts";
import { type CallCode, type ContractEvent, callCodes, type StateReader } from "./types.ts";

/** Names of the host functions; the index is the id that the engine calls back with. */
export const hostFunctionNames = [
  "get",
  "set",
  "delete",
  "range",
  "emit",
  "log",
  "sha256",
  "verify",
] as const;

/**
 * Gas of host functions: a base, and an amount a byte of text that goes in or out. Five gas are
 * about a nanosecond; the bases are the measured cost of the work a node does for it, later work
 * included (a written key costs a place in the state tree and in the store).
 */
const hostGas = {
  get: { base: 20_000, byte: 10 },
  set: { base: 100_000, byte: 50 },
  range: { base: 20_000, byte: 10, entry: 5_000 },
  emit: { base: 20_000, byte: 50 },
  log: { base: 1_000, byte: 10 },
  sha256: { base: 15_000, byte: 20 },
  verify: { base: 630_000, byte: 20 },
  output: { base: 0, byte: 50 },
} as const;

/** What the host functions of one call need. */
export type HostOptions = {
  readonly contract: string;
  readonly kind: "method" | "view";
  readonly state: StateReader;
  readonly verifier: Verifier;
  readonly onLog?: ((contract: string, text: string) => void) | undefined;
};

const topicPattern = /^[A-Za-z][A-Za-z0-9._-]{0,63}$/;

/** Ends a host function: recorded, then thrown to the guest. */
class Refusal extends Error {
  readonly code: CallCode;

  constructor(code: CallCode, reason: string) {
    super(reason);
    this.code = code;
  }
}

/** Arguments of one host function, read from the guest. */
class Arguments {
  readonly guest: Guest;
  readonly #count: number;
  readonly #first: number;

  constructor(guest: Guest, count: number, first: number) {
    this.guest = guest;
    this.#count = count;
    this.#first = first;
  }

  text(index: number, code: CallCode): string {
    const text =
      index < this.#count
        ? this.guest.instance.readString(this.guest.context, this.#pointer(index))
        : undefined;
    if (text === undefined) throw new Refusal(code, `argument ${index + 1} is not a string`);
    return text;
  }

  boolean(index: number): boolean {
    const value =
      index < this.#count ? this.guest.instance.readBoolean(this.#pointer(index)) : undefined;
    if (value !== undefined) return value;
    throw new Refusal(callCodes.hostArgumentInvalid, `argument ${index + 1} is not a boolean`);
  }

  integer(index: number): number {
    const value =
      index < this.#count ? this.guest.instance.readInteger(this.#pointer(index)) : undefined;
    if (value !== undefined) return value;
    throw new Refusal(callCodes.hostArgumentInvalid, `argument ${index + 1} is not an integer`);
  }

  #pointer(index: number): number {
    return this.#first + 8 * index;
  }
}

/** What a host function gives back to the guest. */
type Answer = string | boolean | undefined;

/** Host functions and collected effects of one call. */
export class CallHost {
  readonly #options: HostOptions;
  readonly #changes = new Map<string, string | undefined>();
  readonly #events: ContractEvent[] = [];
  #failure: Refusal | undefined;

  constructor(options: HostOptions) {
    this.#options = options;
  }

  /** The first broken rule, if any. */
  get failure(): { readonly code: CallCode; readonly message: string } | undefined {
    return this.#failure;
  }

  /** Changes in the order of key bytes. */
  changes(): (readonly [key: string, value: string | undefined])[] {
    return [...this.#changes].sort(([left], [right]) => compareUtf8(left, right));
  }

  /** Events in the order they were emitted. */
  get events(): readonly ContractEvent[] {
    return this.#events;
  }

  /** Runs a host function by id. @returns A pointer to an owned value, or 0 for undefined. */
  readonly call = (guest: Guest, argc: number, argv: number, id: number): number => {
    const { instance, context } = guest;
    try {
      if (this.#failure !== undefined) throw this.#failure;
      const answer = this.#dispatch(id, new Arguments(guest, argc, argv));
      if (answer === undefined) return 0;
      if (typeof answer === "string") return instance.newString(context, answer);
      return instance.newBoolean(context, answer);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.#failure ??= error;
      return instance.throwError(context, error.message);
    }
  };

  #dispatch(id: number, given: Arguments): Answer {
    switch (hostFunctionNames[id]) {
      case "get":
        return this.#get(given);
      case "set":
        return this.#set(given);
      case "delete":
        return this.#delete(given);
      case "range":
        return this.#range(given);
      case "emit":
        return this.#emit(given);
      case "log":
        return this.#log(given);
      case "sha256":
        return hashHex(given);
      case "verify":
        return verifyHex(given, this.#options.verifier);
      default:
        throw new Error(`no host function ${id}`);
    }
  }

  #get(given: Arguments): string | undefined {
    const key = readKey(given);
    charge(given, hostGas.get, key.length);
    const value = this.#changes.has(key) ? this.#changes.get(key) : this.#options.state.get(key);
    if (value !== undefined) chargeBytes(given, hostGas.get, value.length);
    return value;
  }

  #set(given: Arguments): undefined {
    const key = this.#ownKey(given);
    const text = given.text(1, callCodes.valueInvalid);
    charge(given, hostGas.set, key.length + text.length);
    this.#changes.set(key, canonical(text, callCodes.valueInvalid));
  }

  #delete(given: Arguments): undefined {
    const key = this.#ownKey(given);
    charge(given, hostGas.set, key.length);
    this.#changes.set(key, undefined);
  }

  #range(given: Arguments): string {
    const from = given.text(0, callCodes.keyInvalid);
    const to = given.text(1, callCodes.keyInvalid);
    const reverse = given.boolean(2);
    const limit = given.integer(3);
    if (limit < 1 || limit > limits.rangeEntriesMax) {
      throw new Refusal(callCodes.hostArgumentInvalid, `limit ${limit} is not within 1..1000`);
    }
    charge(given, hostGas.range, from.length + to.length);
    given.guest.instance.charge(this.#changes.size * hostGas.range.byte);
    const entries = this.#rangeEntries({ from, to, reverse, limit }, given);
    const text = JSON.stringify(entries);
    chargeBytes(given, hostGas.range, text.length);
    return text;
  }

  /** State with the call's own changes over it. */
  #rangeEntries(
    range: { from: string; to: string; reverse: boolean; limit: number },
    given: Arguments,
  ): (readonly [string, string])[] {
    if (compareUtf8(range.from, range.to) >= 0) return [];
    const own = [...this.#changes].filter(
      ([key]) => compareUtf8(key, range.from) >= 0 && compareUtf8(key, range.to) < 0,
    );
    // Every own change hides at most one entry of the state, as does what earlier calls deleted:
    // a queue that was emptied in this block would else be walked for nothing, call after call.
    const hidden = own.length + (this.#options.state.hiddenRows?.(range) ?? 0);
    given.guest.instance.charge(hidden * hostGas.range.entry);
    const base = this.#options.state.range({ ...range, limit: range.limit + own.length });
    given.guest.instance.charge(base.length * hostGas.range.entry);
    if (own.length === 0) return [...base];
    const merged = base.filter(([key]) => !this.#changes.has(key));
    for (const [key, value] of own) if (value !== undefined) merged.push([key, value]);
    merged.sort(([left], [right]) => compareUtf8(left, right) * (range.reverse ? -1 : 1));
    return merged.slice(0, range.limit);
  }

  #emit(given: Arguments): undefined {
    this.#refuseInView();
    const topic = given.text(0, callCodes.eventInvalid);
    const text = given.text(1, callCodes.eventInvalid);
    charge(given, hostGas.emit, topic.length + text.length);
    if (this.#events.length >= limits.eventsPerCallMax) {
      throw new Refusal(callCodes.eventsExceeded, `more than ${limits.eventsPerCallMax} events`);
    }
    if (!topicPattern.test(topic)) throw new Refusal(callCodes.eventInvalid, "topic");
    const json = canonical(text, callCodes.eventInvalid);
    this.#events.push({ contract: this.#options.contract, topic, json });
  }

  #log(given: Arguments): undefined {
    const text = given.text(0, callCodes.hostArgumentInvalid);
    charge(given, hostGas.log, text.length);
    this.#options.onLog?.(this.#options.contract, text);
  }

  #ownKey(given: Arguments): string {
    this.#refuseInView();
    const key = readKey(given);
    if (key.startsWith(`${this.#options.contract}/`)) return key;
    throw new Refusal(callCodes.keyForeign, `key ${key} is not the contract's own`);
  }

  #refuseInView(): void {
    if (this.#options.kind === "method") return;
    throw new Refusal(callCodes.viewWrites, "a view cannot write or emit");
  }
}

type Rate = { readonly base: number; readonly byte: number };

function charge(given: Arguments, rate: Rate, length: number): void {
  given.guest.instance.charge(rate.base + rate.byte * length);
}

/** Charges a length in UTF-16 units, which is within three times of the bytes. */
function chargeBytes(given: Arguments, rate: Rate, length: number): void {
  given.guest.instance.charge(rate.byte * length);
}

function readKey(given: Arguments): string {
  const key = given.text(0, callCodes.keyInvalid);
  const bytes = key.length > limits.stateKeyBytesMax ? key.length : Buffer.byteLength(key);
  if (bytes >= 1 && bytes <= limits.stateKeyBytesMax) return key;
  throw new Refusal(callCodes.keyInvalid, `key of ${bytes} bytes`);
}

function canonical(text: string, code: CallCode): string {
  if (text.length > limits.stateValueBytesMax) throw new Refusal(code, "the JSON is too long");
  let json: string;
  try {
    json = canonicalJson(text);
  } catch (cause) {
    if (!(cause instanceof LedgerError)) throw cause;
    throw new Refusal(code, cause.message);
  }
  if (Buffer.byteLength(json) <= limits.stateValueBytesMax) return json;
  throw new Refusal(code, "the JSON is too long");
}

function readHex(given: Arguments, index: number): string {
  const hex = given.text(index, callCodes.hostArgumentInvalid);
  given.guest.instance.charge(hostGas.sha256.byte * hex.length);
  if (hex.length % 2 === 0 && /^[0-9a-f]*$/.test(hex)) return hex;
  throw new Refusal(callCodes.hostArgumentInvalid, `argument ${index + 1} is not lowercase hex`);
}

function hashHex(given: Arguments): string {
  given.guest.instance.charge(hostGas.sha256.base);
  return bytesToHex(sha256(hexToBytes(readHex(given, 0))));
}

/** A key or signature of the wrong length verifies nothing; text that is no hex is refused. */
function verifyHex(given: Arguments, verifier: Verifier): boolean {
  given.guest.instance.charge(hostGas.verify.base);
  const [publicKey, signature, message] = [readHex(given, 0), readHex(given, 1), readHex(given, 2)];
  if (!hash32Pattern.test(publicKey) || signature.length !== 2 * signatureBytes) return false;
  return verifier.verify(hexToBytes(message), hexToBytes(signature), publicKey);
}

/** Gas of the work that a returned text costs a node. */
export function outputGas(text: string): number {
  return hostGas.output.base + hostGas.output.byte * text.length;
}
