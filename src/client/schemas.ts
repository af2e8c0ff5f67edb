/**
 * What the client expects of a node's answers. Only what it uses is listed and unknown fields are
 * ignored, so that a newer node does not break an older client. The full forms are docs/HTTP_API.md.
 *
 * That an answer has its form says nothing about its truth: see finality.ts.
 */
import { z } from "zod";
import type { JsonValue } from "../base/format/json.ts";
import { SetChange } from "../base/format/set-change.ts";
import { ValidatorChange } from "../base/format/validator-change.ts";
import { hash32Pattern } from "../base/hash.ts";

const HashText = z.string().regex(hash32Pattern);
const Count = z.int().min(0);
const isHex = (text: string) => text.length % 2 === 0 && /^[0-9a-f]+$/.test(text);
const Hex = z.string().refine(isHex, "expected lowercase hexadecimal bytes");
const Json = z.unknown().transform((value) => value as JsonValue);
const Path = z.array(HashText).max(53);

/** A node's status. `height` is the tip's; the consensus fields are of the height being decided. */
export const Status = z.object({
  name: z.string(),
  version: z.string(),
  chainId: HashText,
  height: Count,
  hash: HashText,
  timestampMs: Count,
  stateRoot: HashText,
  decidingHeight: Count,
  round: Count,
  phase: z.string(),
  catchingUp: z.boolean(),
  baseHeight: Count,
  ledgerBytes: Count.nullable(),
  snapshot: z.object({ height: Count.nullable(), chunks: Count }).nullable(),
  ready: z.boolean(),
  notReady: z.array(z.string()),
  validator: z.string().nullable(),
  peer: z.string(),
  peers: z.array(z.string()),
  validators: z.array(
    z.object({
      validator: z.string(),
      name: z.string(),
      height: Count.nullable(),
      round: Count.nullable(),
      lastSeenMs: Count.nullable(),
      votedHeight: Count.nullable(),
      clockOffsetMs: z.int().nullable(),
      passedOver: z.boolean(),
    }),
  ),
  equivocations: z.array(
    z.object({
      validator: z.string(),
      height: Count,
      round: Count,
      kind: z.string(),
      recordedAtHeight: Count,
    }),
  ),
  mempool: z.object({ transactions: Count, bytes: Count }),
  parameters: z.record(z.string(), z.int()),
});

/** A receipt as a node tells it; `verifyFinal` gives the proven one. */
const Receipt = z.object({
  outcome: z.string(),
  gasUsed: Count,
  events: z.array(z.object({ contract: z.string(), topic: z.string(), data: Json })),
  changes: z.array(z.object({ key: z.string(), valueHash: HashText.nullable() })),
});

/** What a transaction asks for, in readable form. */
const Call = z.object({
  sender: z.string(),
  nonce: Count,
  expiresAtMs: Count,
  contract: z.string(),
  method: z.string(),
  args: Json,
  gasLimit: Count,
});

/** What a node knows of a transaction. */
export const TransactionStatus = z.discriminatedUnion("status", [
  z.object({ id: HashText, status: z.literal("pending") }),
  z.object({
    id: HashText,
    status: z.literal("final"),
    height: Count,
    index: Count,
    receipt: Receipt,
    detail: z.string().optional(),
    call: Call.optional(),
  }),
  z.object({ id: HashText, status: z.literal("dropped"), code: z.string() }),
]);

/** All that proves a final transaction to whoever has the genesis; bytes as hexadecimal text. */
export const FinalityProof = z.object({
  transaction: Hex,
  receipt: Hex,
  index: Count,
  size: Count,
  transactionPath: Path,
  receiptPath: Path,
  header: Hex,
  certificate: Hex,
});

/** What a sender needs to know before it signs. */
export const Account = z.object({
  did: z.string(),
  enrolled: z.boolean(),
  member: z.string().nullable(),
  name: z.string().nullable(),
  roles: z.array(z.string()),
  status: z.string().nullable(),
  nonceHighest: Count,
  pendingCount: Count,
  pendingNonceHighest: Count,
  gasLimitMax: Count,
});

/** What a view answered, on the state after a height. */
export const ViewResult = z.object({ height: Count, gasUsed: Count, result: Json });

/** Installed contracts. */
export const Contracts = z.object({
  contracts: z.array(
    z.object({
      name: z.string(),
      bundleHash: HashText,
      imageHash: HashText,
      methods: z.record(z.string(), z.object({ roles: z.array(z.string()) })),
      views: z.array(z.string()),
    }),
  ),
});

const Siblings = z.array(z.tuple([Count, HashText])).max(4_096);
const Leaf = z.object({ key: z.string(), valueHash: HashText });

/** A state value; `text` is its exact text, null when the key is absent. */
export const StateValue = z.object({
  key: z.string(),
  height: Count,
  text: z.string().nullable(),
  value: Json,
  proof: z
    .object({
      header: Hex,
      certificate: Hex.nullable(),
      inclusion: z.object({ path: Siblings }).optional(),
      absence: z.object({ leaf: Leaf.optional(), path: Siblings }).optional(),
    })
    .optional(),
});

/** What a key was given, ascending by height; `text` null: it was deleted. */
export const StateHistory = z.object({
  key: z.string(),
  entries: z.array(z.object({ height: Count, text: z.string().nullable(), value: Json })),
  next: Count.nullable(),
});

/** A header in readable form. */
const BlockSummary = z.object({
  height: Count,
  hash: HashText,
  parentHash: HashText,
  timestampMs: Count,
  proposer: z.string().nullable(),
  stateRoot: HashText,
  transactionsRoot: HashText,
  receiptsRoot: HashText,
  gasUsed: Count,
  round: Count.nullable(),
  transactionCount: Count,
});

/** A block with its transactions. */
export const Block = BlockSummary.extend({
  headerBytes: Hex,
  certificateBytes: Hex.nullable(),
  signers: z.array(z.string()),
  transactions: z.array(
    z.object({
      id: HashText,
      sender: z.string(),
      contract: z.string(),
      method: z.string(),
      nonce: Count,
      outcome: z.string(),
      gasUsed: Count,
    }),
  ),
});

/** A page of blocks, ascending. */
export const Blocks = z.object({ blocks: z.array(BlockSummary), next: Count });

/** Form of a cursor, `height:index`. */
const Cursor = z.string().regex(/^\d{1,15}:\d{1,15}$/);

/** An event with its place on the ledger and the cursor to go on at. */
export const LedgerEvent = z.object({
  height: Count,
  index: Count,
  transactionId: HashText,
  timeMs: Count,
  contract: z.string(),
  topic: z.string(),
  data: Json,
});

/** A page of events. */
export const EventPage = z.object({ events: z.array(LedgerEvent), next: Cursor });

const Member = z.object({
  id: z.string(),
  name: z.string(),
  validatorKey: z.string(),
  peerKey: z.string(),
  address: z.string().optional(),
});

/** Members, candidates, and changes that wait for approvals. */
export const Members = z.object({
  height: Count,
  members: z.array(Member),
  candidates: z.array(
    Member.extend({
      admittedAtHeight: Count,
      ready: z
        .object({ height: Count, blockHash: HashText, atMs: Count, validUntilMs: Count })
        .nullable(),
    }),
  ),
  administrators: z.array(z.string()),
  approvalsNeeded: Count.nullable(),
  changes: z.array(
    z.object({
      id: HashText,
      change: ValidatorChange,
      approvedBy: z.array(z.string()),
      expiresAtMs: Count,
    }),
  ),
});

/** The validators of a height. */
export const Validators = z.object({
  height: Count,
  from: Count,
  quorum: Count,
  validators: z.array(z.string()),
});

/** Members and candidates. */
export type Members = z.infer<typeof Members>;
/** The validators of a height. */
export type Validators = z.infer<typeof Validators>;

/** Proofs of changes of the validator set, ascending. */
export const ValidatorChanges = z.object({ changes: z.array(SetChange) });

/** A node's status. */
export type Status = z.infer<typeof Status>;
/** What a node knows of a transaction. */
export type TransactionStatus = z.infer<typeof TransactionStatus>;
/** All that proves a final transaction. */
export type FinalityProof = z.infer<typeof FinalityProof>;
/** What a sender needs to know before it signs. */
export type Account = z.infer<typeof Account>;
/** What a view answered. */
export type ViewResult = z.infer<typeof ViewResult>;
/** A state value. */
export type StateValue = z.infer<typeof StateValue>;
/** What a key was given. */
export type StateHistory = z.infer<typeof StateHistory>;
/** A block with its transactions. */
export type Block = z.infer<typeof Block>;
/** A page of blocks. */
export type Blocks = z.infer<typeof Blocks>;
/** Installed contracts. */
export type Contracts = z.infer<typeof Contracts>;
/** An event with its place on the ledger. */
export type LedgerEvent = z.infer<typeof LedgerEvent>;
/** A page of events. */
export type EventPage = z.infer<typeof EventPage>;
