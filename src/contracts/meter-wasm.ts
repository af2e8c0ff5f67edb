/**
 * Rewrites a WebAssembly module so that it counts what it does: the same input costs the same gas
 * on every machine. It runs once, at build time (tools/build-engine.mjs), or in memory.
 *
 * Added to the module:
 * - gas, a mutable i64 global that starts large, since start-up code runs while instantiating.
 *   The head of each basic block subtracts the number of instructions up to the next boundary
 *   (loop if else end br br_if br_table return unreachable). `block` is no boundary: one dispatch
 *   of the interpreter opens hundreds. block, loop, else and end cost nothing, as they do nothing.
 * - depth, the host stack in use by estimate: a function that calls adds its frame when it is
 *   entered and takes it back when it is left. A leaf cannot nest and is not counted.
 * - stackLow, the lowest stack pointer seen at a function's entry, so that a restore need clear
 *   no more than was used, and so that the C stack cannot run into the data below it.
 * - memory.grow, memory.copy and memory.fill call helpers that charge by size first.
 * - memory: initial = maximum, so that gas cannot depend on growth.
 *
 * Gas below zero is looked for at loop heads and at entries of functions that call: code between
 * two such places is finite and short. Traps are `unreachable`; which limit it was is read from
 * the globals (see engine.ts).
 *
 * It does not verify the module (the host's compiler does that) and does not order data.
 */
import { utf8 } from "../base/bytes.ts";
import { meterFunction } from "./meter-function.ts";
import type { FunctionType, MeterOptions, MeterPlan } from "./meter-plan.ts";
import { invalidWasm, readSections, WasmReader, WasmWriter, writeSections } from "./wasm-binary.ts";

/** Names of what the rewriter exports besides the module's own exports. */
export const meterExports = {
  gas: "meter_gas",
  depth: "meter_depth",
  stackLow: "meter_stack_low",
  charge: "meter_charge",
  /** Followed by the index of the module's own mutable global. */
  globalPrefix: "mutable_global_",
} as const;

/** Gas before anybody sets it: enough to start the module, far from overflow. */
const startGas = 2 ** 52;

type Imports = { readonly functions: number; readonly globals: number };

/**
 * Returns the metered module.
 *
 * @throws {LedgerError} CONTRACT_ENGINE_INVALID when the module uses what the meter does not know.
 */
export function meterWasm(module: Uint8Array, options: MeterOptions): Uint8Array {
  const sections = readSections(module);
  const types = readTypes(sections.get(1));
  const imports = readImports(sections, options);
  const functionTypes = readIndexes(sections.get(3));
  const globals = readGlobals(sections.get(6));
  const plan = makePlan(
    options,
    imports.functions + functionTypes.length,
    imports.globals + globals.length,
  );
  appendTypes(sections, types.length);
  appendFunctions(sections, functionTypes, types.length);
  fixOwnMemory(sections, options);
  appendGlobals(sections, globals.length);
  appendExports(sections, plan, { globals, firstGlobal: imports.globals });
  const ofFunction = functionTypes.map((index) => {
    const type = types[index];
    if (type === undefined) throw invalidWasm("function without type");
    return type;
  });
  sections.set(10, rewriteCode(sections.get(10), ofFunction, plan));
  return writeSections(sections);
}

function makePlan(options: MeterOptions, functions: number, globals: number): MeterPlan {
  return {
    options,
    gasGlobal: globals,
    depthGlobal: globals + 1,
    stackLowGlobal: globals + 2,
    chargeFunction: functions,
    slowPathFunction: functions + 1,
    growFunction: functions + 2,
    copyFunction: functions + 3,
    fillFunction: functions + 4,
  };
}

function readTypes(section: Uint8Array | undefined): FunctionType[] {
  return readVector(section, (reader) => {
    if (reader.byte() !== 0x60) throw invalidWasm("type is not a function type");
    const params = reader.vector().length;
    return { params, results: [...reader.vector()] };
  });
}

function readIndexes(section: Uint8Array | undefined): number[] {
  return readVector(section, (reader) => reader.u32());
}

/** Returns for each own global whether it is mutable. */
function readGlobals(section: Uint8Array | undefined): boolean[] {
  return readVector(section, (reader) => {
    reader.byte();
    const mutable = reader.byte() === 1;
    for (let opcode = reader.byte(); opcode !== 0x0b; opcode = reader.byte()) {
      if (opcode === 0x43) reader.take(4);
      else if (opcode === 0x44) reader.take(8);
      else reader.skipLeb();
    }
    return mutable;
  });
}

function readVector<T>(section: Uint8Array | undefined, read: (reader: WasmReader) => T): T[] {
  if (section === undefined) return [];
  const reader = new WasmReader(section);
  return Array.from({ length: reader.u32() }, () => read(reader));
}

/** Counts imports by kind and fixes the size of an imported memory. */
function readImports(sections: Map<number, Uint8Array>, options: MeterOptions): Imports {
  const section = sections.get(2);
  if (section === undefined) return { functions: 0, globals: 0 };
  const counts = { functions: 0, globals: 0 };
  const reader = new WasmReader(section);
  const writer = new WasmWriter();
  const count = reader.u32();
  writer.u32(count);
  for (let index = 0; index < count; index += 1) {
    writer.vector(reader.vector());
    writer.vector(reader.vector());
    const kind = reader.byte();
    writer.push(kind);
    if (kind === 0) {
      counts.functions += 1;
      writer.u32(reader.u32());
    } else if (kind === 2) {
      fixLimits(reader, writer, options.memoryPages);
    } else if (kind === 3) {
      counts.globals += 1;
      writer.push(reader.byte(), reader.byte());
    } else {
      throw invalidWasm("imported table");
    }
  }
  sections.set(2, writer.finish());
  return counts;
}

function fixOwnMemory(sections: Map<number, Uint8Array>, options: MeterOptions): void {
  const section = sections.get(5);
  if (section === undefined) return;
  const reader = new WasmReader(section);
  const writer = new WasmWriter();
  const count = reader.u32();
  writer.u32(count);
  for (let index = 0; index < count; index += 1) fixLimits(reader, writer, options.memoryPages);
  sections.set(5, writer.finish());
}

function fixLimits(reader: WasmReader, writer: WasmWriter, pages: number): void {
  const flags = reader.byte();
  if (flags > 1) throw invalidWasm("shared or 64-bit memory");
  const initial = reader.u32();
  if (flags === 1) reader.u32();
  if (initial > pages) throw invalidWasm(`memory needs ${initial} pages`);
  writer.push(1);
  writer.u32(pages);
  writer.u32(pages);
}

/** Added types, in this order: charge, slow path, grow, copy and fill. */
function appendTypes(sections: Map<number, Uint8Array>, count: number): void {
  const i32 = 0x7f;
  appendToVector(sections, 1, count, [
    [0x60, 1, i32, 0],
    [0x60, 0, 0],
    [0x60, 1, i32, 1, i32],
    [0x60, 3, i32, i32, i32, 0],
  ]);
}

function appendFunctions(
  sections: Map<number, Uint8Array>,
  functionTypes: readonly number[],
  firstType: number,
): void {
  const writer = new WasmWriter();
  const indexes = [...functionTypes, ...[0, 1, 2, 3, 3].map((offset) => firstType + offset)];
  writer.u32(indexes.length);
  for (const index of indexes) writer.u32(index);
  sections.set(3, writer.finish());
}

function appendGlobals(sections: Map<number, Uint8Array>, count: number): void {
  const gas = new WasmWriter();
  gas.push(0x7e, 1, 0x42);
  gas.signed(startGas);
  gas.push(0x0b);
  const depth = [0x7f, 1, 0x41, 0, 0x0b];
  const stackLow = new WasmWriter();
  stackLow.push(0x7f, 1, 0x41);
  stackLow.signed(-1);
  stackLow.push(0x0b);
  appendToVector(sections, 6, count, [gas.finish(), depth, stackLow.finish()]);
}

function appendExports(
  sections: Map<number, Uint8Array>,
  plan: MeterPlan,
  own: { readonly globals: readonly boolean[]; readonly firstGlobal: number },
): void {
  const rows: (readonly [name: string, kind: number, index: number])[] = [
    [meterExports.gas, 3, plan.gasGlobal],
    [meterExports.depth, 3, plan.depthGlobal],
    [meterExports.stackLow, 3, plan.stackLowGlobal],
    [meterExports.charge, 0, plan.chargeFunction],
  ];
  own.globals.forEach((mutable, offset) => {
    const index = own.firstGlobal + offset;
    if (mutable) rows.push([`${meterExports.globalPrefix}${index}`, 3, index]);
  });
  const entries = rows.map(([name, kind, index]) => {
    const writer = new WasmWriter();
    writer.vector(utf8(name));
    writer.push(kind);
    writer.u32(index);
    return writer.finish();
  });
  const section = sections.get(7);
  const count = section === undefined ? 0 : new WasmReader(section).u32();
  appendToVector(sections, 7, count, entries);
}

/** Appends encoded elements to a section that is a vector; makes the section if need be. */
function appendToVector(
  sections: Map<number, Uint8Array>,
  id: number,
  count: number,
  elements: readonly (Uint8Array | readonly number[])[],
): void {
  const writer = new WasmWriter();
  writer.u32(count + elements.length);
  const section = sections.get(id);
  if (section !== undefined) {
    const reader = new WasmReader(section);
    reader.u32();
    writer.append(section.subarray(reader.position));
  }
  for (const element of elements) writer.append(Uint8Array.from(element));
  sections.set(id, writer.finish());
}

function rewriteCode(
  section: Uint8Array | undefined,
  types: readonly FunctionType[],
  plan: MeterPlan,
): Uint8Array {
  const reader = new WasmReader(section ?? Uint8Array.of(0));
  const count = reader.u32();
  if (count !== types.length) throw invalidWasm("functions without bodies");
  const bodies = types.map((type) => meterFunction(reader.vector(), type, plan));
  const writer = new WasmWriter();
  const all = [...bodies, ...helperBodies(plan)];
  writer.u32(all.length);
  for (const body of all) writer.vector(body);
  return writer.finish();
}

/** Bodies of the added functions, in the order of the plan. They charge, but are not charged. */
function helperBodies(plan: MeterPlan): Uint8Array[] {
  return [
    chargeBody(plan),
    slowPathBody(plan),
    growBody(plan),
    bulkBody(plan, 0x0a),
    bulkBody(plan, 0x0b),
  ];
}

/** charge(amount: u32): gas -= amount; trap if negative. */
function chargeBody(plan: MeterPlan): Uint8Array {
  const code = new WasmWriter();
  code.push(0, 0x23);
  code.u32(plan.gasGlobal);
  code.push(0x20, 0, 0xad, 0x7d, 0x24); // local.get 0, i64.extend_i32_u, i64.sub, global.set
  code.u32(plan.gasGlobal);
  pushGasTrap(code, plan);
  code.push(0x0b);
  return code.finish();
}

function pushGasTrap(code: WasmWriter, plan: MeterPlan): void {
  code.push(0x23);
  code.u32(plan.gasGlobal);
  code.push(0x42, 0, 0x53, 0x04, 0x40, 0x00, 0x0b); // i64.const 0, lt_s, if unreachable end
}

/** Traps when a limit is passed; otherwise the stack went lower than ever: notes it. */
function slowPathBody(plan: MeterPlan): Uint8Array {
  const { options } = plan;
  const code = new WasmWriter();
  code.push(0);
  pushGasTrap(code, plan);
  code.push(0x23);
  code.u32(plan.depthGlobal);
  code.push(0x41);
  code.signed(options.depthBytesMax);
  code.push(0x4a, 0x04, 0x40, 0x00, 0x0b); // i32.gt_s, if unreachable end
  if (options.stackPointerGlobal !== undefined) {
    code.push(0x23);
    code.u32(options.stackPointerGlobal);
    code.push(0x41);
    code.signed(options.stackFloor ?? 0);
    code.push(0x49, 0x04, 0x40, 0x00, 0x0b, 0x23); // i32.lt_u, if unreachable end, global.get
    code.u32(options.stackPointerGlobal);
    code.push(0x41);
    code.signed(-1024);
    code.push(0x71, 0x24); // i32.and, global.set
    code.u32(plan.stackLowGlobal);
  }
  code.push(0x0b);
  return code.finish();
}

/** grow(pages): charges 16,384 gas a page, as copying one would cost; then memory.grow. */
function growBody(plan: MeterPlan): Uint8Array {
  const code = new WasmWriter();
  code.push(0, 0x20, 0, 0x41);
  code.signed(0xffff);
  code.push(0x71, 0x41, 14, 0x74, 0x10); // i32.and, i32.const 14, i32.shl, call
  code.u32(plan.chargeFunction);
  code.push(0x20, 0, 0x40, 0, 0x0b);
  return code.finish();
}

/** copy or fill(to, from or value, length): charges 1 gas a started 4 bytes, then does it. */
function bulkBody(plan: MeterPlan, sub: 0x0a | 0x0b): Uint8Array {
  const code = new WasmWriter();
  code.push(0, 0x20, 2, 0x41, 2, 0x76, 0x41, 1, 0x6a, 0x10); // (length >>> 2) + 1, call
  code.u32(plan.chargeFunction);
  code.push(0x20, 0, 0x20, 1, 0x20, 2, 0xfc, sub, 0);
  if (sub === 0x0a) code.push(0);
  code.push(0x0b);
  return code.finish();
}
