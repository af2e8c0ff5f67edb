/**
 * What all nodes of a simulated world share: keys, genesis, and a small deterministic stand-in for
 * the contract sandbox. The contract `sim` keeps totals: `add` adds, `forget` deletes a total,
 * `refuse` fails and must leave nothing behind.
 */
import { createPrivateKey, createPublicKey, hash } from "node:crypto";
import { equalBytes } from "../../../src/base/bytes.ts";
import { didOf } from "../../../src/base/format/did.ts";
import {
  defaultParameters,
  type GenesisBlock,
  genesisBlock,
} from "../../../src/base/format/genesis.ts";
import { injectSha256, zeroHash } from "../../../src/base/hash.ts";
import type { PublicKey, Signer, Verifier } from "../../../src/base/keys.ts";
import type { CallOutcome, ContractCaller } from "../../../src/ledger/types.ts";
import { fakeSign, keyOf } from "../fake-keys.ts";
import { type Plan, validatorsAtFirst } from "./plan.ts";

// The native function gives the same bytes.
injectSha256((bytes) => new Uint8Array(hash("sha256", bytes, "buffer")));

/** Wall clock of the moment 0 of virtual time. */
export const worldStartMs = 1_700_000_000_000;

/** Clients that send. */
export const senderCount = 6;

/** Nodes that a world can have. */
const nodesMax = 8;
const validatorKeys = realKeys(0x01);
const peerKeys = realKeys(0x21);

/** Keys of validator and network of a node, of a sender, of an administrator: they ascend. */
export const validatorKey = (index: number): PublicKey => validatorKeys[index] as PublicKey;
export const peerKey = (index: number): PublicKey => peerKeys[index] as PublicKey;
export const senderKey = (index: number): PublicKey => keyOf(0x40 + index);
export const administratorKey = (index: number): PublicKey => keyOf(0x60 + index);

/** Keys of nodes are looked at when they are enrolled, so they are points of the curve. */
function realKeys(from: number): PublicKey[] {
  const head = Buffer.from("302e020100300506032b657004220420", "hex");
  const keyFrom = (byte: number) => {
    const key = Buffer.concat([head, Buffer.alloc(32, byte)]);
    const secret = createPrivateKey({ key, format: "der", type: "pkcs8" });
    const bytes = createPublicKey(secret).export({ format: "der", type: "spki" });
    return bytes.subarray(-32).toString("hex");
  };
  return Array.from({ length: nodesMax }, (_, index) => keyFrom(from + index)).sort();
}

/** Signatures that were made, by key and message: each is verified by many nodes. */
const made = new Map<string, Uint8Array>();
const madeMax = 50_000;

/** The signature of `fakeSign`, from memory if it was made before. */
export function worldSign(message: Uint8Array, publicKey: PublicKey): Uint8Array {
  const { buffer, byteOffset, length } = message;
  const name = publicKey + Buffer.from(buffer, byteOffset, length).toString("latin1");
  const known = made.get(name);
  if (known !== undefined) return known;
  if (made.size >= madeMax) made.clear();
  const signature = fakeSign(message, publicKey);
  made.set(name, signature);
  return signature;
}

/** Checks what `worldSign` makes. */
export const worldVerifier: Verifier = {
  verify: (message, signature, publicKey) => equalBytes(worldSign(message, publicKey), signature),
};

/** A signer that anybody can make: the world trusts its own code. */
export function fakeSigner(publicKey: PublicKey): Signer {
  return { publicKey, sign: (message) => worldSign(message, publicKey) };
}

/** Makes the genesis of a plan; another name makes another chain of the same keys. */
export function worldGenesis(plan: Plan, name = "world"): GenesisBlock {
  const { heartbeatMs, sets, snapshots } = plan;
  const members = validatorsAtFirst(plan);
  const administrators = sets?.administrators ?? 0;
  const member = `m${members[0]}`;
  const method = { roles: ["writer"] };
  return genesisBlock({
    format: "loopledger-genesis-v0",
    name,
    timestampMs: worldStartMs,
    engineHash: zeroHash,
    parameters: {
      ...{ ...defaultParameters, heartbeatMs },
      ...(snapshots && { snapshotInterval: snapshots.interval }),
    },
    roles: { writer: "may write", ...(sets && { administrator: "may change the validators" }) },
    members: members.map((index) => ({
      id: `m${index}`,
      name: `Member ${index}`,
      validatorKey: didOf(validatorKey(index)),
      peerKey: didOf(peerKey(index)),
    })),
    accounts: [
      ...accounts(senderCount, senderKey, { name: "Sender", role: "writer", member }),
      ...accounts(administrators, administratorKey, {
        ...{ name: "Administrator", role: "administrator", member },
      }),
    ],
    devices: [],
    contracts: [
      {
        name: "sim",
        source: "sim",
        imageHash: zeroHash,
        methods: { add: method, forget: method, refuse: method },
        views: [],
      },
    ],
  });
}

function accounts(
  count: number,
  keyAt: (index: number) => PublicKey,
  { name, role, member }: { readonly name: string; readonly role: string; readonly member: string },
) {
  return Array.from({ length: count }, (_, index) => ({
    did: didOf(keyAt(index)),
    member,
    name: `${name} ${index}`,
    roles: [role],
  }));
}

/** Arguments of all methods. */
export type SimArgs = { readonly key: string; readonly amount: number };

/** Gas of every call: plenty of calls fit a block. */
const callGas = 1_000;

/**
 * Runs the stand-in contract.
 *
 * @param wait - What a call waits for: other things happen while a block is executed.
 */
export function simCaller(wait: () => Promise<void>): ContractCaller {
  return {
    async call({ method, argsJson }, state): Promise<CallOutcome> {
      await wait();
      const { key, amount } = JSON.parse(argsJson) as SimArgs;
      const place = `sim/total/${key}`;
      const total = Number(state.get(place) ?? "0") + amount;
      const event = { contract: "sim", topic: method, json: String(amount) };
      const done = { outcome: "ok", gasUsed: callGas, events: [event] };
      switch (method) {
        case "add":
          return { ...done, changes: [[place, String(total)]] };
        case "forget":
          return { ...done, changes: [[place, undefined]] };
        default:
          return { ...done, outcome: "SIM_REFUSED", changes: [[place, "0"]] };
      }
    },
  };
}
