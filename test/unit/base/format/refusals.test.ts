/**
 * What decoders of formats refuse beyond the codec: each rule of a format has a row here, made by
 * changing one field of good bytes.
 *
 * Shown able to fail: with equal indexes in a certificate, with half a prepared pair, without the
 * bounds of nonce and gas.
 */
import { describe, expect, it } from "vitest";
import { hexToBytes } from "../../../../src/base/bytes.ts";
import { isLedgerError } from "../../../../src/base/errors.ts";
import { decodeBlock, decodeHeader } from "../../../../src/base/format/block.ts";
import { decode, encode, type Value } from "../../../../src/base/format/codec.ts";
import { decodeCertificate, decodeMessage } from "../../../../src/base/format/message.ts";
import { decodeReceipt } from "../../../../src/base/format/receipt.ts";
import {
  decodeTransaction,
  signTransaction,
  verifyTransaction,
} from "../../../../src/base/format/transaction.ts";
import { limits } from "../../../../src/base/limits.ts";
import { nativeSigner, nativeVerifier } from "../../../../src/node/native-crypto.ts";
import golden from "../../../golden/formats.json" with { type: "json" };

/** A tuple of golden bytes, to be changed and encoded again. */
function tupleOf(hex: string): Value[] {
  return [...(decode(hexToBytes(hex), "test") as readonly Value[])];
}

function replaced(tuple: readonly Value[], at: number, value: Value): Value[] {
  return tuple.map((field, index) => (index === at ? value : field));
}

/** Returns code and path of a refusal, or undefined. */
function refusal(run: () => unknown): string | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    if (!isLedgerError(error)) throw error;
    return error.code === "CODEC_INVALID" ? `${error.facts.type}: ${error.facts.path}` : error.code;
  }
}

describe("a transaction", () => {
  const [body, signature] = tupleOf(golden.transaction.bytes) as [Uint8Array, Uint8Array];
  const fields = [...(decode(body, "test") as readonly Value[])];
  const withField = (at: number, value: Value) =>
    refusal(() => decodeTransaction(encode([encode(replaced(fields, at, value)), signature])));

  it.each<[string, number, Value, string]>([
    ["version 1", 0, 1, "version"],
    ["a short chain id", 1, new Uint8Array(31), "chainId"],
    ["a text as sender", 2, "x", "sender"],
    ["nonce 0", 3, 0, "nonce"],
    ["a nonce above 2^53", 3, 2n ** 53n, "nonce"],
    ["no expiry", 4, null, "expiresAtMs"],
    ["a contract with a slash", 5, "a/b", "contract"],
    ["a contract with a capital first", 5, "Metering", "contract"],
    ["an empty contract", 5, "", "contract"],
    ["a method of 65 letters", 6, "a".repeat(65), "method"],
    ["a method with a line break", 6, "report\n", "method"],
    ["arguments that are not canonical", 7, "[ ]", "argsJson"],
    ["gas 0", 8, 0, "gasLimit"],
  ])("with %s is refused", (_, at, value, path) => {
    expect(withField(at, value)).toBe(`transaction body: ${path}`);
  });

  it("with arguments that are not JSON is refused", () => {
    for (const text of ["", '{"a":1,"a":2}', "1.5", '{"__proto__":1}'])
      expect(withField(7, text)).toBe("JSON_INVALID");
  });

  it("with more, fewer or wrong outer fields is refused", () => {
    const outer = (value: Value) => refusal(() => decodeTransaction(encode(value)));
    expect(outer([body, signature, 0])).toBe("transaction: ");
    expect(outer([body])).toBe("transaction: signature");
    expect(outer([body, signature.subarray(1)])).toBe("transaction: signature");
    expect(outer([encode([...fields, 0]), signature])).toBe("transaction body: ");
    expect(outer([encode(fields.slice(1)), signature])).toBe("transaction body: version");
    expect(outer("x")).toBe("transaction: ");
  });

  it("is refused from the first byte above its limit", () => {
    const bytesOf = (count: number) => {
      const text = JSON.stringify("a".repeat(count));
      return encode([encode(replaced(fields, 7, text)), signature]);
    };
    const overhead = bytesOf(200_000).length - 200_000;
    const atLimit = bytesOf(limits.transactionBytesMax - overhead);
    expect(atLimit).toHaveLength(limits.transactionBytesMax);
    expect(refusal(() => decodeTransaction(atLimit))).toBeUndefined();
    const above = bytesOf(limits.transactionBytesMax - overhead + 1);
    expect(refusal(() => decodeTransaction(above))).toBe("TRANSACTION_TOO_LARGE");
  });

  it("verifies with the sender's signature over tag and body, and with no other", () => {
    const { bytes, chainId } = golden.transaction;
    const good = decodeTransaction(hexToBytes(bytes));
    expect(verifyTransaction(good, nativeVerifier)).toBe(true);
    const other = nativeSigner(new Uint8Array(32).fill(8));
    const untagged = decodeTransaction(encode([body, other.sign(body)]));
    expect(verifyTransaction(untagged, nativeVerifier)).toBe(false);
    const again = signTransaction({ ...good, chainId, nonce: 8 }, other);
    expect(verifyTransaction(again, nativeVerifier)).toBe(true);
    expect(again.id).not.toBe(good.id);
    const swapped = decodeTransaction(encode([body, again.signature]));
    expect(swapped.id).toBe(good.id);
    expect(verifyTransaction(swapped, nativeVerifier)).toBe(false);
  });
});

describe("a header, block or receipt", () => {
  it("with a wrong field is refused", () => {
    const header = tupleOf(golden.block.headerBytes);
    const changed = (at: number, value: Value) =>
      refusal(() => decodeHeader(encode(replaced(header, at, value))));
    expect(changed(0, 1)).toBe("header: version");
    expect(changed(2, 2n ** 53n)).toBe("header: height");
    expect(changed(8, new Uint8Array(33))).toBe("header: stateRoot");
    expect(refusal(() => decodeHeader(encode([...header, 0])))).toBe("header: ");
    const block = tupleOf(golden.block.bytes);
    const blockWith = (value: Value) =>
      refusal(() => decodeBlock(encode(replaced(block, 1, value))));
    expect(blockWith(["x"])).toBe("block.transactions[0]: ");
    expect(blockWith(Array.from({ length: 10_001 }, () => new Uint8Array(0)))).toBe(
      "block: transactions",
    );
    const receipt = tupleOf(golden.receipt.bytes);
    const receiptWith = (at: number, value: Value) =>
      refusal(() => decodeReceipt(encode(replaced(receipt, at, value))));
    expect(receiptWith(3, [["a", "b"]])).toBe("receipt.events[0]: json");
    expect(
      receiptWith(
        3,
        Array.from({ length: 65 }, () => ["a", "b", "1"]),
      ),
    ).toBe("receipt: events");
    expect(receiptWith(4, [["key", new Uint8Array(31)]])).toBe("receipt.changes[0]: valueHash");
  });

  it("is refused from the first byte above the limit of blocks", () => {
    const [header = null] = tupleOf(golden.block.bytes);
    const bytesOf = (count: number) => encode([header, [new Uint8Array(count)]]);
    const overhead = bytesOf(100_000).length - 100_000;
    const most = limits.blockBytesMax - overhead;
    expect(refusal(() => decodeBlock(bytesOf(most)))).toBeUndefined();
    expect(refusal(() => decodeBlock(bytesOf(most + 1)))).toBe("BLOCK_TOO_LARGE");
  });
});

describe("the transactions of a block", () => {
  const [header = null] = tupleOf(golden.block.bytes);
  const blockWith = (...transactions: Uint8Array[]) =>
    refusal(() => decodeBlock(encode([header, transactions])));

  it("are refused below the length of the shortest that can be signed, and none above it", () => {
    const key = new Uint8Array(32);
    const body = encode([0, key, key, 1, 0, "a", "a", "0", 1]);
    const shortest = encode([body, new Uint8Array(64)]);
    expect(decodeTransaction(shortest).argsJson).toBe("0");
    expect(shortest).toHaveLength(limits.transactionBytesMin);
    expect(blockWith(shortest)).toBeUndefined();
    expect(blockWith(shortest, shortest.subarray(1))).toBe("block.transactions[1]: ");
    expect(blockWith(new Uint8Array(0))).toBe("block.transactions[0]: ");
  });
});

describe("a certificate", () => {
  const certificate = tupleOf(golden.certificate.bytes);
  const signatures = certificate[3] as readonly (readonly Value[])[];
  const [first = [], second = []] = signatures;

  it.each<[string, Value]>([
    ["a signer twice", [first, first]],
    ["descending signers", [second, first]],
  ])("with %s is refused", (_, value) => {
    const bytes = encode(replaced(certificate, 3, value));
    expect(refusal(() => decodeCertificate(bytes))).toBe("certificate: signatures");
  });

  it("with a short signature or too many is refused", () => {
    const short = encode(replaced(certificate, 3, [[0, new Uint8Array(63)]]));
    expect(refusal(() => decodeCertificate(short))).toBe("certificate.signatures[0]: signature");
    const many = Array.from({ length: 65 }, (_, index) => [index, new Uint8Array(64)]);
    const bytes = encode(replaced(certificate, 3, many));
    expect(refusal(() => decodeCertificate(bytes))).toBe("certificate: signatures");
  });
});

describe("a consensus message", () => {
  const claimAt = (index: number) => tupleOf(golden.messages[index]?.wire ?? "")[1] as Value[];
  const roundChange = claimAt(3);
  const message = (claim: Value) => refusal(() => decodeMessage(encode([3, claim, null, []])));

  it("with half a prepared pair is refused", () => {
    expect(message(replaced(roundChange, 2, null))).toBe("round change: prepared");
    expect(message(replaced(roundChange, 3, null))).toBe("round change: prepared");
    expect(message(replaced(replaced(roundChange, 2, null), 3, null))).toBeUndefined();
  });

  it("that names a signer twice in one list is refused", () => {
    const vote = claimAt(1);
    const others = [1, 2].map((byte) => new Uint8Array(32).fill(byte));
    const votes = others.map((signer) => replaced(vote, 3, signer));
    const changes = others.map((signer) => replaced(roundChange, 4, signer));
    const blockBytes = hexToBytes(golden.block.bytes);
    const [validator = null, signature = null] = vote.slice(3);
    const proposal = (roundChanges: Value, prepares: Value) =>
      refusal(() =>
        decodeMessage(encode([0, 1, 1, validator, signature, blockBytes, roundChanges, prepares])),
      );
    const prepares = (list: Value) =>
      refusal(() => decodeMessage(encode([3, roundChange, null, list])));
    expect(proposal(changes, votes)).toBeUndefined();
    expect(prepares(votes)).toBeUndefined();
    const again = { vote: [...votes, votes[0]], change: [...changes, changes[0]] };
    expect(proposal(again.change as Value, votes)).toBe("consensus message: roundChanges");
    expect(proposal(changes, again.vote as Value)).toBe("consensus message: prepares");
    expect(prepares(again.vote as Value)).toBe("consensus message: prepares");
  });

  it("with a round beyond all sense or an unknown kind is refused", () => {
    expect(message(replaced(roundChange, 1, 2 ** 40))).toBeUndefined();
    expect(message(replaced(roundChange, 1, 2 ** 40 + 1))).toBe("consensus message: round");
    expect(refusal(() => decodeMessage(encode([4, claimAt(1)])))).toBe("consensus message: kind");
    expect(refusal(() => decodeMessage(encode([1, claimAt(1), 0])))).toBe("consensus message: ");
  });
});
