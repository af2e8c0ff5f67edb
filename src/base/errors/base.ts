/** Errors of formats, keys and proofs. See errors.ts. */
import type { ErrorRow } from "./row.ts";

/** Rows of the error table. */
export const baseErrors = {
  CODEC_INVALID: {
    httpStatus: 400,
    facts: ["type", "path", "reason"],
    meaning: "The bytes are not the canonical encoding of the named format.",
    next: "Encode with the client library of this version; `path` names the place.",
  },
  JSON_INVALID: {
    httpStatus: 400,
    facts: ["offset", "reason"],
    meaning: "The text is not JSON of the permitted form (integers within 2^53, unique keys).",
    next: "Correct the text at `offset`; write fractions as decimal strings.",
  },
  KEY_INVALID: {
    httpStatus: 400,
    facts: ["key", "reason"],
    meaning: "A public key or did:key is malformed, of small order, or not canonical.",
    next: "Make a new key with `loopledger key new`.",
  },
  EQUIVOCATION_INVALID: {
    httpStatus: 400,
    facts: ["reason"],
    meaning: "Two signed consensus claims do not convict a validator of equivocation.",
    next: "Report exactly what the two messages held; the reason says what does not fit.",
  },
  TRANSACTION_TOO_LARGE: {
    httpStatus: 413,
    facts: ["bytes", "bytesMax"],
    meaning: "The signed transaction is longer than a transaction may be.",
    next: "Split the batch into several transactions.",
  },
  BLOCK_TOO_LARGE: {
    httpStatus: 400,
    facts: ["bytes", "bytesMax"],
    meaning: "The block is longer than a block may be.",
    next: "Nothing to do for a client; a peer that sends one is faulty.",
  },
  GENESIS_INVALID: {
    httpStatus: 400,
    facts: ["path", "reason"],
    meaning: "The genesis file does not have the documented form.",
    next: "Use the file that `genesis new` wrote and every stakeholder holds, unchanged.",
  },
  CERTIFICATE_INVALID: {
    httpStatus: 400,
    facts: ["height", "reason"],
    meaning: "A certificate does not prove that a quorum of the validators decided the block.",
    next: "Do not trust the source; ask another node.",
  },
  EVIDENCE_INVALID: {
    httpStatus: 400,
    facts: ["path", "reason"],
    meaning: "The evidence does not have the documented form, or a proof in it does not hold.",
    next: "Export the evidence again from another node; `path` names the part.",
  },
} as const satisfies Record<string, ErrorRow>;
