/** Opens a node's keys and holds them against the members of the genesis. */
import { LedgerError } from "../base/errors.ts";
import { didOf, publicKeyOf } from "../base/format/did.ts";
import type { Genesis } from "../base/format/genesis.ts";
import type { PublicKey, Signer } from "../base/keys.ts";
import type { NodeConfig } from "./config.ts";
import { openKeyFile } from "./key-file.ts";

/** A member as consensus and network know it. */
export type MemberKeys = {
  readonly id: string;
  readonly name: string;
  readonly validator: PublicKey;
  readonly peer: PublicKey;
};

/** Keys of this node and of all members. */
export type NodeKeys = {
  /** Absent when the node follows without voting. */
  readonly validator: Signer | undefined;
  readonly peerKey: PublicKey;
  readonly peerSeed: Uint8Array;
  readonly members: readonly MemberKeys[];
};

/**
 * Opens the key files that the configuration names.
 *
 * @throws {LedgerError} NODE_KEY_FOREIGN when a key is of no member; what key files throw.
 */
export async function openNodeKeys(
  config: NodeConfig,
  genesis: Genesis,
  passphrase: string,
): Promise<NodeKeys> {
  const members = genesis.members.map(({ id, name, validatorKey, peerKey }) => ({
    id,
    name,
    validator: publicKeyOf(validatorKey),
    peer: publicKeyOf(peerKey),
  }));
  const peer = await openKeyFile({ file: config.peerKeyFile, passphrase, purpose: "peer" });
  const peerKey = peer.signer.publicKey;
  if (!members.some((member) => member.peer === peerKey))
    throw foreign(config.peerKeyFile, peerKey);
  const file = config.validatorKeyFile;
  const opened =
    file === undefined ? undefined : await openKeyFile({ file, passphrase, purpose: "validator" });
  const validator = opened?.signer;
  // The signer has its own copy in guarded memory.
  opened?.seed.fill(0);
  const votes = members.some((member) => member.validator === validator?.publicKey);
  if (validator !== undefined && !votes) throw foreign(file ?? "", validator.publicKey);
  return { validator, peerKey, peerSeed: peer.seed, members };
}

function foreign(file: string, publicKey: PublicKey): LedgerError {
  return new LedgerError("NODE_KEY_FOREIGN", { file, key: didOf(publicKey) });
}
