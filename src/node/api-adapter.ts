/** Shows the running node to the HTTP API, in the shape that `api/api-node.ts` asks for. */
import { readFileSync } from "node:fs";
import type { ApiNode, NodeStatus } from "../api/api-node.ts";
import { didOf } from "../base/format/did.ts";
import { limits } from "../base/limits.ts";
import type { Clock } from "../base/log.ts";
import { quorumSize } from "../base/proof/certificate.ts";
import type { Ledger } from "../ledger/ledger.ts";
import type { LedgerStore } from "../ledger/store.ts";
import type { Network } from "../p2p/network.ts";
import type { ChainFollower } from "./chain-follower.ts";
import type { NodeConfig } from "./config.ts";
import type { ConsensusDriver } from "./consensus-driver.ts";
import { exportBillEvidence } from "./export-evidence.ts";
import type { NodeKeys } from "./open-keys.ts";
import type { TransactionIntake } from "./transaction-intake.ts";

/** The parts of a running node that the API shows. */
export type ShownParts = {
  readonly config: NodeConfig;
  readonly genesisText: string;
  readonly keys: NodeKeys;
  readonly ledger: Ledger;
  readonly store: LedgerStore;
  readonly network: Network;
  readonly driver: ConsensusDriver;
  readonly follower: ChainFollower;
  readonly intake: TransactionIntake;
  readonly clock: Clock;
};

/** Four rounds that fail one after the other take less. */
const waitingMsMax = 12_000;

const packageFile = new URL("../../package.json", import.meta.url);
const { version } = JSON.parse(readFileSync(packageFile, "utf8")) as { readonly version: string };

/** Fits the parts to the API's interface. */
export function apiNodeOf(parts: ShownParts): ApiNode {
  const { config, keys, ledger, store, genesisText } = parts;
  const { validator, peerKey } = keys;
  return {
    identity: {
      name: config.name,
      version,
      validator: validator && didOf(validator.publicKey),
      peer: didOf(peerKey),
    },
    genesisText,
    ledger,
    submit: (bytes) => submit(parts, bytes),
    status: () => statusOf(parts),
    readValueAt: (key, height) => store.readValueAt(key, height),
    exportEvidence: (billKey) => exportBillEvidence(ledger, billKey),
  };
}

/** What is admitted over HTTP goes to the peers and wakes consensus. */
async function submit({ ledger, network, driver }: ShownParts, bytes: Uint8Array) {
  const submission = await ledger.submit(bytes);
  if (submission.status === "pending") {
    network.publishTransactions([bytes]);
    driver.noteWork();
  }
  return submission;
}

function statusOf(parts: ShownParts): NodeStatus {
  const { keys, driver, follower, network, intake, store } = parts;
  const consensus = driver.status;
  const nameOf = new Map(keys.members.map(({ validator, name }) => [validator, name]));
  return {
    height: consensus.height,
    round: consensus.round,
    phase: consensus.phase,
    catchingUp: follower.status.catchingUp,
    peers: network.connectedPeers().map(didOf),
    validators: consensus.validators.map(({ validator, ...seen }) => ({
      ...seen,
      validator: didOf(validator),
      name: nameOf.get(validator) ?? "",
    })),
    notReady: notReadyReasons(parts),
    stateRoot: store.tip.header.stateRoot,
    refused: Object.fromEntries(intake.refused),
    network: network.metrics(),
  };
}

function notReadyReasons(parts: ShownParts): string[] {
  const { follower, keys } = parts;
  const { catchingUp, claimedHeight, hasLooked } = follower.status;
  const isAlone = keys.members.length === 1;
  return [
    ...votingReasons(parts),
    ...(hasLooked || isAlone ? [] : ["the heights of the peers are not known yet"]),
    ...(catchingUp ? [`catching up with height ${claimedHeight}`] : []),
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
  const isOff =
    clockOffsetMs > limits.proposalFutureMsMax || clockOffsetMs < -limits.proposalPastMsMax;
  const seconds = Math.round(Math.abs(clockOffsetMs) / 1_000);
  const direction = clockOffsetMs > 0 ? "behind" : "ahead of";
  if (isOff) reasons.push(`the clock of this node is ${seconds} s ${direction} those of its peers`);
  return reasons;
}

/** Why nothing can become final, whatever is submitted here. */
function quorumReasons({ keys, driver, network }: ShownParts): string[] {
  const { validators, waitingMs } = driver.status;
  const reasons: string[] = [];
  const others = validators.length - (keys.validator === undefined ? 0 : 1);
  const needed = quorumSize(validators.length) - (keys.validator === undefined ? 0 : 1);
  const connected = network.connectedPeers().length;
  if (connected < Math.min(needed, others))
    reasons.push(`${connected} peers connected, ${needed} needed for a quorum`);
  // Peers may be connected and yet not vote: what counts is whether anything gets decided.
  if (waitingMs > waitingMsMax)
    reasons.push(`nothing became final for ${Math.round(waitingMs / 1_000)} s although work waits`);
  return reasons;
}
