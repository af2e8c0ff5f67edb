/** Which blocks each node acknowledged, and has to have after any crash. */
import { Violation } from "./checkers.ts";
import type { WorldNode } from "./node.ts";

/** A block by height and hash. */
type Tip = { readonly height: number; readonly hash: string };

/** The highest acknowledged block of each node. */
export class Kept {
  readonly #heights = new Map<WorldNode, number>();
  readonly #hashAt: (height: number) => string | undefined;

  /** @param hashAt - The final block of a height, as far as it is known; of height 0, too. */
  constructor(hashAt: (height: number) => string | undefined) {
    this.#hashAt = hashAt;
  }

  heightOf(node: WorldNode): number {
    return this.#heights.get(node) ?? 0;
  }

  onWiped(node: WorldNode): void {
    node.heightBeforeWipe = this.heightOf(node);
    this.#heights.set(node, 0);
  }

  /** A node must have all that it acknowledged, and nothing that is not final. @throws {Violation} */
  onOpened(node: WorldNode, { height, hash }: Tip): void {
    const kept = this.heightOf(node);
    if (height < kept)
      throw new Violation("density", `node ${node.index} lost ${height + 1} to ${kept}`);
    const final = this.#hashAt(height);
    if (final !== undefined && hash !== final)
      throw new Violation("agreement", `node ${node.index} opens with another ${height}`);
    this.#heights.set(node, height);
  }

  /** @throws {Violation} */
  onAppended(node: WorldNode, height: number): void {
    const kept = this.heightOf(node);
    if (height !== kept + 1)
      throw new Violation("density", `node ${node.index} has ${height} after ${kept}`);
    this.#heights.set(node, height);
  }
}
