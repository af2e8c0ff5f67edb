/** Opens a node's keys, and holds them against those that the ledger knows. */
import { LedgerError } from "../base/errors.ts";
import { didOf } from "../base/format/did.ts";
import type { PublicKey, Signer } from "../base/keys.ts";
import type { NodeConfig } from "./config.ts";
import { openKeyFile } from "./key-file.ts";

/** Keys of this node. */
export type NodeKeys = {
  /** Absent when the node follows without voting. */
  readonly validator: Signer | undefined;
  readonly peerKey: PublicKey;
  readonly peerSeed: Uint8Array;
  /** Signs what the node itself sends to the ledger. */
  readonly peer: Signer;
};

/**
 * Opens the key files that the configuration names.
 *
 * @throws {LedgerError} What key files throw.
 */
export async function openNodeKeys(config: NodeConfig, passphrase: string): Promise<NodeKeys> {
  const peer = await openKeyFile({ file: config.peerKeyFile, passphrase, purpose: "peer" });
  const file = config.validatorKeyFile;
  const opened =
    file === undefined ? undefined : await openKeyFile({ file, passphrase, purpose: "validator" });
  // The signer has its own copy in guarded memory.
  opened?.seed.fill(0);
  const peerKey = peer.signer.publicKey;
  return { validator: opened?.signer, peerKey, peerSeed: peer.seed, peer: peer.signer };
}

/**
 * Checks that the keys are of members or candidates, which finds a wrong file at once.
 *
 * @param known - Members of the genesis, members and candidates of now.
 * @throws {LedgerError} NODE_KEY_FOREIGN, unless the configuration says `joining`.
 */
export function checkNodeKeys(
  { validator, peerKey }: NodeKeys,
  config: NodeConfig,
  known: readonly { readonly validator: PublicKey; readonly peer: PublicKey }[],
): void {
  if (config.joining) return;
  if (!known.some(({ peer }) => peer === peerKey)) throw foreign(config.peerKeyFile, peerKey);
  if (validator === undefined) return;
  const { publicKey } = validator;
  if (!known.some((one) => one.validator === publicKey))
    throw foreign(config.validatorKeyFile ?? "", publicKey);
}

function foreign(file: string, publicKey: PublicKey): LedgerError {
  return new LedgerError("NODE_KEY_FOREIGN", { file, key: didOf(publicKey) });
}
