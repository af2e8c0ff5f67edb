/**
 * Proof of one change of the validator set: the header of the block that made it, certified by the
 * set before, and the set after, which the header commits to. All of them, from the genesis on, are
 * the history of who was allowed to sign. As JSON, in the API and in evidence:
 *
 * | field | form | meaning |
 * |---|---|---|
 * | `header` | hexadecimal | header whose `nextValidatorsHash` differs from its `validatorsHash` |
 * | `certificate` | hexadecimal | commits of a quorum of the validators of that height |
 * | `validators` | list of did:key | validators of the next height, in the order of their raw keys |
 */
import { z } from "zod";
import { limits } from "../limits.ts";

const isHex = (text: string) => text.length % 2 === 0 && /^[0-9a-f]+$/.test(text);
const HexText = z.string().refine(isHex, "expected lowercase hexadecimal bytes");

/** Schema of the proof of a change. */
export const SetChange = z.strictObject({
  header: HexText,
  certificate: HexText,
  validators: z.array(z.string().max(100)).min(1).max(limits.validatorsMax),
});

/** Proof of a change. Its bytes are hexadecimal text still. */
export type SetChange = z.infer<typeof SetChange>;
