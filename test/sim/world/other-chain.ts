/**
 * A second chain that all validators and clients of a world run with the same keys (trick
 * `otherChain`): what a liar brings over from it. All of it is signed as it must be, for there.
 */
import { type Block, blockOf, encodeBlock } from "../../../src/base/format/block.ts";
import { encode } from "../../../src/base/format/codec.ts";
import {
  type Claim,
  type ConsensusMessage,
  encodeCertificate,
  encodeMessage,
} from "../../../src/base/format/message.ts";
import { decodeTransaction, signTransaction } from "../../../src/base/format/transaction.ts";
import type { Hash } from "../../../src/base/hash.ts";
import { decodeDecided, encodeDecided } from "../../../src/node/chain-follower.ts";
import { directFrame } from "../../../src/node/transaction-intake.ts";
import { signedBy } from "../fake-keys.ts";
import type { Random } from "../random.ts";
import { fakeSigner, validatorKey } from "./chain.ts";

/** Makes what nodes say on the other chain. */
export class OtherChain {
  readonly #chainId: Hash;
  readonly #count: number;
  readonly #random: Random;

  constructor(options: {
    readonly chainId: Hash;
    readonly count: number;
    readonly random: Random;
  }) {
    this.#chainId = options.chainId;
    this.#count = options.count;
    this.#random = options.random;
  }

  /** Frames with votes and round changes of everybody at a place. */
  votes(at: { readonly height: number; readonly round: number; readonly blockHash: Hash }) {
    const { height, round, blockHash } = at;
    const later = round + 1 + this.#random.below(3);
    return this.#keys().flatMap((validator) => [
      this.#frame(validator, { kind: "prepare", height, round, blockHash }),
      this.#frame(validator, { kind: "commit", height, round, blockHash }),
      this.#frame(validator, { kind: "roundChange", height, round: later, prepared: undefined }),
    ]);
  }

  /** A frame in which the proposer of a block proposes it, or what it is on the other chain. */
  proposal(block: Block, round: number): Uint8Array {
    const own = this.#random.chance(0.5) ? block : this.#blockHere(block);
    const { height, proposer } = own.header;
    const changes = this.#keys().map((validator) =>
      this.#sign(validator, { kind: "roundChange", height, round, prepared: undefined }),
    );
    const claim = { kind: "proposal", height, round, blockHash: own.hash } as const;
    const roundChanges = round === 0 ? [] : changes;
    return frameOf({ ...this.#sign(proposer, claim), block: own, roundChanges, prepares: [] });
  }

  /** A decided block of ours as the other chain has it: certified there, whole or by its votes only. */
  decided(bytes: Uint8Array): Uint8Array {
    const { block, certificate } = decodeDecided(bytes);
    const own = this.#random.chance(0.5) ? block : this.#blockHere(block);
    const { height, round } = certificate;
    const blockHash = own.hash;
    const commit = { kind: "commit", height, round, blockHash } as const;
    const signatures = certificate.signatures.map(({ validatorIndex }) => {
      const validator = validatorKey(validatorIndex);
      return { validatorIndex, signature: this.#sign(validator, commit).signature };
    });
    return encodeDecided(
      encodeBlock(own),
      encodeCertificate({ height, round, blockHash, signatures }),
    );
  }

  /** What clients signed here as they sign it there, with a nonce that may be new to both. */
  transactions({ transactions }: Block): Uint8Array[] {
    return transactions.map((bytes) => {
      const { sender, nonce, expiresAtMs, contract, method, argsJson, gasLimit } =
        decodeTransaction(bytes);
      const skipped = this.#random.chance(0.5) ? 0 : 1 + this.#random.below(500);
      const there = { chainId: this.#chainId, nonce: nonce + skipped, expiresAtMs };
      const body = { ...there, contract, method, argsJson, gasLimit };
      return signTransaction(body, fakeSigner(sender)).bytes;
    });
  }

  #blockHere({ header, transactions }: Block): Block {
    return blockOf({ ...header, chainId: this.#chainId }, transactions);
  }

  #keys(): string[] {
    return Array.from({ length: this.#count }, (_, index) => validatorKey(index));
  }

  #sign<C extends Claim>(validator: string, claim: C) {
    return signedBy(validator, claim, this.#chainId);
  }

  #frame(validator: string, claim: Exclude<Claim, { kind: "proposal" }>): Uint8Array {
    const signed = this.#sign(validator, claim);
    if (signed.kind !== "roundChange") return frameOf(signed);
    return frameOf({ ...signed, preparedBlock: undefined, prepares: [] });
  }
}

/** A direct frame with transactions, as one node hands them to another. */
export function transactionsFrame(transactions: readonly Uint8Array[]): Uint8Array {
  return directFrame("transactions", encode([[...transactions]]));
}

function frameOf(message: ConsensusMessage): Uint8Array {
  return directFrame("consensus", encodeMessage(message));
}
