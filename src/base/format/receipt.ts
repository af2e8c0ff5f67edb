/**
 * Receipt: what became of one transaction of a block.
 *
 * Tuple: `[transactionId, outcome, gasUsed, [[contract, topic, json], ...],
 * [[key, valueHash | nil], ...]]`
 *
 * | # | field | type | meaning |
 * |---|---|---|---|
 * | 0 | transactionId | bin 32 | |
 * | 1 | outcome | text | `ok`, or the code of the failure |
 * | 2 | gasUsed | integer | |
 * | 3 | events | list | in the order emitted; empty unless ok |
 * | 4 | changes | list | changed keys ascending by bytes, hash of the new value or nil (deleted) |
 *
 * The replay window of the sender changes with every receipt and is not listed. Free text of an
 * engine or contract is never part of a receipt: it may differ between hosts.
 */
import { hexToBytes } from "../bytes.ts";
import type { Hash } from "../hash.ts";
import { limits } from "../limits.ts";
import { encode, type Value } from "./codec.ts";
import { TupleReader } from "./tuple.ts";

/** Something a contract told the world. */
export type ContractEvent = {
  readonly contract: string;
  readonly topic: string;
  /** Canonical JSON text. */
  readonly json: string;
};

/** A changed state key with the hash of its new value; undefined = deleted. */
export type Change = { readonly key: string; readonly valueHash: Hash | undefined };

/** The outcome of one transaction. */
export type Receipt = {
  readonly transactionId: Hash;
  /** `ok`, or a code such as `METERING_METER_UNKNOWN`. */
  readonly outcome: string;
  readonly gasUsed: number;
  readonly events: readonly ContractEvent[];
  readonly changes: readonly Change[];
};

/** Encodes a receipt in its only encoding. */
export function encodeReceipt(receipt: Receipt): Uint8Array {
  return encode([
    hexToBytes(receipt.transactionId),
    receipt.outcome,
    receipt.gasUsed,
    receipt.events.map(({ contract, topic, json }) => [contract, topic, json]),
    receipt.changes.map(({ key, valueHash }) => [
      key,
      valueHash === undefined ? null : hexToBytes(valueHash),
    ]),
  ]);
}

/** Decodes untrusted receipt bytes. @throws {LedgerError} CODEC_INVALID */
export function decodeReceipt(bytes: Uint8Array): Receipt {
  const reader = TupleReader.decode(bytes, "receipt");
  const receipt: Receipt = {
    transactionId: reader.hash("transactionId"),
    outcome: reader.text("outcome"),
    gasUsed: reader.integer("gasUsed"),
    events: reader.list("events", limits.eventsPerCallMax, readEvent),
    changes: reader.list("changes", limits.tupleElementsMax, readChange),
  };
  reader.end();
  return receipt;
}

function readEvent(value: Value, type: string): ContractEvent {
  const reader = TupleReader.of(value, type);
  const event = {
    contract: reader.text("contract"),
    topic: reader.text("topic"),
    json: reader.text("json"),
  };
  reader.end();
  return event;
}

function readChange(value: Value, type: string): Change {
  const reader = TupleReader.of(value, type);
  const change = { key: reader.text("key"), valueHash: reader.optionalHash("valueHash") };
  reader.end();
  return change;
}
