/**
 * Holds a run of the whole-node simulator against the model. What reached a node counts as received
 * though its shell may still have it in a queue, and a claim as sent once it is signed: that allows
 * a little more than the cores know, and never less.
 */

import { isLedgerError } from "../../src/base/errors.ts";
import {
  type Claim,
  type ConsensusMessage,
  claimMessage,
  decodeMessage,
  type Signed,
} from "../../src/base/format/message.ts";
import { decodeSigningRecord, type SigningRecord } from "../../src/base/format/signing-record.ts";
import type { Hash } from "../../src/base/hash.ts";
import { validatorKey, worldGenesis, worldVerifier } from "../sim/world/chain.ts";
import { readClaim, Violation } from "../sim/world/checkers.ts";
import type { WorldObserver } from "../sim/world/outcome.ts";
import { type Plan, validatorsAtFirst } from "../sim/world/plan.ts";
import { TraceChecker, type TraceEntry } from "./conformance.ts";

/** First byte of a frame that carries a consensus message. */
const consensusFrame = 0;

/** Returns what watches a run, and the checker it feeds. */
export function watchWorld(plan: Plan): { observer: WorldObserver; checker: TraceChecker } {
  const { chainId } = worldGenesis(plan);
  const liars = plan.liars.map(({ index }) => index);
  const validators = validatorsAtFirst(plan).map(validatorKey);
  const checker = new TraceChecker({ validators, liars, liarKeys: liars.map(validatorKey) });
  const take = (entry: TraceEntry) => {
    try {
      checker.take(entry);
    } catch (error) {
      throw new Violation("model", error instanceof Error ? error.message : String(error));
    }
  };
  const observer: WorldObserver = {
    onDeliver(node, frame) {
      const message = messageIn(frame, chainId);
      if (message !== undefined) take({ kind: "receive", node, message });
    },
    onSign({ index: node, key: validator }, bytes, recordBytes) {
      const claim = readClaim(bytes, chainId);
      const record = recordBytes && decodeSigningRecord(recordBytes);
      const block = record?.proposal?.block;
      take({ kind: "sign", node, validator, claim, block });
      const message = messageOf(claim, validator, record);
      take({ kind: "send", node, message });
    },
    onAppended({ index: node, running }, { block, certificate, validators: former }) {
      const next = running?.ledger.validators() ?? former;
      take({ kind: "append", node, block, certificate, validators: next });
    },
    onOpened({ index: node }, { ledger }) {
      const { height, hash, proposer } = ledger.tip;
      if (height === 0) return;
      const block = { hash, header: { height, proposer } };
      take({ kind: "append", node, block, validators: ledger.validators() });
    },
  };
  return { observer, checker };
}

/** Returns the message of a frame, if all its signatures are of this chain. */
function messageIn(frame: Uint8Array, chainId: Hash): ConsensusMessage | undefined {
  if (frame[0] !== consensusFrame) return undefined;
  try {
    const message = decodeMessage(frame.subarray(1));
    return claimsIn(message).every((claim) => isSigned(claim, chainId)) ? message : undefined;
  } catch (error) {
    if (isLedgerError(error)) return undefined;
    throw error;
  }
}

function claimsIn(message: ConsensusMessage): Signed<Claim>[] {
  const prepares = "prepares" in message ? message.prepares : [];
  const changes = message.kind === "proposal" ? message.roundChanges : [];
  return [message, ...changes, ...prepares];
}

function isSigned(claim: Signed<Claim>, chainId: Hash): boolean {
  const { signature, validator } = claim;
  return worldVerifier.verify(claimMessage(claim, chainId), signature, validator);
}

/** The message a claim is sent in, as far as the record tells; nobody looks at its signature. */
function messageOf(
  claim: Claim,
  validator: string,
  record: SigningRecord | undefined,
): ConsensusMessage {
  const signed = { ...claim, validator, signature: new Uint8Array() };
  if (signed.kind === "roundChange") {
    const { block: preparedBlock, prepares = [] } = record?.prepared ?? {};
    return { ...signed, preparedBlock, prepares };
  }
  if (signed.kind !== "proposal") return signed as ConsensusMessage;
  const { block, roundChanges = [], prepares = [] } = record?.proposal ?? {};
  if (block === undefined) throw new Error("a proposal is signed whose block is not on disk");
  return { ...signed, block, roundChanges, prepares };
}
