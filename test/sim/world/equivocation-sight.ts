/**
 * What honest nodes could not fail to see of liars: two votes of one key for one place that reach
 * one node while it works on that height. Such a liar must come onto the record.
 */
import { claimMessage } from "../../../src/base/format/message.ts";
import { worldVerifier } from "./chain.ts";
import { messageIn } from "./liar.ts";
import type { WorldNode } from "./node.ts";

/** What a node was told for one place first. */
type Seen = { readonly blockHash: string; readonly atMs: number };

/** Further apart, a node may have forgotten the first one. */
const memoryMs = 3_000;

/** Watches what reaches honest nodes. */
export class EquivocationSight {
  readonly #chainId: string;
  readonly #liars: ReadonlySet<string>;
  readonly #seen = new WeakMap<object, Map<string, Seen>>();
  /** Keys whose contradiction was visible. */
  readonly visible = new Set<string>();

  constructor(chainId: string, liars: Iterable<string>) {
    this.#chainId = chainId;
    this.#liars = new Set(liars);
  }

  /** Sees a frame reach an honest node. */
  note(node: WorldNode, frame: Uint8Array, nowMs: number): void {
    const { running, life } = node;
    if (running === undefined || life?.isPaused !== false) return;
    const message = messageIn(frame);
    if (message?.kind !== "prepare" && message?.kind !== "commit") return;
    const { validator, kind, height, round, blockHash, signature } = message;
    const { core } = running.driver;
    const isAtWork = core.height === height && core.validators.includes(validator);
    if (!isAtWork || !this.#liars.has(validator) || this.visible.has(validator)) return;
    const bytes = claimMessage(message, this.#chainId);
    if (!worldVerifier.verify(bytes, signature, validator)) return;
    const places = this.#seen.get(life) ?? new Map<string, Seen>();
    this.#seen.set(life, places);
    const place = `${validator} ${kind} ${height}/${round}`;
    const first = places.get(place);
    if (first === undefined) places.set(place, { blockHash, atMs: nowMs });
    else if (first.blockHash !== blockHash && nowMs - first.atMs <= memoryMs)
      this.visible.add(validator);
  }
}
