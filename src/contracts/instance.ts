/**
 * One running engine: a WebAssembly instance with its own memory, its imports cut down to the
 * allow-list, and the few operations the sandbox needs, on raw pointers.
 *
 * It does not know contracts. It is not reusable after a trap: a trap does not unwind the C stack,
 * so whoever sees one drops the instance.
 */
import { isUtf8 } from "node:buffer";
import { assert } from "../base/assert.ts";
import { type Engine, exportNames, importNames, layout } from "./engine.ts";
import { meterExports } from "./meter-wasm.ts";

/** What an instance calls back. Replaced for each call. */
export type Callbacks = {
  /** Block time; constant while an image is made. */
  timeMs: number;
  /** Runs a host function; returns a pointer to an owned value, or 0 for undefined. */
  callFunction: (argc: number, argv: number, id: number) => number;
};

/** Why the engine stopped for good, if it was not the meter. */
export class EngineStop extends Error {
  override readonly name = "EngineStop";
  readonly kind: "memory" | "fault";

  constructor(kind: "memory" | "fault", reason: string) {
    super(reason);
    this.kind = kind;
  }
}

type ExportName = keyof typeof exportNames;
type Functions = Readonly<Record<ExportName, (...values: number[]) => number>>;

/** Tags of QuickJS values: the upper half of the 64 bits. A rope is a string not yet joined. */
const tags = { string: -7, rope: -6, object: -1, integer: 0, boolean: 1, exception: 6 } as const;

/** A QuickJS engine in its own memory. */
export class Instance {
  readonly memory: Uint8Array;
  readonly words: Uint32Array;
  readonly functions: Functions;
  readonly callbacks: Callbacks = { timeMs: 0, callFunction: () => 0 };
  /** The engine's own mutable globals, in index order: the C stack pointer. */
  readonly globals: readonly WebAssembly.Global[];
  readonly stackLow: WebAssembly.Global;
  readonly depth: WebAssembly.Global;
  /** Charges gas; traps when none is left. Amounts are 32-bit unsigned integers. */
  readonly charge: (amount: number) => void;
  readonly #gas: WebAssembly.Global;
  readonly #buffer: Buffer;

  constructor(engine: Engine) {
    const pages = layout.memoryPages;
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    this.memory = new Uint8Array(memory.buffer);
    this.words = new Uint32Array(memory.buffer);
    this.#buffer = Buffer.from(memory.buffer);
    const imports = makeImports(this, WebAssembly.Module.imports(engine.module));
    const { exports } = new WebAssembly.Instance(engine.module, { a: { ...imports, a: memory } });
    this.functions = Object.fromEntries(
      Object.entries(exportNames).map(([name, letter]) => [name, exports[letter]]),
    ) as Functions;
    this.#gas = exports[meterExports.gas] as WebAssembly.Global;
    this.depth = exports[meterExports.depth] as WebAssembly.Global;
    this.stackLow = exports[meterExports.stackLow] as WebAssembly.Global;
    this.charge = exports[meterExports.charge] as (amount: number) => void;
    this.globals = Object.keys(exports)
      .filter((name) => name.startsWith(meterExports.globalPrefix))
      .map((name) => exports[name] as WebAssembly.Global);
    assert(this.globals.length === 1, "the engine has one mutable global, its stack pointer");
  }

  /** Gas left; below zero after a trap for want of gas. */
  get gas(): number {
    return Number(this.#gas.value);
  }

  set gas(amount: number) {
    this.#gas.value = BigInt(amount);
  }

  /** Says which limit of the meter a trap was for, if any. */
  meterLimit(): "gas" | "depth" | "stack" | undefined {
    if (this.gas < 0) return "gas";
    if ((this.depth.value as number) > layout.depthBytesMax) return "depth";
    return (this.globals[0]?.value as number) < layout.stackFloor ? "stack" : undefined;
  }

  /** Copies text into the guest as UTF-8 with a final zero byte. The guest's `free` is due. */
  writeText(text: string): number {
    const bytes = Buffer.byteLength(text);
    const pointer = this.functions.malloc(bytes + 1);
    this.#buffer.write(text, pointer, bytes, "utf8");
    this.memory[pointer + bytes] = 0;
    return pointer;
  }

  /** Makes a guest string. @returns A pointer to an owned value. */
  newString(context: number, text: string): number {
    const bytes = this.writeText(text);
    const value = this.functions.newString(context, bytes);
    this.functions.free(bytes);
    return value;
  }

  /** Makes a guest boolean. @returns A pointer to an owned value. */
  newBoolean(context: number, value: boolean): number {
    const constant = value ? this.functions.getTrue() : this.functions.getFalse();
    return this.functions.duplicate(context, constant);
  }

  /** Leaves an `Error` pending in the guest. @returns What a host function gives back then. */
  throwError(context: number, message: string): number {
    const error = this.functions.newError(context);
    const [key, text] = [this.newString(context, "message"), this.newString(context, message)];
    this.functions.setProperty(context, error, key, text);
    const mark = this.functions.throwValue(context, error);
    for (const value of [key, text, error]) this.functions.freeValue(context, value);
    return mark;
  }

  /**
   * Reads a guest string.
   *
   * @returns `undefined` when the value is not a string or has a lone surrogate.
   */
  readString(context: number, value: number): string | undefined {
    const tag = this.#tag(value);
    return tag === tags.string || tag === tags.rope ? this.toText(context, value) : undefined;
  }

  /** Converts any guest value to text, which may run guest code. Undefined when that throws. */
  toText(context: number, value: number): string | undefined {
    const start = this.functions.getString(context, value);
    if (start === 0) return undefined;
    const length = (this.words[(start - layout.stringLengthOffset) >>> 2] as number) & 0x7fffffff;
    this.charge(length);
    const text = this.#buffer.toString("utf8", start, start + length);
    const bytes = this.memory.subarray(start, start + length);
    const wellFormed = !text.includes("\ufffd") || isUtf8(bytes);
    this.functions.freeCString(context, start);
    return wellFormed ? text : undefined;
  }

  /** Tells whether a value is the mark of a pending exception. */
  isException(value: number): boolean {
    return this.#tag(value) === tags.exception;
  }

  /** Tells whether a value is an object, which a function is too. */
  isObject(value: number): boolean {
    return this.#tag(value) === tags.object;
  }

  /** Reads a 32-bit integer; undefined for anything else. */
  readInteger(value: number): number | undefined {
    return this.#tag(value) === tags.integer ? (this.words[value >>> 2] as number) | 0 : undefined;
  }

  /** Reads a boolean; undefined for anything else. */
  readBoolean(value: number): boolean | undefined {
    return this.#tag(value) === tags.boolean ? this.words[value >>> 2] !== 0 : undefined;
  }

  #tag(value: number): number {
    return (this.words[(value >>> 2) + 1] as number) | 0;
  }
}

/** An instance and the context that lives in it. */
export type Guest = { readonly instance: Instance; readonly context: number };

type Import = (...values: never[]) => unknown;

/** Fills every import: the allowed ones do their work, the others stop the engine. */
function makeImports(
  instance: Instance,
  wanted: readonly { readonly name: string; readonly kind: string }[],
): Record<string, Import> {
  const allowed: Record<string, Import> = {
    [importNames.environGet]: () => 0,
    [importNames.environSizesGet]: (count: number, size: number) => {
      instance.words[count >>> 2] = 0;
      instance.words[size >>> 2] = 0;
      return 0;
    },
    [importNames.now]: () => instance.callbacks.timeMs,
    [importNames.localTime]: (seconds: bigint, target: number) =>
      writeUtcTime(instance.words, Number(seconds), target >>> 2),
    [importNames.timeZone]: (offset: number, hasSummer: number, name: number, summer: number) => {
      instance.words[offset >>> 2] = 0;
      instance.words[hasSummer >>> 2] = 0;
      for (const target of [name, summer]) instance.memory.set([0x55, 0x54, 0x43, 0], target);
    },
    [importNames.callFunction]: (
      _c: number,
      _this: number,
      argc: number,
      argv: number,
      id: number,
    ) => instance.callbacks.callFunction(argc, argv, id),
    [importNames.freeHostRef]: () => undefined,
    [importNames.resizeHeap]: () => {
      throw new EngineStop("memory", "the memory is full");
    },
  };
  const functions = wanted.filter(({ kind }) => kind === "function");
  return Object.fromEntries(functions.map(({ name }) => [name, allowed[name] ?? refuse(name)]));
}

function refuse(name: string): Import {
  return () => {
    throw new EngineStop("fault", `the engine called its import ${name}`);
  };
}

/** Writes `struct tm` in UTC, whatever the machine's time zone. */
function writeUtcTime(words: Uint32Array, seconds: number, target: number): void {
  const date = new Date(seconds * 1000);
  const yearStart = Date.UTC(date.getUTCFullYear(), 0, 1);
  const fields = [
    date.getUTCSeconds(),
    date.getUTCMinutes(),
    date.getUTCHours(),
    date.getUTCDate(),
    date.getUTCMonth(),
    date.getUTCFullYear() - 1900,
    date.getUTCDay(),
    Math.floor((date.getTime() - yearStart) / 86_400_000),
    0,
    0,
  ];
  fields.forEach((field, index) => {
    words[target + index] = Number.isNaN(field) ? 0 : field;
  });
}
