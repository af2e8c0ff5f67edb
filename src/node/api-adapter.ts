/** Shows the running node to the HTTP API, in the shape that `api/api-node.ts` asks for. */
import { readFileSync } from "node:fs";
import type { ApiNode, NodeStatus } from "../api/api-node.ts";
import { didOf } from "../base/format/did.ts";
import { limits } from "../base/limits.ts";
import type { Clock } from "../base/log.ts";
import { quorumSize } from "../base/proof/certificate.ts";
import { passedOver } from "../base/proposer-schedule.ts";
import type { Ledger } from "../ledger/ledger.ts";
import type { LedgerStore } from "../ledger/store.ts";
import { readEquivocations } from "../ledger/system/report-equivocation.ts";
import type { Network } from "../p2p/network.ts";
import type { ChainFollower } from "./chain-follower.ts";
import { clockReasons } from "./clock-reasons.ts";
import { checkpointOf, type NodeConfig } from "./config.ts";
import type { ConsensusDriver } from "./consensus-driver.ts";
import { exportBillEvidence } from "./export-evidence.ts";
import type { LedgerSize } from "./ledger-size.ts";
import type { Membership } from "./membership.ts";
import { membershipView } from "./membership-view.ts";
import type { NodeKeys } from "./open-keys.ts";
import { readSetChanges, validatorsAt } from "./set-changes.ts";
import type { NodeShell } from "./shell.ts";
import type { StorageGate } from "./storage-gate.ts";

/** The parts of a running node that the API shows. */
export type ShownParts = {
  readonly config: NodeConfig;
  readonly genesisText: string;
  readonly keys: NodeKeys;
  readonly ledger: Ledger;
  readonly membership: Membership;
  readonly store: LedgerStore;
  readonly storage: StorageGate;
  readonly network: Network;
  readonly driver: ConsensusDriver;
  readonly follower: ChainFollower;
  readonly shell: NodeShell;
  readonly clock: Clock;
  readonly size: LedgerSize;
};

/** Four rounds that fail one after the other take less. */
const waitingMsMax = 12_000;

const packageFile = new URL("../../package.json", import.meta.url);
const { version } = JSON.parse(readFileSync(packageFile, "utf8")) as { readonly version: string };

/** Fits the parts to the API's interface. */
export function apiNodeOf(parts: ShownParts): ApiNode {
  const { config, keys, ledger, store, shell, genesisText } = parts;
  return {
    identity: identityOf(config, keys),
    genesisText,
    ledger,
    submit: (bytes) => shell.submit(bytes),
    status: () => statusOf(parts),
    validatorsAt: (height) => validatorsAt(ledger.state, height),
    validatorChanges: (from) => readSetChanges(ledger.state, store, from),
    membership: () => membershipView(ledger.state, ledger.tip.timestampMs),
    readValueAt: (key, height) => store.readValueAt(key, height),
    exportEvidence: (billKey) => exportBillEvidence(ledger, store, billKey),
  };
}

/** Says who the node is. */
export function identityOf(config: NodeConfig, { validator, peerKey }: NodeKeys) {
  return {
    name: config.name,
    version,
    validator: validator && didOf(validator.publicKey),
    peer: didOf(peerKey),
  };
}

function statusOf(parts: ShownParts): NodeStatus {
  const { membership, driver, follower, network, shell, store, ledger } = parts;
  const consensus = driver.status;
  const passed = new Set(passedOver(ledger.schedule));
  const memberOf = new Map(membership.members().map((member) => [member.validator, member]));
  return {
    height: consensus.height,
    round: consensus.round,
    phase: consensus.phase,
    catchingUp: follower.status.catchingUp,
    peers: network.connectedPeers().map(didOf),
    validators: consensus.validators.map(({ validator, ...seen }) => {
      const { name = "", peer = "" } = memberOf.get(validator) ?? {};
      return {
        ...seen,
        ...{ validator: didOf(validator), name, passedOver: passed.has(validator) },
        clockOffsetMs: shell.peerClocks.offsetMs(peer),
      };
    }),
    notReady: notReadyReasons(parts),
    equivocations: readEquivocations(ledger.state, limits.equivocationsShownMax),
    stateRoot: store.tip.header.stateRoot,
    ledgerBytes: parts.size.bytes,
    canWrite: parts.storage.closedBecause === undefined,
    refused: Object.fromEntries(shell.intake.refused),
    network: { ...network.metrics(), consensusFramesOverBudget: shell.messagesOverBudget },
  };
}

function notReadyReasons(parts: ShownParts): string[] {
  const { catchingUp, claimedHeight, hasLooked } = parts.follower.status;
  const isAlone = isValidator(parts) && parts.membership.members().length === 1;
  return [
    ...votingReasons(parts),
    ...storageReasons(parts),
    ...checkpointReasons(parts),
    ...(hasLooked || isAlone ? [] : ["the heights of the peers are not known yet"]),
    ...(catchingUp ? [`catching up with height ${claimedHeight}`] : []),
    ...(catchingUp && parts.follower.prunedPeers > 0
      ? [`${parts.follower.prunedPeers} peers have pruned the next block; see sync: snapshot`]
      : []),
    ...quorumReasons(parts),
  ];
}

/** Why this node itself does not vote, or is not understood by the others. */
function votingReasons({ driver }: ShownParts): string[] {
  const { halted, votesFromHeight, clockOffsetMs } = driver.status;
  const reasons: string[] = [];
  if (halted !== undefined) reasons.push(`this node votes no more: ${halted}`);
  if (driver.isAbstaining) reasons.push("the signing record was lost: this node does not vote yet");
  if (votesFromHeight !== undefined)
    reasons.push(`this node voted at height ${votesFromHeight} and waits for the blocks below it`);
  return [...reasons, ...clockReasons(clockOffsetMs)];
}

/** What is wrong with the disk. */
function storageReasons({ storage, store }: ShownParts): string[] {
  const { closedBecause } = storage;
  const { damage } = store;
  const reasons: string[] = [];
  if (closedBecause !== undefined)
    reasons.push(`this node takes no part until it can write to disk: ${closedBecause}`);
  if (damage !== undefined)
    reasons.push(`the ledger store is damaged, a restart repairs it: ${damage.message}`);
  return reasons;
}

/** Below its checkpoint a node cannot know yet whether it was led onto a fork. */
function checkpointReasons({ config, store }: ShownParts): string[] {
  const height = checkpointOf(config)?.height ?? 0;
  if (store.tip.height >= height) return [];
  return [`the block of the checkpoint, ${height}, is not here yet`];
}

/** Tells whether this node's key votes now: a candidate's does not yet. */
function isValidator({ keys, membership }: ShownParts): boolean {
  return membership.members().some(({ validator }) => validator === keys.validator?.publicKey);
}

/** Why nothing can become final, whatever is submitted here. */
function quorumReasons(parts: ShownParts): string[] {
  const { driver, network, membership } = parts;
  const { validators, waitingMs } = driver.status;
  const reasons: string[] = [];
  const own = isValidator(parts) ? 1 : 0;
  const others = validators.length - own;
  const needed = quorumSize(validators.length) - own;
  const members = new Set(membership.members().map(({ peer }) => peer));
  const connected = network.connectedPeers().filter((peer) => members.has(peer)).length;
  if (connected < Math.min(needed, others))
    reasons.push(`${connected} peers connected, ${needed} needed for a quorum`);
  // Peers may be connected and yet not vote: what counts is whether anything gets decided.
  if (waitingMs > waitingMsMax)
    reasons.push(`nothing became final for ${Math.round(waitingMs / 1_000)} s although work waits`);
  return reasons;
}
