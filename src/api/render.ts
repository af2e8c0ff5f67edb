/** Turns what the ledger knows into the JSON of the API (schemas.ts). Pure. */
import { bytesToHex } from "../base/bytes.ts";
import { encodeHeader } from "../base/format/block.ts";
import { didOf, publicKeyOf } from "../base/format/did.ts";
import type { JsonValue } from "../base/format/json.ts";
import { encodeCertificate } from "../base/format/message.ts";
import { decodeReceipt, type Receipt } from "../base/format/receipt.ts";
import { decodeTransaction } from "../base/format/transaction.ts";
import { type Hash, zeroHash } from "../base/hash.ts";
import type { PublicKey } from "../base/keys.ts";
import type {
  ApiEvent,
  ApiFinal,
  ApiNode,
  ApiStateProof,
  ApiStoredBlock,
  ApiTransactionStatus,
} from "./api-node.ts";

/** Values of the state are JSON texts that this node checked when they were written. */
export function parsed(text: string | undefined): JsonValue {
  return text === undefined ? null : (JSON.parse(text) as JsonValue);
}

/** Renders the node's status. */
export function statusJson({ identity, ledger, status }: ApiNode, now = status()) {
  const { height: decidingHeight, round, phase, catchingUp, stateRoot, notReady } = now;
  const { height, hash, timestampMs } = ledger.tip;
  const { snapshot } = now;
  const { count: transactions, bytes } = ledger.mempool;
  return {
    name: identity.name,
    version: identity.version,
    chainId: ledger.chainId,
    ...{ height, hash, timestampMs, stateRoot },
    ...{ decidingHeight, round, phase, catchingUp },
    baseHeight: ledger.baseHeight,
    ledgerBytes: now.ledgerBytes ?? null,
    snapshot: snapshot ? { height: snapshot.height ?? null, chunks: snapshot.chunks } : null,
    ready: notReady.length === 0,
    notReady,
    validator: identity.validator ?? null,
    peer: identity.peer,
    peers: now.peers,
    validators: now.validators.map((one) => ({
      validator: one.validator,
      name: one.name,
      height: one.height ?? null,
      round: one.round ?? null,
      lastSeenMs: one.lastSeenMs === undefined ? null : Math.round(one.lastSeenMs),
      votedHeight: one.votedHeight ?? null,
      clockOffsetMs: one.clockOffsetMs === undefined ? null : Math.round(one.clockOffsetMs),
      passedOver: one.passedOver,
    })),
    equivocations: now.equivocations.map(
      ({ validator, height, round, kind, recordedAtHeight }) => ({
        ...{ validator, height, round, kind, recordedAtHeight },
      }),
    ),
    mempool: { transactions, bytes },
    parameters: ledger.parameters(),
  };
}

/** Renders a block's header. */
export function blockSummaryJson({ block, certificate }: ApiStoredBlock) {
  const { header, hash, transactions } = block;
  return {
    height: header.height,
    hash,
    parentHash: header.parentHash,
    timestampMs: header.timestampMs,
    proposer: header.proposer === zeroHash ? null : didOf(header.proposer),
    stateRoot: header.stateRoot,
    transactionsRoot: header.transactionsRoot,
    receiptsRoot: header.receiptsRoot,
    gasUsed: header.gasUsed,
    round: certificate?.round ?? null,
    transactionCount: transactions.length,
  };
}

/** Renders a block with its transactions. */
export function blockJson(
  stored: ApiStoredBlock,
  receipts: readonly Uint8Array[],
  validators: readonly PublicKey[],
) {
  const { block, certificate } = stored;
  const signers = certificate?.signatures.map(({ validatorIndex }) => validators[validatorIndex]);
  const dids = new Map<PublicKey, string>();
  const didOfSender = (sender: PublicKey) => {
    const did = dids.get(sender) ?? didOf(sender);
    dids.set(sender, did);
    return did;
  };
  return {
    ...blockSummaryJson(stored),
    headerBytes: bytesToHex(encodeHeader(block.header)),
    certificateBytes: certificate === undefined ? null : bytesToHex(encodeCertificate(certificate)),
    signers: (signers ?? []).filter((key) => key !== undefined).map(didOf),
    transactions: block.transactions.map((bytes, index) => {
      const { id, sender, contract, method, nonce } = decodeTransaction(bytes);
      const { outcome, gasUsed } = decodeReceipt(receipts[index] as Uint8Array);
      return { id, sender: didOfSender(sender), contract, method, nonce, outcome, gasUsed };
    }),
  };
}

/** Returns the public keys of the validators of a height, as certificates count them. */
export function validatorKeys(node: ApiNode, height: number): PublicKey[] {
  return (node.validatorsAt(Math.max(1, height))?.validators ?? []).map(publicKeyOf);
}

/** Renders what is known of a transaction; `undefined` when nothing is. */
export function transactionJson(id: Hash, status: ApiTransactionStatus) {
  switch (status.status) {
    case "unknown":
    case "pruned":
      return undefined;
    case "final":
      return finalJson(id, status);
    case "dropped":
      return { id, status: status.status, code: status.code };
    case "pending":
      return { id, status: status.status };
  }
}

function finalJson(id: Hash, { status, height, index, receipt, detail }: ApiFinal) {
  const final = { id, status, height, index, receipt: receiptJson(receipt) };
  return detail === undefined ? final : { ...final, detail };
}

function receiptJson({ outcome, gasUsed, events, changes }: Receipt) {
  return {
    outcome,
    gasUsed,
    events: events.map(({ contract, topic, json }) => ({ contract, topic, data: parsed(json) })),
    changes: changes.map(({ key, valueHash }) => ({ key, valueHash: valueHash ?? null })),
  };
}

/** Renders what a transaction asks for. */
export function callJson(bytes: Uint8Array) {
  const { sender, nonce, expiresAtMs, contract, method, argsJson, gasLimit } =
    decodeTransaction(bytes);
  const args = parsed(argsJson);
  return { sender: didOf(sender), nonce, expiresAtMs, contract, method, args, gasLimit };
}

/** Renders a proven state value. */
export function provenStateJson(proof: ApiStateProof) {
  const { key, header, certificate, value: text } = proof;
  const shown = proof.value === undefined ? { absence: proof.absence } : proof;
  return {
    ...{ key, height: header.height, text: text ?? null, value: parsed(text) },
    proof: {
      header: bytesToHex(encodeHeader(header)),
      certificate: certificate === undefined ? null : bytesToHex(encodeCertificate(certificate)),
      ...("absence" in shown ? { absence: shown.absence } : { inclusion: shown.inclusion }),
    },
  };
}

/** Renders an event. */
export function eventJson({ json, ...event }: ApiEvent) {
  const { height, index, transactionId, timeMs, contract, topic } = event;
  return { height, index, transactionId, timeMs, contract, topic, data: parsed(json) };
}
