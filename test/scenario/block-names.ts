/**
 * Names of blocks: A, B, ... in the order in which they appear, so that a log says which are the
 * same and does not change with the bytes of a header.
 */
import type { Block } from "../../src/base/format/block.ts";
import type { Hash } from "../../src/base/hash.ts";
import type { PublicKey } from "../../src/base/keys.ts";
import { keyOf } from "../sim/fake-keys.ts";
import { textOf } from "../sim/fake-ledger.ts";

const letters = [..."ABCDEFGHIJKLMNOPQRSTUVWXYZ"];
const automaticNames = [...letters, ...letters.flatMap((one) => letters.map((two) => one + two))];
const indexes = new Map(Array.from({ length: 32 }, (_, index) => [keyOf(index), index]));

/** Returns the number of the validator that has a key. */
export function indexOf(key: PublicKey): number {
  const index = indexes.get(key);
  if (index === undefined) throw new Error(`no validator has the key ${key}`);
  return index;
}

/** All blocks of a scenario by name. */
export class BlockNames {
  readonly #blocks = new Map<string, Block>();
  readonly #names = new Map<Hash, string>();

  /** Names a block. @throws {Error} when the name is taken. */
  add(name: string, block: Block): void {
    if (this.#blocks.has(name)) throw new Error(`there is a block ${name} already`);
    this.#blocks.set(name, block);
    this.#names.set(block.hash, name);
  }

  /** Returns the block of a name. @throws {Error} when there is none. */
  block(name: string | undefined): Block {
    const block = this.#blocks.get(name ?? "");
    if (block === undefined) throw new Error(`no block ${name}`);
    return block;
  }

  /** Returns the name of a block, for one not seen before with what is in it. */
  of(block: Block): string {
    const known = this.#names.get(block.hash);
    if (known !== undefined) return known;
    const name = automaticNames.find((candidate) => !this.#blocks.has(candidate)) ?? "-";
    this.add(name, block);
    const texts = block.transactions.map(textOf).join(" ") || "nothing";
    return `${name} (by ${indexOf(block.header.proposer)}: ${texts})`;
  }

  /** Returns the name of the block with a hash. */
  ofHash(hash: Hash): string {
    return this.#names.get(hash) ?? "an unknown block";
  }
}
