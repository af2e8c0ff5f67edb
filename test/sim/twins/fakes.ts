/** Stand-ins for signatures and blocks: what the cores hand on without a look inside. */
import type { Block } from "../../../src/base/format/block.ts";
import type { Certificate, Claim } from "../../../src/base/format/message.ts";
import { zeroHash } from "../../../src/base/hash.ts";
import type { ConsensusState } from "../../../src/consensus/state.ts";

/** A block with what makes it final, as one instance knows it. */
export type Decided = {
  readonly block: Block;
  readonly certificate: Certificate;
  /** Virtual milliseconds since the start. */
  readonly atMs: number;
};

/** Says what was signed and by whom; the cores only hand it on. */
export function fakeSign(claim: Claim, validator: string): Uint8Array {
  const what = claim.kind === "roundChange" ? claim.prepared?.blockHash : claim.blockHash;
  const text = `${claim.kind} ${claim.height}/${claim.round} ${what} by ${validator}`;
  return text as unknown as Uint8Array;
}

/** A block of the instance's own transactions; its hash is a name that no other block has. */
export function fakeBlock(
  { self, tip, round }: ConsensusState,
  index: number,
  nowMs: number,
): Block {
  const header = {
    chainId: zeroHash,
    height: 1,
    parentHash: tip.hash,
    timestampMs: nowMs,
    proposer: self as string,
    transactionsRoot: zeroHash,
    receiptsRoot: zeroHash,
    stateRoot: zeroHash,
    validatorsHash: zeroHash,
    nextValidatorsHash: zeroHash,
    gasUsed: 0,
  };
  return { header, hash: `block of ${index} in round ${round}`, transactions: [] };
}
