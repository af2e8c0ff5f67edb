/**
 * What a node tells over HTTP while it fetches a snapshot: who it is and how far it has come. It has
 * no ledger then, so whatever is asked of the ledger is refused with NODE_FETCHING_SNAPSHOT, and
 * what the status says of the chain is of the genesis.
 */
import type { ApiLedger, ApiNode, NodeStatus } from "../api/api-node.ts";
import { LedgerError } from "../base/errors.ts";
import { didOf } from "../base/format/did.ts";
import { type Genesis, genesisBlock } from "../base/format/genesis.ts";
import type { PublicKey } from "../base/keys.ts";
import { identityOf } from "./api-adapter.ts";
import type { NodeConfig } from "./config.ts";
import type { NodeKeys } from "./open-keys.ts";

/** What such a node is made of. */
export type FetchingParts = {
  readonly config: NodeConfig;
  readonly genesis: Genesis;
  readonly genesisText: string;
  readonly keys: NodeKeys;
  readonly network: { connectedPeers(): readonly PublicKey[] };
  /** Of the moment; no height: a snapshot is looked for. */
  readonly progress: { readonly height: number | undefined; readonly chunks: number };
};

/** Fits a node that fetches a snapshot to the API's interface. */
export function fetchingNodeOf(parts: FetchingParts): ApiNode {
  const { config, genesis, genesisText, keys, progress } = parts;
  const block = genesisBlock(genesis);
  const refuse = (): never => {
    const { height, chunks } = progress;
    throw new LedgerError("NODE_FETCHING_SNAPSHOT", { height: height ?? null, chunks });
  };
  const { chainId, header } = block;
  const ledger: ApiLedger = {
    chainId,
    tip: { height: 0, hash: chainId, timestampMs: header.timestampMs },
    mempool: { count: 0, bytes: 0 },
    baseHeight: 0,
    parameters: () => genesis.parameters,
    onAppend: () => () => {},
    state: { get: refuse, range: refuse },
    ...{ status: refuse, waitFinal: refuse, senderInfo: refuse, readBlock: refuse },
    ...{ readReceipts: refuse, proveTransaction: refuse, proveState: refuse },
    ...{ history: refuse, events: refuse, view: refuse },
  };
  return {
    identity: identityOf(config, keys),
    genesisText,
    ledger,
    checkLedger: refuse,
    status: () => statusOf(parts, header.stateRoot),
    ...{ submit: refuse, validatorsAt: refuse, validatorChanges: refuse, membership: refuse },
    ...{ readValueAt: refuse, exportEvidence: refuse },
  };
}

function statusOf({ genesis, network, progress }: FetchingParts, stateRoot: string): NodeStatus {
  const { height, chunks } = progress;
  const peers = network.connectedPeers().map(didOf);
  const what =
    height === undefined
      ? `asking ${peers.length} peers for a snapshot`
      : `fetching the snapshot of height ${height}, ${chunks} chunks so far`;
  return {
    ...{ height: 1, round: 0, phase: "fetching a snapshot", catchingUp: true },
    peers,
    validators: genesis.members.map(({ validatorKey, name }) => ({
      ...{ validator: validatorKey, name, passedOver: false },
      ...{ height: undefined, round: undefined, lastSeenMs: undefined },
      ...{ votedHeight: undefined, clockOffsetMs: undefined },
    })),
    equivocations: [],
    snapshot: { height, chunks },
    notReady: [`NODE_FETCHING_SNAPSHOT: ${what}`],
    stateRoot,
  };
}
