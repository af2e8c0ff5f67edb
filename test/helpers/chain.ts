/**
 * A small chain for tests of storage: real genesis, real signatures, real certificates, and a toy
 * executor that needs no sandbox. A toy transaction's arguments are an object of state keys below
 * `toy/` and their new integer values, null = deleted.
 */
import { compareUtf8 } from "../../src/base/bytes.ts";
import { type Block, blockOf, type Header } from "../../src/base/format/block.ts";
import { didOf } from "../../src/base/format/did.ts";
import {
  defaultParameters,
  type GenesisBlock,
  genesisBlock,
  type LedgerParameters,
} from "../../src/base/format/genesis.ts";
import { type Certificate, claimMessage } from "../../src/base/format/message.ts";
import { encodeReceipt } from "../../src/base/format/receipt.ts";
import { decodeTransaction, signTransaction } from "../../src/base/format/transaction.ts";
import { valueHashOf, zeroHash } from "../../src/base/hash.ts";
import type { Signer, Verifier } from "../../src/base/keys.ts";
import { quorumSize } from "../../src/base/proof/certificate.ts";
import { merkleRoot } from "../../src/base/proof/merkle.ts";
import { portableSigner } from "../../src/base/signer.ts";
import { portableVerifier } from "../../src/base/verifier.ts";
import { StateTree } from "../../src/ledger/state-tree.ts";
import type { LedgerStore } from "../../src/ledger/store.ts";
import type {
  AppendInput,
  Execute,
  Executed,
  StateChange,
  StateReader,
} from "../../src/ledger/types.ts";

const heartbeatMs = 1_000;
const signers = Array.from({ length: 10 }, (_, index) =>
  portableSigner(new Uint8Array(32).fill(index + 1)),
);
const validators = signers
  .slice(0, 4)
  .toSorted((left, right) => compareUtf8(left.publicKey, right.publicKey));
const sender = signers[8] as Signer;

/** Changes of one toy transaction. */
export type ToyChanges = Readonly<Record<string, number | null>>;

/** The genesis of the test chain; another name makes another chain. */
export function testGenesis(
  name = "test ledger",
  parameters: Partial<LedgerParameters> = {},
): GenesisBlock {
  const did = (index: number) => didOf((signers[index] as Signer).publicKey);
  return genesisBlock({
    format: "loopledger-genesis-v0",
    name,
    timestampMs: 1_600_000_000_000,
    engineHash: zeroHash,
    parameters: { ...defaultParameters, ...parameters },
    roles: { operator: "operates" },
    members: [0, 1, 2, 3].map((index) => ({
      id: `member-${index}`,
      name: `Member ${index}`,
      validatorKey: did(index),
      peerKey: did(index + 4),
    })),
    accounts: [{ did: did(8), member: "member-0", name: "Operator", roles: ["operator"] }],
    devices: [],
    contracts: [],
  });
}

/** Makes blocks one after the other, keeping the state in memory. */
export class TestChain {
  readonly genesis: GenesisBlock;
  readonly state: Map<string, string>;
  tree: StateTree;
  tip: Block;
  #nonce = 0;

  constructor(genesis = testGenesis()) {
    this.genesis = genesis;
    this.state = new Map(genesis.state);
    this.tree = StateTree.fromSorted(
      genesis.state.map(([key, value]) => [key, valueHashOf(value)] as const),
    );
    this.tip = blockOf(genesis.header, []);
  }

  /** Goes on after a block with the state it left. */
  resume(tip: Block, entries: readonly (readonly [key: string, value: string])[]): void {
    this.tip = tip;
    this.#nonce = tip.header.height * 1_000;
    this.state.clear();
    for (const [key, value] of entries) this.state.set(key, value);
    this.tree = StateTree.fromSorted(entries.map(([key, value]) => [key, valueHashOf(value)]));
  }

  /** Makes the next block and moves on to it. Signing is most of the work. */
  async next(toys: readonly ToyChanges[], certified = certify): Promise<AppendInput> {
    const { chainId } = this.genesis;
    const timestampMs = this.tip.header.timestampMs + heartbeatMs;
    const transactions = toys.map((toy) => {
      this.#nonce += 1;
      const expiresAtMs = timestampMs + 3_600_000;
      const call = { contract: "toy", method: "put", argsJson: JSON.stringify(toy) };
      const body = { chainId, nonce: this.#nonce, expiresAtMs, ...call, gasLimit: 1_000 };
      return signTransaction(body, sender).bytes;
    });
    const height = this.tip.header.height + 1;
    const get = (key: string) => this.state.get(key);
    const draft = { ...this.tip.header, chainId, height, timestampMs } satisfies Header;
    const state: StateReader = { get, range: () => [] };
    const executed = await executeToys({ header: draft, transactions, state });
    this.tree = this.tree.apply(executed.changes.map(leafOf));
    for (const [key, value] of executed.changes)
      if (value === undefined) this.state.delete(key);
      else this.state.set(key, value);
    const header: Header = {
      ...draft,
      parentHash: this.tip.hash,
      proposer: (validators[height % 4] as Signer).publicKey,
      transactionsRoot: merkleRoot(transactions),
      receiptsRoot: merkleRoot(executed.receipts),
      stateRoot: this.tree.root,
      gasUsed: executed.gasUsed,
    };
    this.tip = blockOf(header, transactions);
    return { block: this.tip, certificate: certified(this.tip), ...executed };
  }

  /** Makes blocks with one transaction each: `toy/a` gets the height, `toy/<height>` too. */
  async blocks(count: number): Promise<AppendInput[]> {
    const inputs: AppendInput[] = [];
    for (let made = 0; made < count; made += 1) {
      const height = this.tip.header.height + 1;
      inputs.push(await this.next([{ "toy/a": height, [`toy/key-${height}`]: height }]));
    }
    return inputs;
  }
}

const verified = new Map<string, boolean>();

/** Verifies each distinct signature once: tests of storage verify the same chain many times. */
export const testVerifier: Verifier = {
  verify(message, signature, publicKey) {
    const hex = [message, signature].map((bytes) => Buffer.from(bytes).toString("hex"));
    const key = [publicKey, ...hex].join();
    const answer = verified.get(key) ?? portableVerifier.verify(message, signature, publicKey);
    verified.set(key, answer);
    return answer;
  },
};

/** Signs the certificate of a block with the first quorum of the validators. */
export function certify(block: Block, round = 0): Certificate {
  const { height } = block.header;
  const vote = { kind: "commit", height, round, blockHash: block.hash } as const;
  const signed = validators.slice(0, quorumSize(validators.length)).map((validator, index) => ({
    validatorIndex: index,
    signature: validator.sign(claimMessage(vote, block.header.chainId)),
  }));
  return { height, round, blockHash: block.hash, signatures: signed };
}

/** Executes toy transactions: each counts the sender's window up, too. */
export const executeToys: Execute = async ({ transactions, state }): Promise<Executed> => {
  const changes = new Map<string, string | undefined>();
  const receipts: Uint8Array[] = [];
  const transactionIds: string[] = [];
  for (const bytes of transactions) {
    const transaction = decodeTransaction(bytes);
    const toys = Object.entries(JSON.parse(transaction.argsJson) as ToyChanges)
      .map(([key, value]): StateChange => [key, value === null ? undefined : String(value)])
      .toSorted(([left], [right]) => compareUtf8(left, right));
    for (const [key, value] of toys) changes.set(key, value);
    const windowKey = `system/window/${didOf(transaction.sender)}`;
    const count = Number(changes.get(windowKey) ?? state.get(windowKey) ?? 0);
    changes.set(windowKey, String(count + 1));
    const { id: transactionId } = transaction;
    const receipt = { transactionId, outcome: "ok", gasUsed: 7, events: [] };
    const leaves = toys.map(leafOf).map(([key, valueHash]) => ({ key, valueHash }));
    receipts.push(encodeReceipt({ ...receipt, changes: leaves }));
    transactionIds.push(transactionId);
  }
  const sorted = [...changes].toSorted(([left], [right]) => compareUtf8(left, right));
  return { receipts, transactionIds, changes: sorted, gasUsed: 7 * transactions.length };
};

function leafOf([key, value]: StateChange): [key: string, valueHash: string | undefined] {
  return [key, value === undefined ? undefined : valueHashOf(value)];
}

/** Makes a chain that goes on where a store is. */
export async function replayChain(genesis: GenesisBlock, store: LedgerStore): Promise<TestChain> {
  const chain = new TestChain(genesis);
  const range = { from: "", to: "\u{10ffff}", reverse: false, limit: 1_000_000 };
  const stored = await store.readBlock(store.tip.height);
  chain.resume(stored?.block as Block, store.state.range(range));
  return chain;
}
