/**
 * Meters the body of one WebAssembly function: finds its basic blocks, then writes it again with
 * a charge at the head of each. See meter-wasm.ts for the rules.
 *
 * A function that calls is wrapped, `enter; block ...body... end; leave`, so that every way out
 * passes `leave`: a branch to the outermost label now ends the added block, whose label has the
 * same index, and `return` becomes such a branch.
 */
import type { FunctionType, MeterPlan } from "./meter-plan.ts";
import { invalidWasm, skipImmediates, WasmReader, WasmWriter } from "./wasm-binary.ts";

/** A run of instructions with one entry; `isLoop` marks the head of a loop. */
type Segment = { readonly start: number; end: number; cost: number; readonly isLoop: boolean };

/** An instruction that is written differently. */
type Patch = { readonly start: number; readonly end: number; readonly kind: PatchKind };
type PatchKind =
  | { readonly name: "return"; readonly nesting: number }
  | { readonly name: "grow" | "copy" | "fill" };

type Scan = {
  readonly locals: readonly (readonly [count: number, type: number])[];
  readonly segments: readonly Segment[];
  readonly patches: readonly Patch[];
  readonly hasCalls: boolean;
};

/**
 * Bytes of host stack by estimate of a frame: fixed part, plus one slot a parameter or local, as
 * a baseline compiler spills them all. Measured against the real stack in depth.test.ts.
 */
const frameBytesFixed = 192;
const frameBytesPerLocal = 8;

/** Returns the metered body. */
export function meterFunction(body: Uint8Array, type: FunctionType, plan: MeterPlan): Uint8Array {
  if (type.results.length > 1) throw invalidWasm("function with several results");
  const scan = scanBody(body);
  const localCount = scan.locals.reduce((sum, [count]) => sum + count, type.params);
  const writer = new WasmWriter();
  writer.u32(scan.locals.length + 2);
  for (const [count, valueType] of [...scan.locals, [1, 0x7e] as const, [1, 0x7f] as const]) {
    writer.u32(count);
    writer.push(valueType);
  }
  const emit = new Emitter(writer, plan, localCount);
  const frame = frameBytesFixed + frameBytesPerLocal * localCount;
  scan.segments.forEach((segment, index) => {
    if (index === 0 && scan.hasCalls) {
      emit.enter(segment.cost, frame);
      writer.push(0x02, type.results[0] ?? 0x40);
    } else if (segment.isLoop) emit.checkedCharge(segment.cost);
    else if (segment.cost > 0) emit.charge(segment.cost);
    emit.instructions(body, segment, scan);
  });
  if (scan.hasCalls) {
    emit.leave(frame);
    writer.push(0x0b);
  }
  return writer.finish();
}

function scanBody(body: Uint8Array): Scan {
  const reader = new WasmReader(body);
  const locals = Array.from({ length: reader.u32() }, () => [reader.u32(), reader.byte()] as const);
  const segments: Segment[] = [];
  const patches: Patch[] = [];
  let segment: Segment = { start: reader.position, end: 0, cost: 0, isLoop: false };
  let nesting = 0;
  let hasCalls = false;
  while (!reader.done) {
    const start = reader.position;
    const opcode = reader.byte();
    const kind = patchKind(reader, opcode, nesting);
    skipImmediates(reader, opcode);
    if (kind !== undefined) patches.push({ start, end: reader.position, kind });
    if (opcode === 0x10 || opcode === 0x11 || kind?.name === "grow") hasCalls = true;
    if (opcode >= 0x02 && opcode <= 0x04) nesting += 1;
    if (opcode === 0x0b) nesting -= 1;
    if (!isFree(opcode)) segment.cost += 1;
    if (!isBoundary(opcode)) continue;
    segment.end = reader.position;
    segments.push(segment);
    segment = { start: reader.position, end: 0, cost: 0, isLoop: opcode === 0x03 };
  }
  if (nesting !== -1) throw invalidWasm("blocks do not close");
  return { locals, segments, patches, hasCalls };
}

/** loop if else end br br_if br_table return unreachable end a basic block. */
function isBoundary(opcode: number): boolean {
  return (
    opcode === 0x00 || (opcode >= 0x03 && opcode <= 0x05) || (opcode >= 0x0b && opcode <= 0x0f)
  );
}

/** block, loop, else, end and nop make no machine code. */
function isFree(opcode: number): boolean {
  return (opcode >= 0x01 && opcode <= 0x03) || opcode === 0x05 || opcode === 0x0b;
}

function patchKind(reader: WasmReader, opcode: number, nesting: number): PatchKind | undefined {
  if (opcode === 0x0f) return { name: "return", nesting };
  if (opcode === 0x40) return { name: "grow" };
  if (opcode !== 0xfc) return undefined;
  const sub = reader.bytes[reader.position];
  if (sub === 0x0a) return { name: "copy" };
  return sub === 0x0b ? { name: "fill" } : undefined;
}

/** Writes the added instructions of one function. */
class Emitter {
  readonly #writer: WasmWriter;
  readonly #plan: MeterPlan;
  readonly #gasLocal: number;
  readonly #depthLocal: number;
  #patchIndex = 0;

  constructor(writer: WasmWriter, plan: MeterPlan, localCount: number) {
    this.#writer = writer;
    this.#plan = plan;
    this.#gasLocal = localCount;
    this.#depthLocal = localCount + 1;
  }

  /** gas -= cost. */
  charge(cost: number): void {
    this.#subtract(cost);
    this.#index(0x24, this.#plan.gasGlobal);
  }

  /** gas -= cost; if (gas < 0) unreachable. */
  checkedCharge(cost: number): void {
    this.#subtractKeeping(cost);
    this.#writer.push(0x04, 0x40, 0x00, 0x0b);
  }

  /** Charges, counts the frame, and takes the slow path when any limit is passed. */
  enter(cost: number, frame: number): void {
    const { options, depthGlobal, stackLowGlobal, slowPathFunction } = this.#plan;
    this.#index(0x23, depthGlobal);
    this.#writer.push(0x41);
    this.#writer.signed(frame);
    this.#writer.push(0x6a);
    this.#index(0x22, this.#depthLocal);
    this.#index(0x24, depthGlobal);
    this.#subtractKeeping(cost);
    this.#index(0x20, this.#depthLocal);
    this.#writer.push(0x41);
    this.#writer.signed(options.depthBytesMax);
    this.#writer.push(0x4a, 0x72); // i32.gt_s, i32.or
    if (options.stackPointerGlobal !== undefined) {
      this.#index(0x23, options.stackPointerGlobal);
      this.#index(0x23, stackLowGlobal);
      this.#writer.push(0x49, 0x72); // i32.lt_u, i32.or
    }
    this.#writer.push(0x04, 0x40);
    this.#index(0x10, slowPathFunction);
    this.#writer.push(0x0b);
  }

  /** Takes the frame back. */
  leave(frame: number): void {
    this.#index(0x20, this.#depthLocal);
    this.#writer.push(0x41);
    this.#writer.signed(frame);
    this.#writer.push(0x6b);
    this.#index(0x24, this.#plan.depthGlobal);
  }

  /** Copies a segment, with the patches that fall into it. */
  instructions(body: Uint8Array, segment: Segment, scan: Scan): void {
    let position = segment.start;
    for (; ; this.#patchIndex += 1) {
      const patch = scan.patches[this.#patchIndex];
      if (patch === undefined || patch.start >= segment.end) break;
      this.#writer.append(body.subarray(position, patch.start));
      if (patch.kind.name !== "return") this.#index(0x10, this.#helper(patch.kind.name));
      else if (scan.hasCalls) this.#index(0x0c, patch.kind.nesting);
      else this.#writer.push(0x0f);
      position = patch.end;
    }
    this.#writer.append(body.subarray(position, segment.end));
  }

  #helper(name: "grow" | "copy" | "fill"): number {
    if (name === "grow") return this.#plan.growFunction;
    return name === "copy" ? this.#plan.copyFunction : this.#plan.fillFunction;
  }

  #subtract(cost: number): void {
    this.#index(0x23, this.#plan.gasGlobal);
    this.#writer.push(0x42);
    this.#writer.signed(cost);
    this.#writer.push(0x7d);
  }

  /** Leaves "gas is negative" on the operand stack. */
  #subtractKeeping(cost: number): void {
    this.#subtract(cost);
    this.#index(0x22, this.#gasLocal);
    this.#index(0x24, this.#plan.gasGlobal);
    this.#index(0x20, this.#gasLocal);
    this.#writer.push(0x42, 0, 0x53); // i64.const 0, i64.lt_s
  }

  /** An instruction with one index. */
  #index(opcode: number, index: number): void {
    this.#writer.push(opcode);
    this.#writer.u32(index);
  }
}
