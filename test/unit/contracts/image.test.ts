/**
 * The image and the facts of the pinned binary that it rests on (`layout`). When one of these
 * fails after an engine upgrade, the addresses in engine.ts are wrong: find them again.
 *
 * Mutations that must fail here: not zeroing the heap above the break, not clearing the stack,
 * keeping an instance that trapped, a wrong evaluation slot.
 */
import { describe, expect, test } from "vitest";
import { importNames, layout, loadEngine } from "../../../src/contracts/engine.ts";
import { restoreImage } from "../../../src/contracts/image.ts";
import { Instance } from "../../../src/contracts/instance.ts";
import { type Run, Sandbox } from "../../../src/contracts/sandbox.ts";
import { bombs } from "./bombs.ts";
import { bundle } from "./bundle.ts";

const source = bundle("image", {
  light: "return 1",
  heavy: `const all = []; for (let i = 0; i < 1500; i++) all.push("x".repeat(i) + i);
    (function f(n) { if (n > 0) f(n - 1); })(80); return all.join("").length`,
  regexp: "return /(a|b)*c/.exec('ab'.repeat(2000) + 'c')[0].length",
  sort: "return Array.from({ length: 2000 }, (_, i) => -i).sort((a, b) => a - b)[0]",
  throws: "throw new Error(new Date(2000, 1).toISOString() + (1.5).toFixed(20))",
  ...{ deep: bombs["recursion through map"] as string },
});

const run = (method: string): Run => ({
  entry: "call",
  input: JSON.stringify({ kind: "method", method, args: null }),
  gasLimit: 100_000_000,
  timeMs: 5,
  host: () => 0,
});

/** Bytes of both memories from the first that differs, if one does. */
function firstDifference(left: Instance, right: Instance): number | undefined {
  if (Buffer.compare(left.memory, right.memory) === 0) return undefined;
  return left.words.findIndex((word, index) => word !== right.words[index]) * 4;
}

describe("image", () => {
  const engine = loadEngine();

  test("equals the image of another evaluation, to the bit", () => {
    const [a, b] = [Sandbox.build(engine, "x", source), Sandbox.build(engine, "y", source)];
    expect(a.image.hash).toBe(b.image.hash);
    expect(Buffer.compare(a.image.heap, b.image.heap)).toBe(0);
    expect(Sandbox.build(engine, "x", `${source} `).image.hash).not.toBe(a.image.hash);
  });

  test.each(["light", "heavy", "regexp", "sort", "throws"])(
    "after %s, every word of memory is as in a fresh instance filled from the image",
    (method) => {
      const sandbox = Sandbox.build(engine, "x", source);
      const end = sandbox.run(run(method));
      expect(end.kind).toBe(method === "throws" ? "threw" : "returned");
      const used = sandbox.instance as Instance;
      restoreImage(used, sandbox.image);
      const fresh = new Instance(engine);
      restoreImage(fresh, sandbox.image);
      expect(firstDifference(used, fresh)).toBeUndefined();
      expect(used.globals.map(({ value }) => value)).toEqual([layout.stackTop]);
      expect(used.depth.value).toBe(0);
    },
  );

  test("a fresh instance is zero where the image keeps nothing", () => {
    const sandbox = Sandbox.build(engine, "x", source);
    const fresh = new Instance(engine);
    restoreImage(fresh, sandbox.image);
    const heapEnd = layout.stackTop + sandbox.image.heap.length;
    const isZero = (from: number, to: number) =>
      Buffer.from(fresh.memory.subarray(from, to)).equals(Buffer.alloc(to - from));
    expect(isZero(layout.dataEnd, layout.stackTop)).toBe(true);
    expect(isZero(heapEnd, fresh.memory.length)).toBe(true);
  });

  test("the evaluation slot turns evaluation of source off", () => {
    const instance = new Instance(engine);
    const { functions } = instance;
    functions.start();
    const context = functions.newContext(functions.newRuntime(), 0xfff);
    const [code, file] = [instance.writeText("1"), instance.writeText("x")];
    const evaluate = () => instance.isException(functions.evaluate(context, code, 1, file, 0, 0));
    expect(evaluate()).toBe(false);
    instance.words[(context + layout.evalSlotOffset) >>> 2] = 0;
    expect(evaluate()).toBe(true);
  });

  test("drops the instance after a trap and keeps it after a guest exception", () => {
    const sandbox = Sandbox.build(engine, "x", source);
    sandbox.run(run("throws"));
    const kept = sandbox.instance;
    expect(kept).toBeInstanceOf(Instance);
    expect(sandbox.run(run("deep"))).toMatchObject({ kind: "exhausted", limit: "depth" });
    expect(sandbox.instance).toBeUndefined();
    sandbox.run(run("light"));
    expect(sandbox.instance).not.toBe(kept);
  });

  test("the break word is where malloc moves the end of the heap", () => {
    const instance = new Instance(engine);
    instance.functions.start();
    const before = instance.words[layout.breakAddress >>> 2] as number;
    const block = instance.functions.malloc(1_000_000);
    const after = instance.words[layout.breakAddress >>> 2] as number;
    expect(after - before).toBeGreaterThan(900_000);
    expect(after).toBeGreaterThanOrEqual(block + 1_000_000);
    expect(after).toBeLessThan(block + 1_100_000);
  });

  test("imports beyond the allow-list stop the engine", () => {
    const kinds = WebAssembly.Module.imports(engine.module).map(({ kind }) => kind);
    expect(kinds.filter((kind) => kind === "function")).toHaveLength(19);
    const allowed = Object.values(importNames).sort().join("");
    expect(allowed).toBe("efkmnpst");
  });
});
