/** A manifest that leads over a change of the validators; the keys are those of the test chain. */
import { type Header, headerHash, validatorsHash } from "../../src/base/format/block.ts";
import type { GenesisBlock } from "../../src/base/format/genesis.ts";
import { claimMessage } from "../../src/base/format/message.ts";
import { portableSigner } from "../../src/base/signer.ts";

/**
 * Makes a manifest of the headers 0 to 16, without transactions, of a chain whose first validators
 * only stay after block 10.
 *
 * @param genesis - Of the test chain, with a `snapshotInterval` of 16.
 * @param staying - How many of the four.
 */
export function changedManifest(genesis: GenesisBlock, staying = 2) {
  const { chainId } = genesis;
  const signers = [0, 1, 2, 3].map((index) => portableSigner(new Uint8Array(32).fill(index + 1)));
  const byKey = new Map(signers.map((signer) => [signer.publicKey, signer]));
  const next = genesis.validators.slice(0, staying);
  const headers: Header[] = [genesis.header];
  for (let height = 1; height <= 16; height += 1) {
    const parent = headers.at(-1) as Header;
    const validators = height > 10 ? next : genesis.validators;
    headers.push({
      ...parent,
      ...{ chainId, height, parentHash: headerHash(parent) },
      validatorsHash: validatorsHash(validators),
      nextValidatorsHash: validatorsHash(height >= 10 ? next : genesis.validators),
    });
  }
  const certified = (header: Header, validators: readonly string[]) => {
    const { height } = header;
    const vote = { kind: "commit", height, round: 0, blockHash: headerHash(header) } as const;
    const signatures = validators.map((key, validatorIndex) => ({
      validatorIndex,
      signature: byKey.get(key)?.sign(claimMessage(vote, chainId)) as Uint8Array,
    }));
    return { height, round: 0, blockHash: vote.blockHash, signatures };
  };
  const changed = headers[10] as Header;
  const change = {
    header: changed,
    certificate: certified(changed, genesis.validators),
    validators: next,
  };
  const changes = next.length < genesis.validators.length ? [change] : [];
  const certificate = certified(headers[16] as Header, next);
  return { manifest: { chainId, headers, certificate, changes }, changed, next };
}
