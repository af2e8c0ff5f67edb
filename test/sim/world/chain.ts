/**
 * What all nodes of a simulated world share: keys, genesis, and a small deterministic stand-in for
 * the contract sandbox. The contract `sim` keeps totals: `add` adds, `forget` deletes a total,
 * `refuse` fails and must leave nothing behind.
 */
import { hash } from "node:crypto";
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

// The native function gives the same bytes.
injectSha256((bytes) => new Uint8Array(hash("sha256", bytes, "buffer")));

/** Wall clock of the moment 0 of virtual time. */
export const worldStartMs = 1_700_000_000_000;

/** Clients that send. */
export const senderCount = 6;

/** Keys of validator and network of a node, and of a sender. All ascend with the index. */
export const validatorKey = (index: number): PublicKey => keyOf(index);
export const peerKey = (index: number): PublicKey => keyOf(0x20 + index);
export const senderKey = (index: number): PublicKey => keyOf(0x40 + index);

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

/** Makes the genesis of a world; another name makes another chain of the same keys. */
export function worldGenesis(
  count: number,
  options: { readonly heartbeatMs: number; readonly name?: string },
): GenesisBlock {
  const { heartbeatMs, name = "world" } = options;
  const method = { roles: ["writer"] };
  return genesisBlock({
    format: "loopledger-genesis-v0",
    name,
    timestampMs: worldStartMs,
    engineHash: zeroHash,
    parameters: { ...defaultParameters, heartbeatMs },
    roles: { writer: "may write" },
    members: Array.from({ length: count }, (_, index) => ({
      id: `m${index}`,
      name: `Member ${index}`,
      validatorKey: didOf(validatorKey(index)),
      peerKey: didOf(peerKey(index)),
    })),
    accounts: Array.from({ length: senderCount }, (_, index) => ({
      did: didOf(senderKey(index)),
      member: "m0",
      name: `Sender ${index}`,
      roles: ["writer"],
    })),
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
