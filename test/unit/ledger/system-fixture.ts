/** The system contract on a state in memory: four members with an administrator each. */
import { bytesToHex, compareUtf8 } from "../../../src/base/bytes.ts";
import { didOf } from "../../../src/base/format/did.ts";
import { defaultParameters, type Genesis, genesisBlock } from "../../../src/base/format/genesis.ts";
import { encodeJson, type JsonValue } from "../../../src/base/format/json.ts";
import type { ValidatorChange } from "../../../src/base/format/validator-change.ts";
import { readyMessage } from "../../../src/base/format/validator-ready.ts";
import { zeroHash } from "../../../src/base/hash.ts";
import type { Signer } from "../../../src/base/keys.ts";
import { withSystemContract } from "../../../src/ledger/system/system-caller.ts";
import type { CallOutcome, ContractCaller, KeyRange } from "../../../src/ledger/types.ts";
import { nativeSigner, nativeVerifier } from "../../../src/node/native-crypto.ts";

const signerOf = (seed: number) => nativeSigner(new Uint8Array(32).fill(seed));

/** Two keys of a member or candidate, by a number of its own. */
export function keysOf(number: number) {
  return { validator: signerOf(number), peer: signerOf(number + 100) };
}

/** A member or candidate as a change names it. */
export function candidateOf(number: number) {
  const { validator, peer } = keysOf(number);
  const validatorKey = didOf(validator.publicKey);
  return { id: `n${number}`, name: `N ${number}`, validatorKey, peerKey: didOf(peer.publicKey) };
}

/** Administrators of the genesis. */
export const administrators: readonly Signer[] = [201, 202, 203, 204].map(signerOf);

/** A genesis with so many members, and four administrators. */
export function systemGenesis(members = 4): Genesis {
  return {
    format: "loopledger-genesis-v0",
    name: "system",
    timestampMs: 1_700_000_000_000,
    engineHash: zeroHash,
    parameters: defaultParameters,
    roles: { administrator: "approves changes", operator: "does not" },
    members: Array.from({ length: members }, (_, index) => candidateOf(index + 1)),
    accounts: [
      ...administrators.map((signer, index) => ({
        did: didOf(signer.publicKey),
        member: "n1",
        name: `A ${index}`,
        roles: ["administrator"],
      })),
      { did: didOf(signerOf(210).publicKey), member: "n1", name: "O", roles: ["operator"] },
    ],
    devices: [],
    contracts: [],
  };
}

/** Fails when asked: these tests call nothing else. */
export const noSandbox: ContractCaller = {
  call: async () => {
    throw new Error("the sandbox is not called");
  },
};

/** Calls the system contract and keeps what it changes. */
export class SystemBench {
  readonly state: Map<string, string>;
  readonly chainId: string;
  height = 10;
  timeMs = 1_700_000_100_000;
  readonly #caller: ContractCaller;

  constructor(genesis: Genesis = systemGenesis()) {
    const { state, chainId } = genesisBlock(genesis);
    this.state = new Map(state);
    this.chainId = chainId;
    this.#caller = withSystemContract(noSandbox, { chainId, verifier: nativeVerifier });
  }

  async call(sender: Signer, method: string, args: JsonValue, gasLimit = 20_000_000) {
    const { height, timeMs } = this;
    const did = didOf(sender.publicKey);
    const roles: string[] = [];
    const call = { contract: "system", method, argsJson: encodeJson(args), gasLimit } as const;
    const request = { ...call, kind: "method", sender: did, roles, height, timeMs } as const;
    const outcome: CallOutcome = await this.#caller.call(request, this.reader);
    for (const [key, value] of outcome.changes)
      if (value === undefined) this.state.delete(key);
      else this.state.set(key, value);
    return outcome;
  }

  /** Calls and returns the outcome only. */
  async outcome(sender: Signer, method: string, args: JsonValue): Promise<string> {
    return (await this.call(sender, method, args)).outcome;
  }

  /** Has the first administrators approve a change. @returns The outcomes. */
  async approve(change: ValidatorChange, count = 3): Promise<string[]> {
    const outcomes: string[] = [];
    for (const signer of administrators.slice(0, count))
      outcomes.push(
        await this.outcome(signer, "approveChange", { change: change as unknown as JsonValue }),
      );
    return outcomes;
  }

  /** Declares a candidate ready at the height before. */
  async ready(number: number, wish: { height?: number; signer?: Signer; chainId?: string } = {}) {
    const { validator, peer } = keysOf(number);
    const { height = this.height - 1, signer = validator, chainId = this.chainId } = wish;
    const blockHash = "ab".repeat(32);
    const message = readyMessage({ chainId, height, blockHash, peerKey: peer.publicKey });
    const signature = bytesToHex(signer.sign(message));
    return this.outcome(peer, "declareReady", { height, blockHash, signature });
  }

  /** Admits candidates that are ready at once. */
  async admitReady(...numbers: readonly number[]): Promise<void> {
    for (const number of numbers) {
      await this.approve({ kind: "admit", candidate: candidateOf(number) });
      await this.ready(number);
    }
  }

  /** Goes on by some blocks, a second each. */
  advance(heights: number): void {
    this.height += heights;
    this.timeMs += heights * 1_000;
  }

  keysBelow(prefix: string): string[] {
    return [...this.state.keys()].filter((key) => key.startsWith(prefix)).sort();
  }

  get reader() {
    return {
      get: (key: string) => this.state.get(key),
      range: ({ from, to, reverse, limit }: KeyRange) => {
        const inside = [...this.state].filter(
          ([key]) => compareUtf8(key, from) >= 0 && compareUtf8(key, to) < 0,
        );
        inside.sort(([left], [right]) => compareUtf8(left, right) * (reverse ? -1 : 1));
        return inside.slice(0, limit);
      },
    };
  }
}
