/**
 * A node in memory for tests of the API and of the client: real formats, real signatures, real
 * proofs, but no consensus and no sandbox. `mine` makes a block of what is pending. A toy
 * transaction's arguments say what it does: `{events: n}` emits n events, `{set: {key: value}}`
 * changes state, `{fail: CODE}` ends with an error receipt.
 */

import { setTimeout as delay } from "node:timers/promises";
import type {
  ApiAppended,
  ApiEvent,
  ApiLedger,
  ApiNode,
  ApiStateProof,
  ApiTransactionStatus,
  NodeStatus,
} from "../../../src/api/api-node.ts";
import { compareUtf8 } from "../../../src/base/bytes.ts";
import { LedgerError } from "../../../src/base/errors.ts";
import { type Block, blockOf, type Header } from "../../../src/base/format/block.ts";
import { didOf } from "../../../src/base/format/did.ts";
import { defaultParameters, type Genesis, genesisBlock } from "../../../src/base/format/genesis.ts";
import { canonicalJson } from "../../../src/base/format/json.ts";
import { type Certificate, claimMessage } from "../../../src/base/format/message.ts";
import { encodeReceipt, type Receipt } from "../../../src/base/format/receipt.ts";
import { decodeTransaction, signTransaction } from "../../../src/base/format/transaction.ts";
import { valueHashOf, zeroHash } from "../../../src/base/hash.ts";
import type { Signer } from "../../../src/base/keys.ts";
import { merklePath, merkleRoot } from "../../../src/base/proof/merkle.ts";
import { isStateKey } from "../../../src/base/proof/state-proof.ts";
import { portableSigner } from "../../../src/base/signer.ts";
import { StateTree } from "../../../src/ledger/state-tree.ts";
import type { KeyRange } from "../../../src/ledger/types.ts";
import { membershipView } from "../../../src/node/membership-view.ts";
import { readSetChanges, validatorsAt } from "../../../src/node/set-changes.ts";

const signers = Array.from({ length: 10 }, (_, index) =>
  portableSigner(new Uint8Array(32).fill(index + 1)),
);
const validators = signers
  .slice(0, 4)
  .toSorted((left, right) => compareUtf8(left.publicKey, right.publicKey));

/** The one enrolled sender. */
export const sender = signers[8] as Signer;
/** A key that is not enrolled. */
export const stranger = signers[9] as Signer;

/** Makes a genesis; another name makes another chain. */
export function fakeGenesis(name = "test ledger"): Genesis {
  const did = (index: number) => didOf((signers[index] as Signer).publicKey);
  return {
    format: "loopledger-genesis-v0",
    name,
    timestampMs: 1_600_000_000_000,
    engineHash: zeroHash,
    parameters: defaultParameters,
    roles: { operator: "operates" },
    members: [0, 1, 2, 3].map((index) => ({
      id: `member-${index}`,
      name: `Member ${index}`,
      validatorKey: did(index),
      peerKey: did(index + 4),
    })),
    accounts: [{ did: did(8), member: "member-0", name: "Operator", roles: ["operator"] }],
    devices: [],
    contracts: [
      {
        name: "toy",
        source: "toy",
        imageHash: zeroHash,
        methods: { put: { roles: ["operator"] } },
        views: ["echo", "refuse"],
      },
    ],
  };
}

/** What a toy transaction does. */
export type Toy = {
  readonly events?: number;
  readonly set?: Readonly<Record<string, unknown>>;
  readonly fail?: string;
  readonly pad?: string;
};

type FakeBlock = {
  readonly block: Block;
  readonly certificate: Certificate | undefined;
  readonly receipts: readonly Receipt[];
  readonly state: ReadonlyMap<string, string>;
};

/** The node. Tests reach into it as they like. */
export class FakeNode {
  readonly genesis: Genesis;
  readonly chainId: string;
  readonly pending = new Map<string, Uint8Array>();
  baseHeight = 0;
  readonly dropped = new Map<string, string>();
  readonly listeners = new Set<(appended: ApiAppended) => void>();
  readonly notReady: string[] = [];
  /** Calls of the ledger, for tests that count. */
  readonly calls: string[] = [];
  chain: FakeBlock[];
  #nonce = 0;

  constructor(genesis = fakeGenesis()) {
    this.genesis = genesis;
    const { chainId, header, state } = genesisBlock(genesis);
    this.chainId = chainId;
    const receipts: Receipt[] = [];
    const block = blockOf(header, []);
    this.chain = [{ block, certificate: undefined, receipts, state: new Map(state) }];
  }

  /** The node as the API sees it. */
  get api(): ApiNode {
    const ledger = this.#ledger();
    return {
      identity: {
        name: "fake",
        version: "0.0.0",
        validator: didOf((validators[0] as Signer).publicKey),
        peer: didOf((signers[4] as Signer).publicKey),
      },
      genesisText: JSON.stringify(this.genesis),
      ledger,
      submit: (bytes) => this.#submit(bytes),
      status: () => this.#status(),
      validatorsAt: (height) => validatorsAt(ledger.state, height),
      validatorChanges: (from) => readSetChanges(ledger.state, this, from),
      membership: () => membershipView(ledger.state, ledger.tip.timestampMs),
      readValueAt: async (key, height) => {
        const value = this.#at(height)?.state.get(key);
        return value === undefined ? undefined : { value, writtenAt: height };
      },
      exportEvidence: async (key) => (key.endsWith("/m-1/2019-01/1") ? '{"bill":true}' : undefined),
    };
  }

  async #submit(bytes: Uint8Array): ReturnType<ApiNode["submit"]> {
    this.calls.push("submit");
    const { id, chainId, sender: by } = decodeTransaction(bytes);
    if (chainId !== this.chainId)
      throw new LedgerError("TRANSACTION_CHAIN_MISMATCH", { chainId, expected: this.chainId });
    if (by !== sender.publicKey)
      throw new LedgerError("TRANSACTION_SENDER_UNKNOWN", { sender: didOf(by) });
    const known = this.#find(id).status;
    if (known === "final") return { id, status: "final" };
    this.pending.set(id, bytes);
    return { id, status: "pending" };
  }

  /** Signs a toy transaction with the next nonce. */
  toy(toy: Toy, signer = sender) {
    this.#nonce += 1;
    return signTransaction(
      {
        chainId: this.chainId,
        nonce: this.#nonce,
        expiresAtMs: this.#tip.block.header.timestampMs + 3_600_000,
        contract: "toy",
        method: "put",
        argsJson: JSON.stringify(toy),
        gasLimit: 1_000,
      },
      signer,
    );
  }

  /** Appends a block of all that is pending, or of the given transactions. */
  mine(...given: Uint8Array[]): Block {
    const transactions = given.length > 0 ? given : [...this.pending.values()];
    this.pending.clear();
    const { block: parent, state: before } = this.#tip;
    const state = new Map(before);
    const receipts = transactions.map((bytes) => execute(bytes, state));
    const height = parent.header.height + 1;
    const header: Header = {
      ...parent.header,
      chainId: this.chainId,
      height,
      parentHash: parent.hash,
      timestampMs: parent.header.timestampMs + 1_000,
      proposer: (validators[height % 4] as Signer).publicKey,
      transactionsRoot: merkleRoot(transactions),
      receiptsRoot: merkleRoot(receipts.map(encodeReceipt)),
      stateRoot: treeOf(state).root,
      gasUsed: receipts.length,
    };
    const block = blockOf(header, transactions);
    this.chain.push({ block, certificate: certify(block), receipts, state });
    for (const listener of this.listeners) listener({ block, receipts });
    return block;
  }

  /** What a store says of a height. */
  async readCertified(height: number) {
    const { block, certificate } = this.#at(height) ?? {};
    return block && { header: block.header, certificate };
  }

  get #tip(): FakeBlock {
    return this.chain.at(-1) as FakeBlock;
  }

  #at(height: number): FakeBlock | undefined {
    return this.chain[height];
  }

  #status(): NodeStatus {
    const { header } = this.#tip.block;
    return {
      height: header.height + 1,
      round: 0,
      phase: "proposing",
      catchingUp: false,
      peers: [didOf((signers[5] as Signer).publicKey)],
      validators: validators.map(({ publicKey }, index) => ({
        validator: didOf(publicKey),
        name: `Member ${index}`,
        height: index === 3 ? undefined : header.height + 1,
        round: index === 3 ? undefined : 0,
        votedHeight: index === 3 ? undefined : 3,
        clockOffsetMs: index === 3 ? undefined : -12.4,
        passedOver: index === 3,
        lastSeenMs: index === 3 ? undefined : 1_700_000_000_000.5,
      })),
      equivocations: [],
      notReady: this.notReady,
      stateRoot: header.stateRoot,
      ledgerBytes: 12_345_678,
      refused: { TRANSACTION_EXPIRED: 2 },
    };
  }

  #find(id: string): ApiTransactionStatus {
    for (const { block, receipts } of this.chain) {
      const index = receipts.findIndex(({ transactionId }) => transactionId === id);
      const receipt = receipts[index];
      if (receipt !== undefined)
        return { status: "final", height: block.header.height, index, receipt };
    }
    const code = this.dropped.get(id);
    if (this.pending.has(id)) return { status: "pending" };
    if (code !== undefined) return { status: "dropped", code };
    const { baseHeight } = this;
    return baseHeight > 0 ? { status: "pruned", baseHeight } : { status: "unknown" };
  }

  #eventsOf(height: number): ApiEvent[] {
    const found = this.#at(height);
    if (found === undefined) return [];
    const timeMs = found.block.header.timestampMs;
    return found.receipts
      .flatMap(({ transactionId, events }) => events.map((event) => ({ transactionId, ...event })))
      .map((event, index) => ({ height, index, timeMs, ...event }));
  }

  #ledger(): ApiLedger {
    const self = this;
    return {
      chainId: this.chainId,
      get baseHeight() {
        return self.baseHeight;
      },
      get tip() {
        const { header, hash } = self.#tip.block;
        return { height: header.height, hash, timestampMs: header.timestampMs };
      },
      get state() {
        const { state } = self.#tip;
        return {
          get: (key: string) => state.get(key),
          range: ({ from, to, reverse, limit }: KeyRange) => {
            const rows = [...state].filter(([key]) => key >= from && key < to);
            rows.sort(([left], [right]) => compareUtf8(left, right) * (reverse ? -1 : 1));
            return rows.slice(0, limit);
          },
        };
      },
      get mempool() {
        return { count: self.pending.size, bytes: 7 };
      },
      parameters: () => defaultParameters,
      status: async (id) => this.#find(id),
      waitFinal: (id, options) => this.#waitFinal(id, options),
      senderInfo: (publicKey) => {
        const isEnrolled = publicKey === sender.publicKey;
        const entry = { member: "member-0", name: "Operator", roles: ["operator"] };
        return {
          did: didOf(publicKey),
          entry: isEnrolled ? { ...entry, status: "active" } : undefined,
          nonceHighest: this.#nonce,
          pendingCount: this.pending.size,
          pendingNonceHighest: 0,
        };
      },
      readBlock: async (height) => this.#at(height),
      readReceipts: async (height) => (this.#at(height)?.receipts ?? []).map(encodeReceipt),
      proveTransaction: async (id) => this.#prove(id),
      proveState: async (key, height = this.chain.length - 1) => this.#proveState(key, height),
      history: async (key, { from = 0, limit = 100 } = {}) => {
        const rows = this.chain.flatMap(({ state, block }, height) => {
          const before = this.#at(height - 1)?.state.get(key);
          const value = state.get(key);
          return value === before ? [] : [{ height: block.header.height, value }];
        });
        return rows.filter(({ height }) => height >= from).slice(0, limit);
      },
      events: async ({ fromHeight, fromIndex, limit }) => {
        this.calls.push(`events ${fromHeight}:${fromIndex}`);
        let next = { height: fromHeight, index: fromIndex };
        const events: ApiEvent[] = [];
        while (next.height < this.chain.length && events.length < limit) {
          const rest = this.#eventsOf(next.height).slice(next.index);
          const taken = rest.slice(0, limit - events.length);
          events.push(...taken);
          const isWhole = taken.length === rest.length;
          next = isWhole
            ? { height: next.height + 1, index: 0 }
            : { height: next.height, index: next.index + taken.length };
        }
        return { events, next };
      },
      view: async ({ contract, method, argsJson, sender: asking }) => {
        const text = canonicalJson(argsJson);
        if (contract !== "toy") return { outcome: "CONTRACT_UNKNOWN", gasUsed: 0 };
        if (method === "refuse") return { outcome: "TOY_REFUSED", gasUsed: 3, detail: "no" };
        if (method !== "echo") return { outcome: "CONTRACT_METHOD_UNKNOWN", gasUsed: 0 };
        const resultJson = JSON.stringify({ args: JSON.parse(text), asking: asking ?? null });
        return { outcome: "ok", gasUsed: 3, resultJson };
      },
      onAppend: (listener) => {
        this.listeners.add(listener);
        return () => this.listeners.delete(listener);
      },
    };
  }

  async #waitFinal(
    id: string,
    { timeoutMs, signal }: { timeoutMs: number; signal?: AbortSignal | undefined },
  ): Promise<ApiTransactionStatus> {
    this.calls.push("waitFinal");
    signal?.addEventListener("abort", () => this.calls.push("wait given up"));
    await new Promise<void>((resolve) => {
      const look = () => {
        const { status } = this.#find(id);
        if (status === "final" || status === "dropped") done();
      };
      const done = () => {
        clearTimeout(timer);
        this.listeners.delete(look);
        resolve();
      };
      const timer = setTimeout(done, timeoutMs);
      signal?.addEventListener("abort", done);
      this.listeners.add(look);
      look();
    });
    // As long as it takes to read the ledger once more.
    await delay(20);
    this.calls.push("wait ended");
    return this.#find(id);
  }

  #prove(id: string) {
    const place = this.#find(id);
    if (place.status !== "final") return undefined;
    const { block, certificate, receipts } = this.#at(place.height) as FakeBlock;
    const receiptBytes = receipts.map(encodeReceipt);
    const { index } = place;
    return {
      transaction: { bytes: block.transactions[index] as Uint8Array },
      receiptBytes: receiptBytes[index] as Uint8Array,
      header: block.header,
      certificate: certificate as Certificate,
      index,
      size: block.transactions.length,
      transactionPath: merklePath(block.transactions, index),
      receiptPath: merklePath(receiptBytes, index),
    };
  }

  #proveState(key: string, height: number): ApiStateProof {
    if (!isStateKey(key)) throw new LedgerError("LEDGER_KEY_INVALID", { key });
    const heightMax = this.chain.length - 1;
    const found = this.#at(height);
    if (found === undefined || height < heightMax - 2)
      throw new LedgerError("LEDGER_PROOF_UNAVAILABLE", { height, heightMin: 0, heightMax });
    const tree = treeOf(found.state);
    const head = { header: found.block.header, certificate: found.certificate, key };
    const value = found.state.get(key);
    if (value === undefined) {
      const absence = tree.proveAbsence(key);
      if (absence === undefined) throw new Error("no absence");
      return { ...head, value, absence };
    }
    const inclusion = tree.proveInclusion(key);
    if (inclusion === undefined) throw new Error("no inclusion");
    return { ...head, value, inclusion };
  }
}

/** Signs the certificate of a block with the first three of the four validators. */
export function certify(block: Block, by: readonly Signer[] = validators): Certificate {
  const { height, chainId } = block.header;
  const vote = { kind: "commit", height, round: 0, blockHash: block.hash } as const;
  const signatures = by.slice(0, 3).map((validator, validatorIndex) => ({
    validatorIndex,
    signature: validator.sign(claimMessage(vote, chainId)),
  }));
  return { height, round: 0, blockHash: block.hash, signatures };
}

function treeOf(state: ReadonlyMap<string, string>): StateTree {
  const leaves = [...state].sort(([left], [right]) => compareUtf8(left, right));
  return StateTree.fromSorted(leaves.map(([key, value]) => [key, valueHashOf(value)] as const));
}

function execute(bytes: Uint8Array, state: Map<string, string>): Receipt {
  const { id, argsJson } = decodeTransaction(bytes);
  const toy = JSON.parse(argsJson) as Toy;
  const head = { transactionId: id, gasUsed: 1 };
  if (toy.fail !== undefined) return { ...head, outcome: toy.fail, events: [], changes: [] };
  const changes = Object.entries(toy.set ?? {}).map(([key, value]) => {
    const text = canonicalJson(JSON.stringify(value));
    if (value === null) state.delete(key);
    else state.set(key, text);
    return { key, valueHash: value === null ? undefined : valueHashOf(text) };
  });
  const events = Array.from({ length: toy.events ?? 0 }, (_, n) => ({
    contract: "toy",
    topic: "ticked",
    json: JSON.stringify({ n, ...(toy.pad === undefined ? {} : { pad: toy.pad }) }),
  }));
  return { ...head, outcome: "ok", events, changes };
}
