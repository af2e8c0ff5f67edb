/**
 * Image of an instance: everything that a later instruction could read. Each call starts from it,
 * so nothing of a call reaches the next.
 *
 * Kept: static data, the used part of the heap, all mutable globals. Zero by definition: the
 * C stack at rest and the heap above the break (image.test.ts looks at every word of both).
 *
 * (1) After `restoreImage`, memory and globals are as when the image was taken, to the bit.
 * (2) It is called only after a normal end: a trap may leave anything behind, so then the instance
 *     is dropped and a new one filled from the image.
 *
 * Never written to disk: it is made again from the source, and its hash compared.
 */
import { assert } from "../base/assert.ts";
import { type Hash, hashOf } from "../base/hash.ts";
import { layout } from "./engine.ts";
import type { Instance } from "./instance.ts";

/** Memory and globals of a guest that has evaluated its bundle. */
export type Image = {
  readonly data: Uint8Array;
  readonly heap: Uint8Array;
  readonly globals: readonly (number | bigint)[];
  readonly hash: Hash;
};

/** Takes the image of an instance at rest. Clears its stack first. */
export function takeImage(instance: Instance): Image {
  assert(instance.globals[0]?.value === layout.stackTop, "the C stack is empty at rest");
  clearStack(instance);
  const heapEnd = heapBreak(instance);
  const data = instance.memory.slice(0, layout.dataEnd);
  const heap = instance.memory.slice(layout.stackTop, heapEnd);
  const globals = instance.globals.map((global) => global.value);
  return { data, heap, globals, hash: hashImage(data, heap) };
}

/** Puts an instance back to the image; touches only what can have changed. */
export function restoreImage(instance: Instance, image: Image): void {
  const heapEnd = layout.stackTop + image.heap.length;
  const dirtyEnd = heapBreak(instance);
  clearStack(instance);
  instance.memory.set(image.data, 0);
  instance.memory.set(image.heap, layout.stackTop);
  if (dirtyEnd > heapEnd) instance.memory.fill(0, heapEnd, dirtyEnd);
  instance.globals.forEach((global, index) => {
    global.value = image.globals[index] as number | bigint;
  });
  instance.depth.value = 0;
}

/** End of the heap in use. Only grows while a call runs. */
function heapBreak(instance: Instance): number {
  const end = instance.words[layout.breakAddress >>> 2] as number;
  assert(end >= layout.stackTop && end <= instance.memory.length, "the break lies in the heap");
  return end;
}

/** Zeroes the stack down to the lowest pointer seen, and room for a leaf function's frame. */
function clearStack(instance: Instance): void {
  const noted = (instance.stackLow.value as number) >>> 0;
  const low = Math.max(layout.dataEnd, Math.min(noted, layout.stackTop) - layout.leafFrameBytes);
  instance.memory.fill(0, low, layout.stackTop);
  instance.stackLow.value = layout.stackTop;
}

/** SHA-256 of the two lengths as 32-bit big-endian numbers, data and heap. */
function hashImage(data: Uint8Array, heap: Uint8Array): Hash {
  const bytes = new Uint8Array(8 + data.length + heap.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  view.setUint32(4, heap.length);
  bytes.set(data, 8);
  bytes.set(heap, 8 + data.length);
  return hashOf(bytes);
}
