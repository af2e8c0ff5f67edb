/**
 * Evidence bundle: one JSON file that proves values of the ledger's state to somebody who has the
 * genesis file and nothing else. Specified in docs/EVIDENCE.md; verified by proof/evidence.ts.
 *
 * | field | meaning |
 * |---|---|
 * | `format` | `loopledger-evidence-v0` |
 * | `chainId` | the chain, 64 hexadecimal digits |
 * | `subject` | `{kind, key}`: what is proven, and the state key it stands at |
 * | `contracts` | `{<name>: bundle hash}` of the contracts whose keys are in `entries` |
 * | `entries` | `[{role, key, value, transaction}]`: values, each with the transaction that wrote it |
 * | `transactions` | transactions with receipt, paths, header and certificate |
 * | `headers` | optional: all headers from some height to a later one, ascending, to a checkpoint |
 * | `validatorChanges` | optional: the changes of the validators since the genesis (set-change.ts), ascending |
 *
 * Nothing in a bundle is trusted, so it names no checkpoint: that has to come from elsewhere.
 */
import { z } from "zod";
import { bytesToHex } from "../bytes.ts";
import { caughtAs, LedgerError } from "../errors.ts";
import { type Hash, hash32Pattern } from "../hash.ts";
import { limits } from "../limits.ts";
import { encodeHeader, type Header } from "./block.ts";
import { encodeJson, parseJson } from "./json.ts";
import { type Certificate, encodeCertificate } from "./message.ts";
import { SetChange } from "./set-change.ts";
import { namePattern } from "./transaction.ts";

const HashText = z.string().regex(hash32Pattern);
const isHex = (text: string) => text.length % 2 === 0 && /^[0-9a-f]+$/.test(text);
const HexText = z.string().refine(isHex, "expected lowercase hexadecimal bytes");
const Path = z.array(HashText).max(53);
const Place = z.int().min(0);

const EvidenceTransaction = z.strictObject({
  /** The signed bytes. */
  transaction: HexText,
  receipt: HexText,
  /** Position in the block, and how many transactions the block has. */
  index: Place,
  size: Place,
  transactionPath: Path,
  receiptPath: Path,
  header: HexText,
  certificate: HexText,
});

const EvidenceEntry = z.strictObject({
  /** What the entry is to the subject, such as `bill` or `startReading`. */
  role: z.string().regex(namePattern),
  key: z.string().min(1).max(limits.stateKeyBytesMax),
  /** The value's text, exactly as in the state. */
  value: z.string().max(limits.stateValueBytesMax),
  /** Which of `transactions` wrote it. */
  transaction: Place,
});

const EvidenceBundle = z.strictObject({
  format: z.literal("loopledger-evidence-v0"),
  chainId: HashText,
  subject: z.strictObject({ kind: z.enum(["bill", "entry"]), key: z.string() }),
  contracts: z.record(z.string().regex(namePattern), HashText),
  entries: z.array(EvidenceEntry).min(1).max(limits.evidenceEntriesMax),
  transactions: z.array(EvidenceTransaction).min(1).max(limits.evidenceEntriesMax),
  headers: z.array(HexText).optional(),
  validatorChanges: z.array(SetChange).max(limits.evidenceEntriesMax).optional(),
});

/** A parsed bundle. Its bytes are hexadecimal text still. */
export type EvidenceBundle = z.infer<typeof EvidenceBundle>;

/** One transaction of a bundle. */
export type EvidenceTransaction = z.infer<typeof EvidenceTransaction>;

/** One value of a bundle. */
export type EvidenceEntry = z.infer<typeof EvidenceEntry>;

/** Puts what a ledger knows of a final transaction in the form of a bundle. */
export function evidenceTransactionOf(proof: {
  readonly transaction: { readonly bytes: Uint8Array };
  readonly receiptBytes: Uint8Array;
  readonly header: Header;
  readonly certificate: Certificate;
  readonly index: number;
  readonly size: number;
  readonly transactionPath: readonly Hash[];
  readonly receiptPath: readonly Hash[];
}): EvidenceTransaction {
  return {
    transaction: bytesToHex(proof.transaction.bytes),
    receipt: bytesToHex(proof.receiptBytes),
    index: proof.index,
    size: proof.size,
    transactionPath: [...proof.transactionPath],
    receiptPath: [...proof.receiptPath],
    header: bytesToHex(encodeHeader(proof.header)),
    certificate: bytesToHex(encodeCertificate(proof.certificate)),
  };
}

/** Returns the text of a bundle, in RFC 8785 form. */
export function encodeEvidence(bundle: EvidenceBundle): string {
  const { headers, validatorChanges, ...rest } = bundle;
  return encodeJson({
    ...rest,
    ...(headers && { headers }),
    ...(validatorChanges && { validatorChanges }),
  });
}

/**
 * Parses untrusted text. Only the form is checked; `verifyEvidence` checks what it proves.
 *
 * @throws {LedgerError} EVIDENCE_INVALID with the path of the field.
 */
export function decodeEvidence(text: string): EvidenceBundle {
  const fail = (path: string, reason: string, cause?: unknown) =>
    new LedgerError("EVIDENCE_INVALID", { path, reason }, { cause });
  if (text.length > limits.evidenceBytesMax)
    throw fail("", `longer than ${limits.evidenceBytesMax} bytes`);
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (error) {
    const cause = caughtAs(error, "JSON_INVALID");
    throw fail(`offset ${cause.facts.offset}`, String(cause.facts.reason), cause);
  }
  const parsed = EvidenceBundle.safeParse(value);
  if (parsed.success) return parsed.data;
  // Who refuses a form names at least one reason.
  const { path, message } = parsed.error.issues[0] as z.core.$ZodIssue;
  throw fail(path.join("."), message);
}
