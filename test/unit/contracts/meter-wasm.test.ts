/**
 * The meter on tiny modules made by hand, where the gas can be counted on fingers.
 *
 * Mutations that must fail here: dropping the charge at a loop head, counting `end` as an
 * instruction, leaving `return` unpatched (depth leaks), charging memory.fill before its operands,
 * keeping the module's own maximum of the memory.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LedgerError } from "../../../src/base/errors.ts";
import type { MeterOptions } from "../../../src/contracts/meter-plan.ts";
import { meterExports, meterWasm } from "../../../src/contracts/meter-wasm.ts";
import { seedOf } from "../../helpers/seed.ts";

const options: MeterOptions = { memoryPages: 2, depthBytesMax: 10_000 };

const i32 = 0x7f;
const end = 0x0b;
const get = (index: number) => [0x20, index];
const constant = (value: number) => [0x41, value];

/** One function of type (i32) -> i32, exported as `f`, with a memory of one page and no maximum. */
function moduleOf(code: readonly number[], locals: readonly number[] = [0]): Uint8Array {
  const section = (id: number, ...content: number[]) => [id, content.length, ...content];
  const body = [...locals, ...code, end];
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...section(1, 1, 0x60, 1, i32, 1, i32),
    ...section(3, 1, 0),
    ...section(5, 1, 0, 1),
    ...section(7, 1, 1, 0x66, 0, 0),
    ...section(10, 1, body.length, ...body),
  ]);
}

function instantiate(code: readonly number[], locals?: readonly number[]) {
  const bytes = meterWasm(moduleOf(code, locals), options);
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), {});
  const gas = exports[meterExports.gas] as WebAssembly.Global;
  const depth = exports[meterExports.depth] as WebAssembly.Global;
  const f = exports.f as (value: number) => number;
  return {
    f,
    depth: () => depth.value,
    charge: exports[meterExports.charge] as (amount: number) => void,
    setGas: (amount: number) => {
      gas.value = BigInt(amount);
    },
    gasOf: (value: number) => {
      gas.value = 1_000_000n;
      f(value);
      return 1_000_000 - Number(gas.value);
    },
    left: () => Number(gas.value),
  };
}

/** do { n = n - 1 } while (n != 0); n: five instructions a turn, one after the loop. */
const countDown = [
  ...[0x03, 0x40, ...get(0), ...constant(1), 0x6b, 0x22, 0, 0x0d, 0, end],
  ...get(0),
];

/** f(n) = n == 0 ? 0 : f(n - 1), leaving by `return`. */
const recursion = [
  ...[...get(0), 0x45, 0x04, 0x40, ...constant(0), 0x0f, end],
  ...[...get(0), ...constant(1), 0x6b, 0x10, 0],
];

describe("meterWasm", () => {
  test("charges each turn of a loop by its instructions", () => {
    const { gasOf, f } = instantiate(countDown);
    expect(f(5)).toBe(0);
    expect(gasOf(1)).toBe(6);
    expect(gasOf(1000)).toBe(5001);
  });

  test("traps at the loop head where gas runs out, and is negative then", () => {
    const { f, setGas, left } = instantiate(countDown);
    setGas(5001);
    expect(f(1000)).toBe(0);
    setGas(4994);
    expect(() => f(1000)).toThrow(WebAssembly.RuntimeError);
    expect(left()).toBeLessThan(0);
  });

  test("charges the branch that is taken only", () => {
    // n ? 7 + 1 + 1 : 7
    const { gasOf } = instantiate([
      ...[...get(0), 0x04, i32, ...constant(7), ...constant(1), 0x6a, ...constant(1), 0x6a],
      ...[0x05, ...constant(7), end],
    ]);
    expect(gasOf(1)).toBe(7);
    expect(gasOf(0)).toBe(3);
  });

  test("counts frames on the way in and out, also by return", () => {
    const { f, depth } = instantiate(recursion);
    expect(f(3)).toBe(0);
    expect(depth()).toBe(0);
  });

  test("stops recursion at the same depth every time, before the host does", () => {
    const deepest = () => {
      let [low, high] = [1, 1_000_000];
      while (low < high) {
        const middle = Math.ceil((low + high) / 2);
        const { f, left } = instantiate(recursion);
        try {
          f(middle);
          low = middle;
        } catch (error) {
          expect(error).toBeInstanceOf(WebAssembly.RuntimeError);
          expect(left()).toBeGreaterThan(0);
          high = middle - 1;
        }
      }
      return low;
    };
    // A frame of one parameter is 200 bytes by estimate.
    expect(deepest()).toBe(Math.floor(options.depthBytesMax / 200) - 1);
  });

  test("charges memory.fill and memory.copy by size before doing them", () => {
    const fill = [...constant(0), ...constant(1), ...get(0), 0xfc, 0x0b, 0, ...constant(1)];
    const copy = [...constant(0), ...constant(1), ...get(0), 0xfc, 0x0a, 0, 0, ...constant(1)];
    for (const code of [fill, copy]) {
      const { gasOf, f, setGas } = instantiate(code);
      const empty = gasOf(0);
      expect(gasOf(4)).toBe(empty + 1);
      expect(gasOf(40_000)).toBe(empty + 10_000);
      setGas(100);
      expect(() => f(40_000)).toThrow(/unreachable/);
    }
  });

  test("charges memory.grow by pages and never grows", () => {
    const { gasOf, f } = instantiate([...get(0), 0x40, 0]);
    expect(f(1)).toBe(-1);
    expect(f(0)).toBe(2);
    expect(gasOf(3)).toBe(gasOf(0) + 3 * 16_384);
  });

  test("keeps results, locals and branches out of nested blocks", () => {
    // block block br_table(n: 0, 1) end; return 10 end; 20
    const { f } = instantiate(
      [
        ...[0x02, 0x40, 0x02, 0x40, ...get(0), 0x0e, 1, 0, 1, end],
        ...[...constant(10), 0x0f, end, ...constant(20), 0x21, 1, ...get(1)],
      ],
      [1, 1, i32],
    );
    expect([f(0), f(1), f(9)]).toEqual([10, 20, 20]);
  });

  test("lets the host charge, which traps when nothing is left", () => {
    const { charge, setGas, left } = instantiate(countDown);
    setGas(10);
    charge(10);
    expect(left()).toBe(0);
    expect(() => charge(4_000_000_000)).toThrow(WebAssembly.RuntimeError);
  });

  test("refuses instructions it does not know", () => {
    for (const opcode of [0x06, 0x12, 0xfd, 0xfe]) {
      expect(() => meterWasm(moduleOf([opcode, 0]), options)).toThrow(/CONTRACT_ENGINE_INVALID/);
    }
  });

  test("throws nothing but LedgerError, whatever the bytes", () => {
    const base = moduleOf(recursion);
    const edit = fc.tuple(fc.nat(base.length - 1), fc.nat(255));
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 4 }), fc.nat(8), (edits, cut) => {
        const bytes = base.slice(0, base.length - cut);
        for (const [index, value] of edits) if (index < bytes.length) bytes[index] = value;
        try {
          meterWasm(bytes, options);
        } catch (error) {
          expect(error).toBeInstanceOf(LedgerError);
        }
      }),
      { seed: seedOf(11), numRuns: 500 },
    );
  });
});
