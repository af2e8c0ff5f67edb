/** Fits the parts together for `chain verify`: files, rules, contracts; no network, no keys. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { genesisBlock, parseGenesis } from "../base/format/genesis.ts";
import type { Hash } from "../base/hash.ts";
import { createExecute } from "../ledger/replay.ts";
import { verifyChain } from "../ledger/verify-chain.ts";
import type { ChainVerdict, VerifyProgress } from "../ledger/verify-types.ts";
import { readText } from "./config.ts";
import { nativeVerifier } from "./native-crypto.ts";
import { openContracts } from "./open-contracts.ts";

/** What a verification found. */
export type StoredChainVerdict = ChainVerdict;

/** What is verified, and against what. */
export type StoredChain = {
  /** Ledger directory of a stopped node, or the directory that has it as `ledger`. */
  readonly directory: string;
  readonly genesisFile: string;
  /** A block known from elsewhere that must be in the chain. */
  readonly expect?: { readonly height: number; readonly hash: Hash } | undefined;
  readonly onProgress?: (progress: VerifyProgress) => void;
};

/**
 * Verifies the stored chain of a stopped node from its genesis on, executing every block again.
 *
 * @throws {LedgerError} GENESIS_INVALID, FILE_UNREADABLE, NODE_ENGINE_MISMATCH and what
 *   `verifyChain` throws. Damage is not thrown: it is the verdict.
 */
export async function verifyStoredChain(chain: StoredChain): Promise<StoredChainVerdict> {
  const parsed = parseGenesis(readText(chain.genesisFile));
  const genesis = genesisBlock(parsed);
  const verifier = nativeVerifier;
  const caller = await openContracts(parsed);
  const nested = join(chain.directory, "ledger");
  const { expect, onProgress } = chain;
  try {
    return await verifyChain({
      directory: existsSync(nested) ? nested : chain.directory,
      genesis,
      verifier,
      execute: createExecute({ chainId: genesis.chainId, caller, verifier }),
      expect,
      onProgress,
    });
  } finally {
    await caller.close();
  }
}
