/**
 * Ready statement: who is to become a validator says, with the key that will vote, up to which
 * block its node has followed the chain. Nobody is added without one: a set of which a quorum is
 * not there would stop the chain.
 *
 * Signed: `tag || 0 || [bin chainId, height, bin blockHash, bin peerKey]`
 *
 * | # | field | type | meaning |
 * |---|---|---|---|
 * | 0 | chainId | bin 32 | hash of the genesis header |
 * | 1 | height | integer | the last block that the node has |
 * | 2 | blockHash | bin 32 | its hash |
 * | 3 | peerKey | bin 32 | network identity of the node, which submits the statement |
 */
import { hexToBytes } from "../bytes.ts";
import { type Hash, tagged, tags } from "../hash.ts";
import type { PublicKey } from "../keys.ts";
import { encode } from "./codec.ts";

/** What is stated. */
export type ReadyStatement = {
  readonly chainId: Hash;
  readonly height: number;
  readonly blockHash: Hash;
  readonly peerKey: PublicKey;
};

/** Returns the message that the validator key signs. */
export function readyMessage({ chainId, height, blockHash, peerKey }: ReadyStatement): Uint8Array {
  const bytes = encode([hexToBytes(chainId), height, hexToBytes(blockHash), hexToBytes(peerKey)]);
  return tagged(tags.ready, bytes);
}
