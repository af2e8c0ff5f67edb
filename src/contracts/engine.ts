/**
 * The contract engine: QuickJS compiled to WebAssembly, metered. This file owns the facts of that
 * one pinned binary: which export is which, where its stack is, and what it may import.
 *
 * Nothing of the machine may reach the guest. Of its imports only these do anything: the clock
 * gives the block time, time zone and environment are UTC and empty, and `callFunction` leads to
 * the host functions. Every other import stops the call: the allow-list is tested.
 *
 * The engine hash is SHA-256 of the metered bytes. Nodes with different engines would disagree on
 * gas, so the genesis pins it.
 */
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { LedgerError } from "../base/errors.ts";
import { type Hash, hashOf } from "../base/hash.ts";
import { meterWasm } from "./meter-wasm.ts";

/** SHA-256 of the engine before metering: quickjs-emscripten 0.32.0, release, synchronous. */
const pinnedBaseHash = "105c3bed22d457e43e3d1c3c1c6959fda62a8fe06f0fc8a985303c3a2be72232";

/** Where things are in the memory of the pinned binary. image.test.ts checks each. */
export const layout = {
  pageBytes: 65_536,
  /** 32 MiB: 26.9 MiB of heap. The memory never grows. */
  memoryPages: 512,
  /** Static data ends and the C stack may not go below it. */
  dataEnd: 90_208,
  /** Stack pointer at rest; the heap begins here. */
  stackTop: 5_333_088,
  /** Word that holds the break: the end of the heap that `malloc` took so far. */
  breakAddress: 86_864,
  /** Word of a context that says how to evaluate source; zero turns every `eval` off. */
  evalSlotOffset: 248,
  /** Length of a string is this far before its characters. */
  stringLengthOffset: 12,
  /** Lowest address that the stack pointer may have where a function is entered. */
  stackFloor: 90_208 + 131_072,
  /** The guest's own limit of its C stack, 4 MiB: beyond it the guest gets an exception. */
  guestStackBytes: 4_194_304,
  /** Stack of a leaf function below the lowest pointer noted; the largest frame has 1,072 bytes. */
  leafFrameBytes: 8_192,
  /**
   * Host stack that nested calls may use, in bytes by the meter's estimate. Measured over all
   * recursion of test/unit/contracts/bombs.ts, baseline and optimised code: 600,000 by estimate
   * fit into 600 KB of stack, not into 450. Node starts with 984 KB.
   */
  depthBytesMax: 500_000,
} as const;

/** Exports of the pinned binary, by the names that its minified glue gives them. */
export const exportNames = {
  start: "u",
  malloc: "v",
  free: "M",
  throwValue: "w",
  newError: "x",
  setMaxStackSize: "D",
  getFalse: "G",
  getTrue: "H",
  duplicate: "T",
  newRuntime: "K",
  newContext: "N",
  freeValue: "P",
  freeCString: "S",
  newString: "_",
  getString: "$",
  getProperty: "ha",
  setProperty: "ja",
  call: "ma",
  resolveException: "na",
  evaluate: "pa",
  getGlobalObject: "ua",
  newFunction: "Da",
  newObject: "U",
} as const;

/** Imports of the pinned binary. Those not named here are refused; see `instance.ts`. */
export const importNames = {
  environGet: "e",
  environSizesGet: "f",
  resizeHeap: "k",
  localTime: "m",
  timeZone: "n",
  now: "p",
  callFunction: "s",
  freeHostRef: "t",
} as const;

/** A compiled engine. Instances are made from it without compiling again. */
export type Engine = {
  readonly module: WebAssembly.Module;
  readonly hash: Hash;
};

/**
 * Returns the bytes of the metered engine, made from the installed package. The build calls it
 * from `dist`.
 *
 * @public
 */
export function buildMeteredEngine(): Uint8Array {
  const require = createRequire(import.meta.url);
  const library = createRequire(require.resolve("quickjs-emscripten"));
  const base = readFileSync(library.resolve("@jitl/quickjs-wasmfile-release-sync/wasm"));
  if (hashOf(base) !== pinnedBaseHash) {
    throw new LedgerError("CONTRACT_ENGINE_INVALID", { reason: "not the pinned QuickJS build" });
  }
  return meterWasm(base, {
    memoryPages: layout.memoryPages,
    depthBytesMax: layout.depthBytesMax,
    stackPointerGlobal: 0,
    stackFloor: layout.stackFloor,
  });
}

let shared: Engine | undefined;

/**
 * Returns the engine of this process: the built file beside this one, or one rewritten in memory
 * when there is no build (70 ms, once).
 */
export function loadEngine(): Engine {
  if (shared !== undefined) return shared;
  const built = new URL("quickjs.metered.wasm", import.meta.url);
  const bytes = existsSync(built) ? readFileSync(built) : buildMeteredEngine();
  shared = { module: new WebAssembly.Module(bytes), hash: hashOf(bytes) };
  return shared;
}
