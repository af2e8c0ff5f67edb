/**
 * A proof that was tampered with anywhere is refused, and one of another chain, too. Each lie is a
 * mutation of an honest proof; when one passes, a gateway would forget a reading that is not final.
 */
import fc from "fast-check";
import { expect, it } from "vitest";
import { provenStateJson } from "../../../src/api/render.ts";
import { bytesToHex, hexToBytes } from "../../../src/base/bytes.ts";
import { isLedgerError } from "../../../src/base/errors.ts";
import { blockOf, decodeHeader, encodeHeader } from "../../../src/base/format/block.ts";
import { evidenceTransactionOf } from "../../../src/base/format/evidence.ts";
import { encodeCertificate } from "../../../src/base/format/message.ts";
import { decodeReceipt, encodeReceipt } from "../../../src/base/format/receipt.ts";
import { merkleRoot } from "../../../src/base/proof/merkle.ts";
import { portableVerifier } from "../../../src/base/verifier.ts";
import {
  type FinalTransaction,
  trustOf,
  verifyFinal,
  verifyState,
} from "../../../src/client/finality.ts";
import type { FinalityProof, StateValue } from "../../../src/client/schemas.ts";
import { seedOf } from "../../helpers/seed.ts";
import { certify, FakeNode, fakeGenesis, sender } from "../api/fake-node.ts";

const verified = new Map<string, boolean>();
/** Verifies each distinct signature once: most lies leave the certificate alone. */
const verifier = {
  verify(message: Uint8Array, signature: Uint8Array, publicKey: string): boolean {
    const key = `${bytesToHex(message)} ${bytesToHex(signature)} ${publicKey}`;
    const answer = verified.get(key) ?? portableVerifier.verify(message, signature, publicKey);
    verified.set(key, answer);
    return answer;
  },
};
const trust = trustOf(fakeGenesis(), verifier);
const node = new FakeNode();
const [one, two, three] = [
  node.toy({ events: 1 }),
  node.toy({ set: { "toy/a": 1 } }),
  node.toy({}),
];
node.mine(one.bytes, two.bytes, three.bytes);
const proofOf = async (of: FakeNode, id: string) => {
  const proof = await of.api.ledger.proveTransaction(id);
  if (proof === undefined) throw new Error("not final");
  return evidenceTransactionOf(proof) as FinalityProof;
};
const honest = await proofOf(node, two.id);

function reasonOf(check: () => FinalTransaction | object): string {
  try {
    check();
    return "accepted";
  } catch (error) {
    if (!isLedgerError(error, "CLIENT_PROOF_INVALID")) throw error;
    return String(error.facts.reason);
  }
}

const judged = (proof: FinalityProof, expected: string | Uint8Array = two.id) =>
  reasonOf(() => verifyFinal(proof, trust, expected));

it("accepts an honest proof, by id and by the exact bytes", () => {
  expect(verifyFinal(honest, trust, two.id).receipt.outcome).toBe("ok");
  expect(verifyFinal(honest, trust, two.bytes).header.height).toBe(1);
});

it("refuses a proof of another transaction, however honest", () => {
  expect(judged(honest, one.id)).toBe("it is for another transaction");
  expect(judged(honest, one.bytes)).toBe("it is for another transaction");
});

it("refuses another receipt, even one of the same block", async () => {
  const other = await proofOf(node, one.id);
  const swapped = { ...honest, receipt: other.receipt, receiptPath: other.receiptPath };
  expect(judged(swapped)).toBe("the receipt is of another transaction");
  const receipt = decodeReceipt(hexToBytes(honest.receipt));
  const forged = bytesToHex(encodeReceipt({ ...receipt, outcome: "TOY_FAILED" }));
  expect(judged({ ...honest, receipt: forged })).toMatch("from the receipt to the header");
});

it("refuses truncated and lengthened paths", () => {
  for (const name of ["transactionPath", "receiptPath"] as const) {
    expect(judged({ ...honest, [name]: honest[name].slice(1) })).toMatch("does not lead");
    expect(judged({ ...honest, [name]: [...honest[name], "0".repeat(64)] })).toMatch(
      "does not lead",
    );
  }
});

it("refuses the certificate of another chain, of other validators, and of too few", async () => {
  const foreign = new FakeNode(fakeGenesis("another ledger"));
  const there = foreign.toy({});
  foreign.mine(there.bytes);
  const proof = await proofOf(foreign, there.id);
  expect(judged(proof, there.id)).toBe("the header is of another chain");
  expect(judged({ ...honest, certificate: proof.certificate })).toBe("it is for another block");
  const block = node.chain[1]?.block;
  if (block === undefined) throw new Error("no block");
  const certificate = certify(block);
  const few = { ...certificate, signatures: certificate.signatures.slice(1) };
  expect(judged({ ...honest, certificate: bytesToHex(encodeCertificate(few)) })).toBe(
    "too few signatures",
  );
  const outsiders = certify(block, [sender, sender, sender]);
  expect(judged({ ...honest, certificate: bytesToHex(encodeCertificate(outsiders)) })).toMatch(
    "does not hold",
  );
});

it("refuses a header that the quorum did not sign, though all paths fit it", () => {
  const invented = node.toy({ events: 5 });
  const receipt = encodeReceipt({
    transactionId: invented.id,
    outcome: "ok",
    gasUsed: 1,
    events: [],
    changes: [],
  });
  const header = {
    ...decodeHeader(hexToBytes(honest.header)),
    transactionsRoot: merkleRoot([invented.bytes]),
    receiptsRoot: merkleRoot([receipt]),
  };
  const forged: FinalityProof = {
    transaction: bytesToHex(invented.bytes),
    receipt: bytesToHex(receipt),
    ...{ index: 0, size: 1, transactionPath: [], receiptPath: [] },
    header: bytesToHex(encodeHeader(header)),
    certificate: honest.certificate,
  };
  expect(judged(forged, invented.id)).toBe("it is for another block");
  // A single validator cannot make up for the others either.
  const certificate = certify(blockOf(header, [invented.bytes]));
  const alone = { ...certificate, signatures: certificate.signatures.slice(0, 1) };
  const signed = { ...forged, certificate: bytesToHex(encodeCertificate(alone)) };
  expect(judged(signed, invented.id)).toBe("too few signatures");
});

it("refuses every proof with a byte changed, dropped or added, always with its own code", () => {
  const fields = ["transaction", "receipt", "header", "certificate"] as const;
  const change = fc.record({
    field: fc.constantFrom(...fields),
    place: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    flip: fc.integer({ min: 1, max: 255 }),
    kind: fc.constantFrom("flip", "drop", "add"),
  });
  fc.assert(
    fc.property(change, ({ field, place, flip, kind }) => {
      const bytes = [...hexToBytes(honest[field])];
      const at = Math.floor(place * bytes.length);
      if (kind === "flip") bytes[at] = (bytes[at] as number) ^ flip;
      if (kind === "drop") bytes.splice(at, 1);
      if (kind === "add") bytes.splice(at, 0, flip);
      const text = bytesToHex(Uint8Array.from(bytes));
      if (text === honest[field]) return;
      expect(judged({ ...honest, [field]: text }, two.bytes)).not.toBe("accepted");
    }),
    { numRuns: 300, seed: seedOf(20_260_101) },
  );
});

it("refuses what has not even the form of a proof", () => {
  const wrong = [
    {},
    null,
    { ...honest, header: "xyz" },
    { ...honest, header: "abc" },
    { ...honest, index: -1 },
    { ...honest, size: 0 },
    { ...honest, transactionPath: Array(60).fill("0".repeat(64)) },
  ];
  for (const proof of wrong) expect(judged(proof as FinalityProof)).not.toBe("accepted");
});

it("proves state values, and refuses another value, key, header or height", async () => {
  const answerOf = async (key: string) =>
    JSON.parse(
      JSON.stringify(provenStateJson(await node.api.ledger.proveState(key))),
    ) as StateValue;
  const answer = await answerOf("toy/a");
  const judge = (changed: StateValue, key = "toy/a") =>
    reasonOf(() => verifyState(changed, trust, key));
  expect(verifyState(answer, trust, "toy/a").text).toBe("1");
  expect(judge({ ...answer, text: "2" })).toMatch("does not lead");
  expect(judge(answer, "toy/b")).toMatch("does not lead");
  expect(judge({ ...answer, text: null })).toMatch("does not lead");
  expect(judge({ ...answer, height: 2 })).toBe("the header is of another height");
  expect(judge({ ...answer, proof: undefined })).toBe("the answer holds no proof");
  const absent = await answerOf("toy/none");
  expect(verifyState(absent, trust, "toy/none").text).toBe(undefined);
  expect(judge(absent, "toy/a")).toMatch("does not lead");
  const proof = { ...answer.proof, header: answer.proof?.header ?? "", certificate: null };
  expect(judge({ ...answer, proof })).toBe("the header has no certificate");
});

it("takes the genesis for what it is without a certificate, but only its own", async () => {
  const fresh = new FakeNode();
  const answer = provenStateJson(await fresh.api.ledger.proveState("system/chain/info"));
  const value = JSON.parse(JSON.stringify(answer)) as StateValue;
  expect(verifyState(value, trust, "system/chain/info").text).toContain("test ledger");
  const other = trustOf(fakeGenesis("another ledger"), verifier);
  expect(reasonOf(() => verifyState(value, other, "system/chain/info"))).toBe(
    "the genesis is of another chain",
  );
});
