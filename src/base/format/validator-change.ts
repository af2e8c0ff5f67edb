/**
 * Changes of the validator set, as administrators approve them on the ledger. A change is JSON and
 * known by the hash of its RFC 8785 text, so approvals of one change add up whoever wrote it.
 *
 * | kind | fields | effect |
 * |---|---|---|
 * | `admit` | `candidate`: id, name, validatorKey, peerKey, optional address | may connect, follow and say that it is ready; does not vote |
 * | `add` | `ids`: one or two candidates | they vote from the next height on |
 * | `remove` | `ids`: one or two members | they vote no more from the next height on |
 * | `withdraw` | `id`: a candidate | it is none any more |
 *
 * Ids ascend, each once: one change has one text.
 */
import { z } from "zod";
import { utf8 } from "../bytes.ts";
import { type Hash, hashOf } from "../hash.ts";
import { Member } from "./genesis.ts";
import { encodeJson, type JsonValue } from "./json.ts";
import { namePattern } from "./transaction.ts";

const Id = z.string().regex(namePattern);
/** More at once could stop the chain: of 1 + 3 validators the former one is no quorum. */
const idsMax = 2;
const Ids = z
  .array(Id)
  .min(1)
  .max(idsMax)
  .refine((ids) => ids.every((id, index) => index === 0 || (ids[index - 1] as string) < id), {
    error: "expected ids in ascending order, each once",
  });

/** Schema of a change. */
export const ValidatorChange = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("admit"), candidate: Member }),
  z.strictObject({ kind: z.literal("add"), ids: Ids }),
  z.strictObject({ kind: z.literal("remove"), ids: Ids }),
  z.strictObject({ kind: z.literal("withdraw"), id: Id }),
]);

/** A change of the validator set. */
export type ValidatorChange = z.infer<typeof ValidatorChange>;

/** Returns the hash a change is known by. */
export function changeId(change: ValidatorChange): Hash {
  return hashOf(utf8(encodeJson(change as JsonValue)));
}
