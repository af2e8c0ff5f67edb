/**
 * A chain of four validators with real signatures, a store in memory and a small deterministic
 * stand-in for the contract runtime. The stand-in's contract `notes` knows the methods `put`,
 * `count`, `refuse` (which claims changes and events although it fails), `burn` and `fault`.
 */
import { compareUtf8 } from "../../../src/base/bytes.ts";
import { isLedgerError, LedgerError } from "../../../src/base/errors.ts";
import type { Block } from "../../../src/base/format/block.ts";
import { blockOf, headerHash } from "../../../src/base/format/block.ts";
import { didOf } from "../../../src/base/format/did.ts";
import {
  defaultParameters,
  type GenesisBlock,
  genesisBlock,
  type LedgerParameters,
} from "../../../src/base/format/genesis.ts";
import { type Certificate, claimMessage } from "../../../src/base/format/message.ts";
import {
  signTransaction,
  type Transaction,
  type TransactionBody,
} from "../../../src/base/format/transaction.ts";
import { zeroHash } from "../../../src/base/hash.ts";
import type { Signer, Verifier } from "../../../src/base/keys.ts";
import { silentLog } from "../../../src/base/log.ts";
import { stateRootOf } from "../../../src/base/proof/state-proof.ts";
import type { Database } from "../../../src/ledger/database.ts";
import { Ledger } from "../../../src/ledger/ledger.ts";
import { LedgerStore } from "../../../src/ledger/store.ts";
import type { CallOutcome, CallRequest, ContractCaller } from "../../../src/ledger/types.ts";
import { nativeSigner, nativeVerifier } from "../../../src/node/native-crypto.ts";
import { memoryDatabase } from "../../helpers/databases.ts";

/** Time of the genesis of the test chain, UTC milliseconds. */
export const genesisMs = 1_700_000_000_000;

const signerOf = (seed: number) => nativeSigner(new Uint8Array(32).fill(seed));

/** Validators, sorted as the ledger sorts them. */
export const validatorSigners: readonly Signer[] = [1, 2, 3, 4]
  .map(signerOf)
  .sort((left, right) => compareUtf8(left.publicKey, right.publicKey));

/** Senders: two writers, one device that may write, one reader, one suspended, one stranger. */
export const senders = {
  ada: signerOf(21),
  ben: signerOf(22),
  meter: signerOf(23),
  reader: signerOf(24),
  suspended: signerOf(25),
  stranger: signerOf(26),
};

const account = (signer: Signer, roles: string[]) => ({
  did: didOf(signer.publicKey),
  member: "member-1",
  name: "somebody",
  roles,
});

/** Further writers, for tests of fairness. */
export const crowd: readonly Signer[] = Array.from({ length: 12 }, (_, n) => signerOf(40 + n));

/** Derives the genesis of the test chain, with some parameters of one's own. */
export function testGenesis(parameters: Partial<LedgerParameters> = {}): GenesisBlock {
  const genesis = genesisBlock({
    format: "loopledger-genesis-v0",
    name: "test",
    timestampMs: genesisMs,
    engineHash: zeroHash,
    parameters: { ...defaultParameters, ...parameters },
    roles: { writer: "may write", reader: "may not" },
    members: [1, 2, 3, 4].map((seed) => ({
      id: `member-${seed}`,
      name: `Member ${seed}`,
      validatorKey: didOf(signerOf(seed).publicKey),
      peerKey: didOf(signerOf(seed + 10).publicKey),
    })),
    accounts: [
      account(senders.ada, ["writer"]),
      account(senders.ben, ["reader", "writer"]),
      account(senders.reader, ["reader"]),
      account(senders.suspended, ["writer"]),
      ...crowd.map((signer) => account(signer, ["writer"])),
    ],
    devices: [account(senders.meter, ["writer"])],
    contracts: [
      {
        name: "notes",
        source: "notes",
        imageHash: zeroHash,
        methods: Object.fromEntries(
          ["put", "count", "refuse", "burn", "fault"].map((name) => [name, { roles: ["writer"] }]),
        ),
        views: ["read"],
      },
    ],
  });
  return suspend(genesis, didOf(senders.suspended.publicKey));
}

/** The genesis file knows active accounts only, so one is suspended by hand. */
function suspend(genesis: GenesisBlock, did: string): GenesisBlock {
  const state = genesis.state.map(([key, value]): [string, string] => [
    key,
    key === `system/account/${did}` ? value.replace('"active"', '"suspended"') : value,
  ]);
  const header = { ...genesis.header, stateRoot: stateRootOf(state) };
  return { ...genesis, state, header, chainId: headerHash(header) };
}

/** Runs the stand-in contract and counts its calls. */
export class NotesCaller implements ContractCaller {
  calls = 0;
  /** Added to every value that `count` writes: another number makes another, diverging engine. */
  skew = 0;

  async call(
    request: CallRequest,
    state: { get(key: string): string | undefined },
  ): Promise<CallOutcome> {
    this.calls += 1;
    const args = JSON.parse(request.argsJson) as { key?: string; value?: unknown; gas?: number };
    const json = JSON.stringify(args);
    const event = { contract: "notes", topic: request.method, json };
    const key = `notes/item/${args.key ?? "none"}`;
    switch (request.method) {
      case "put": {
        const value = args.value === undefined ? undefined : JSON.stringify(args.value);
        return { outcome: "ok", gasUsed: 100, changes: [[key, value]], events: [event] };
      }
      case "count": {
        const count = String(Number(state.get(key) ?? "0") + 1 + this.skew);
        return { outcome: "ok", gasUsed: 50, changes: [[key, count]], events: [] };
      }
      case "refuse":
        return { outcome: "NOTES_REFUSED", gasUsed: 70, changes: [[key, "1"]], events: [event] };
      case "burn":
        return { outcome: "ok", gasUsed: args.gas ?? 0, changes: [], events: [] };
      case "read": {
        const resultJson = state.get(key) ?? "null";
        return { outcome: "ok", gasUsed: 5, changes: [], events: [], resultJson };
      }
      default: {
        const { contract, method } = request;
        throw new LedgerError("CONTRACT_NODE_FAULT", { contract, method, reason: "it died" });
      }
    }
  }
}

/** Counts verifications. */
export class CountingVerifier implements Verifier {
  count = 0;

  verify(message: Uint8Array, signature: Uint8Array, publicKey: string): boolean {
    this.count += 1;
    return nativeVerifier.verify(message, signature, publicKey);
  }
}

/** One node's ledger with everything a test may turn. */
export type TestNode = {
  readonly ledger: Ledger;
  readonly store: LedgerStore;
  readonly caller: NotesCaller;
  readonly verifier: CountingVerifier;
  readonly clock: { nowMs(): number; timeMs: number };
  readonly genesis: GenesisBlock;
};

/** Opens a node on a store in memory, new unless given, at one second after the genesis. */
export async function openNode(
  genesis: GenesisBlock = testGenesis(),
  database: Database = memoryDatabase(),
): Promise<TestNode> {
  const store = await LedgerStore.open({ database, genesis, log: silentLog });
  const caller = new NotesCaller();
  const verifier = new CountingVerifier();
  const clock = {
    timeMs: genesisMs + 1_000,
    nowMs(): number {
      return this.timeMs;
    },
  };
  const options = { store, genesis, verifier, caller, clock, log: silentLog };
  return { ledger: await Ledger.open(options), store, caller, verifier, clock, genesis };
}

/** What of a transaction a test cares about. */
export type Wish = Partial<Omit<TransactionBody, "sender" | "argsJson">> & {
  readonly args?: unknown;
};

/** Makes a function that signs transactions for one chain; nonces count up by sender. */
export function signing(genesis: GenesisBlock): (signer: Signer, wish?: Wish) => Transaction {
  const nonces = new Map<string, number>();
  return (signer, wish = {}) => {
    const nonce = wish.nonce ?? (nonces.get(signer.publicKey) ?? 0) + 1;
    nonces.set(signer.publicKey, nonce);
    const { args, ...rest } = wish;
    return signTransaction(
      {
        chainId: genesis.chainId,
        expiresAtMs: genesisMs + 3_600_000,
        contract: "notes",
        method: "put",
        gasLimit: 1_000,
        argsJson: JSON.stringify(args ?? { key: "a", value: 1 }),
        ...rest,
        nonce,
      },
      signer,
    );
  };
}

/** Certifies a block with the first three of the four validators. */
export function certify(block: Block): Certificate {
  const { height, chainId } = block.header;
  const vote = { kind: "commit", height, round: 0, blockHash: block.hash } as const;
  const message = claimMessage(vote, chainId);
  const signatures = validatorSigners
    .slice(0, 3)
    .map((signer, validatorIndex) => ({ validatorIndex, signature: signer.sign(message) }));
  return { height, round: 0, blockHash: block.hash, signatures };
}

/** Builds the next block on a node. */
export async function build(node: TestNode): Promise<Block> {
  const proposer = (validatorSigners[0] as Signer).publicKey;
  const block = await node.ledger.buildBlock({ proposer, nowMs: node.clock.timeMs });
  if (block === undefined) throw new Error("the node has no work");
  return block;
}

/** Builds, certifies and appends the next block on all nodes, built by the first. */
export async function decide(...nodes: readonly TestNode[]): Promise<Block> {
  const block = await build(nodes[0] as TestNode);
  for (const { ledger } of nodes) await ledger.append(block, certify(block));
  return block;
}

/** Makes a block with a changed header, hash included. */
export function withHeader(block: Block, change: Partial<Block["header"]>): Block {
  return blockOf({ ...block.header, ...change }, block.transactions);
}

/** Returns the code that a promise rejects with, or `none`. */
export async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return "none";
  } catch (error) {
    if (isLedgerError(error)) return error.code;
    throw error;
  }
}

/** Returns the reason of the BLOCK_INVALID that a promise rejects with. */
export async function invalidReason(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return "valid";
  } catch (error) {
    if (isLedgerError(error, "BLOCK_INVALID")) return String(error.facts.reason);
    throw error;
  }
}
