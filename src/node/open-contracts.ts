/**
 * Opens the contract runtime of a chain: the engine and every contract of the genesis, each held
 * against the hashes that the stakeholders agreed on. A node with another engine would compute
 * other gas and fork from the rest, so it refuses to start before it has executed anything.
 */
import { LedgerError } from "../base/errors.ts";
import type { Genesis } from "../base/format/genesis.ts";
import { ContractRuntime } from "../contracts/runtime.ts";
import { nativeStrictVerifier } from "./native-crypto.ts";

/**
 * Makes the runtime with the contracts of a genesis installed.
 *
 * @throws {LedgerError} NODE_ENGINE_MISMATCH or NODE_IMAGE_MISMATCH.
 */
export async function openContracts(genesis: Genesis): Promise<ContractRuntime> {
  const runtime = await ContractRuntime.create({ verifier: nativeStrictVerifier });
  if (runtime.engineHash !== genesis.engineHash) {
    const { engineHash: expected } = genesis;
    await runtime.close();
    throw new LedgerError("NODE_ENGINE_MISMATCH", { expected, actual: runtime.engineHash });
  }
  for (const { name, source, imageHash: expected } of genesis.contracts) {
    const { imageHash: actual } = await runtime.install(name, source);
    if (actual === expected) continue;
    await runtime.close();
    throw new LedgerError("NODE_IMAGE_MISMATCH", { contract: name, expected, actual });
  }
  return runtime;
}
