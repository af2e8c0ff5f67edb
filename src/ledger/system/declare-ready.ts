/** A candidate's word that its node has followed the chain and can vote (ADR 0021). */
import { z } from "zod";
import { hexToBytes } from "../../base/bytes.ts";
import { publicKeyOf } from "../../base/format/did.ts";
import { readyMessage } from "../../base/format/validator-ready.ts";
import { hash32Pattern } from "../../base/hash.ts";
import { signatureBytes } from "../../base/keys.ts";
import { limits } from "../../base/limits.ts";
import { readTable, writeRow } from "./tables.ts";
import { type SystemCall, SystemRefusal, systemMethod } from "./types.ts";

const signaturePattern = new RegExp(`^[0-9a-f]{${2 * signatureBytes}}$`);

/**
 * `declareReady`: sent by the candidate's node, signed with the key that will vote. That the block
 * hash is right is not checked here, as no call knows older blocks: it is on record for people.
 */
export const declareReady = systemMethod({
  roles: ["node"],
  gas: 2_000_000,
  args: z.strictObject({
    height: z.int().min(0),
    blockHash: z.string().regex(hash32Pattern),
    signature: z.string().regex(signaturePattern),
  }),
  run({ height, blockHash, signature }, call) {
    const { state, sender, chainId, verifier, timeMs } = call;
    const [id, candidate] = candidateWith(call);
    if (height >= call.height || height < call.height - limits.readyHeightsMax)
      throw new SystemRefusal("SYSTEM_READY_INVALID", `height ${height} is not a recent one`);
    const message = readyMessage({ chainId, height, blockHash, peerKey: publicKeyOf(sender) });
    const key = publicKeyOf(candidate.validatorKey);
    if (!verifier.verify(message, hexToBytes(signature), key))
      throw new SystemRefusal("SYSTEM_READY_INVALID", "the signature does not hold");
    writeRow(state, ["ready", id], { height, blockHash, atMs: timeMs });
    call.emit("candidateReady", { candidate: id, height });
  },
});

function candidateWith({ state, sender }: SystemCall) {
  const row = readTable(state, "candidate").find(([, { peerKey }]) => peerKey === sender);
  if (row !== undefined) return row;
  throw new SystemRefusal("SYSTEM_CANDIDATE_UNKNOWN", "your key is of no candidate");
}
