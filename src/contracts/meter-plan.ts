/** What the rewriter of a module and the rewriter of one function share. See meter-wasm.ts. */

/** What the rewriter must know of the module and of the limits. All of it is part of the engine. */
export type MeterOptions = {
  /** Fixed size of the memory, in pages of 64 KiB. */
  readonly memoryPages: number;
  /** Bytes of host stack by estimate that nested calls may use. */
  readonly depthBytesMax: number;
  /** Index of the mutable global that is the C stack pointer, if there is one. */
  readonly stackPointerGlobal?: number;
  /** Lowest address that the C stack may reach. */
  readonly stackFloor?: number;
};

/** Where the added globals and functions are, and the limits baked into the code. */
export type MeterPlan = {
  readonly options: MeterOptions;
  readonly gasGlobal: number;
  readonly depthGlobal: number;
  readonly stackLowGlobal: number;
  readonly chargeFunction: number;
  readonly slowPathFunction: number;
  readonly growFunction: number;
  readonly copyFunction: number;
  readonly fillFunction: number;
};

/** A function type as far as the meter needs it: results are value types, at most one. */
export type FunctionType = { readonly params: number; readonly results: readonly number[] };
