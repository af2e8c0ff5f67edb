/**
 * Forms of what the API answers, for the OpenAPI page and for the check of every answer before it
 * is sent. Bytes are lowercase hexadecimal text, identities did:key, times UTC milliseconds.
 */
import { z } from "zod";
import { hash32Pattern } from "../base/hash.ts";

/** A hash, or a public key in formats that have no did:key. */
const HashText = z.string().regex(hash32Pattern);
/** Bytes as hexadecimal text. The form is not checked again: this node made it. */
const Hex = z.string().describe("Bytes, lowercase hexadecimal.");
const DidText = z.string().describe("did:key of an Ed25519 key.");
const Count = z.int().min(0);
const Json = z.unknown().describe("Any JSON of the permitted form.");

/** Answer of GET /v1/status. */
export const StatusAnswer = z.object({
  name: z.string(),
  version: z.string().describe("Version of the node's program."),
  chainId: HashText,
  height: Count.describe("Height of the last appended block."),
  hash: HashText,
  timestampMs: Count,
  stateRoot: HashText,
  decidingHeight: Count.describe("Height that consensus is at."),
  round: Count,
  phase: z.string(),
  catchingUp: z.boolean(),
  baseHeight: Count.describe("Height up to which this node has no blocks; 0: it has all."),
  ledgerBytes: Count.nullable().describe("Bytes on disk, measured once a minute; null: not known."),
  snapshot: z
    .object({ height: Count.nullable(), chunks: Count })
    .nullable()
    .describe("How far the snapshot is that it fetches; until then it has no ledger. Null: none."),
  ready: z.boolean(),
  notReady: z.array(z.string()).describe("Why clients should use another node."),
  validator: DidText.nullable().describe("Null: this node follows without voting."),
  peer: DidText,
  peers: z.array(DidText).describe("Connected peers."),
  validators: z
    .array(
      z.object({
        validator: DidText,
        name: z.string(),
        height: Count.nullable(),
        round: Count.nullable(),
        lastSeenMs: Count.nullable(),
        votedHeight: Count.nullable().describe("Greatest height it is known to have voted at."),
        clockOffsetMs: z
          .int()
          .nullable()
          .describe("By how much its clock, as it says, is ahead of the node's; null: not known."),
        passedOver: z.boolean().describe("Missed its last turn; others propose first for a while."),
      }),
    )
    .describe("All validators as this node last heard of them; null: not yet."),
  equivocations: z
    .array(
      z.object({
        validator: DidText,
        height: Count,
        round: Count,
        kind: z.string(),
        recordedAtHeight: Count,
      }),
    )
    .describe("Validators that signed two different messages for one place, as recorded."),
  mempool: z.object({ transactions: Count, bytes: Count }),
  parameters: z.record(z.string(), z.int()).describe("Parameters that hold for the next block."),
});

const Member = z.object({
  id: z.string(),
  name: z.string(),
  validatorKey: DidText,
  peerKey: DidText,
  address: z.string().optional().describe("Multiaddress at which its node listens."),
});

/** Answer of GET /v1/validators. */
export const ValidatorsAnswer = z.object({
  height: Count,
  from: Count.describe("First height of this set."),
  quorum: Count,
  validators: z.array(DidText).describe("In the order of certificate indexes."),
});

/** Answer of GET /v1/members. */
export const MembersAnswer = z.object({
  height: Count,
  members: z.array(Member),
  candidates: z.array(
    Member.extend({
      admittedAtHeight: Count,
      ready: z
        .object({ height: Count, blockHash: HashText, atMs: Count, validUntilMs: Count })
        .nullable()
        .describe("What its node last said; null: nothing yet."),
    }),
  ),
  administrators: z.array(DidText).describe("Those of the genesis."),
  approvalsNeeded: Count.nullable(),
  changes: z
    .array(
      z.object({
        id: HashText,
        change: Json,
        approvedBy: z.array(DidText),
        expiresAtMs: Count,
      }),
    )
    .describe("Changes that wait for approvals."),
});

/** A header in readable form. */
const BlockSummary = z.object({
  height: Count,
  hash: HashText,
  parentHash: HashText,
  timestampMs: Count,
  proposer: DidText.nullable().describe("Who first proposed it; null for the genesis."),
  stateRoot: HashText,
  transactionsRoot: HashText,
  receiptsRoot: HashText,
  gasUsed: Count,
  round: Count.nullable().describe("Round of the certificate; null for the genesis."),
  transactionCount: Count,
});

/** Answer of GET /v1/blocks. */
export const BlocksAnswer = z.object({
  blocks: z.array(BlockSummary),
  next: Count.describe("Where to go on; above the tip: there is no more yet."),
});

/** Answer of GET /v1/blocks/:height. */
export const BlockAnswer = BlockSummary.extend({
  headerBytes: Hex,
  certificateBytes: Hex.nullable(),
  signers: z.array(DidText).describe("Validators whose commits certify it."),
  transactions: z.array(
    z.object({
      id: HashText,
      sender: DidText,
      contract: z.string(),
      method: z.string(),
      nonce: Count,
      outcome: z.string(),
      gasUsed: Count,
    }),
  ),
});

const Receipt = z.object({
  outcome: z.string().describe("`ok`, or the code of the failure."),
  gasUsed: Count,
  events: z.array(z.object({ contract: z.string(), topic: z.string(), data: Json })),
  changes: z
    .array(z.object({ key: z.string(), valueHash: HashText.nullable() }))
    .describe("Changed state keys; null: deleted."),
});

const Call = z.object({
  sender: DidText,
  nonce: Count,
  expiresAtMs: Count,
  contract: z.string(),
  method: z.string(),
  args: Json,
  gasLimit: Count,
});

const Pending = z.object({ id: HashText, status: z.literal("pending") });

/** Answer while a transaction is not final: it is held in memory, nothing is promised. */
export const PendingAnswer = Pending;

/** Answers of GET /v1/transactions/:id and POST /v1/transactions. */
export const TransactionAnswer = z.discriminatedUnion("status", [
  Pending,
  z.object({
    id: HashText,
    status: z.literal("final"),
    height: Count,
    index: Count.describe("Position in the block."),
    receipt: Receipt,
    detail: z.string().optional().describe("What a failed call said; this node's word."),
    call: Call.optional().describe("Only when asked for."),
  }),
  z.object({
    id: HashText,
    status: z.literal("dropped").describe("It left the memory without becoming final here."),
    code: z.string(),
  }),
]);

/** Answer of GET /v1/transactions/:id/proof; the same form as in an evidence bundle. */
export const ProofAnswer = z.object({
  transaction: Hex.describe("The signed bytes."),
  receipt: Hex,
  index: Count,
  size: Count.describe("Number of transactions of the block."),
  transactionPath: z.array(HashText).describe("RFC 6962 path to the header's transactionsRoot."),
  receiptPath: z.array(HashText).describe("RFC 6962 path to the header's receiptsRoot."),
  header: Hex,
  certificate: Hex,
});

/** Answer of GET /v1/accounts/:did. */
export const AccountAnswer = z.object({
  did: DidText,
  enrolled: z.boolean(),
  member: z.string().nullable(),
  name: z.string().nullable(),
  roles: z.array(z.string()),
  status: z.string().nullable(),
  nonceHighest: Count.describe("Highest nonce of a final transaction, 0 before the first."),
  pendingCount: Count,
  pendingNonceHighest: Count.describe("Highest nonce pending on this node, 0 when none is."),
  gasLimitMax: Count.describe("The most gas one call may ask for."),
});

/** Answer of GET /v1/contracts. */
export const ContractsAnswer = z.object({
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

/** Answer of GET /v1/contracts/:name/views/:view. */
export const ViewAnswer = z.object({
  height: Count.describe("The view saw the state after this height."),
  gasUsed: Count,
  result: Json,
});

const Siblings = z
  .array(z.tuple([Count, HashText]))
  .describe("Split bit and hash of the nodes beside the path, from the root down.");

/** Answer of GET /v1/state. */
export const StateAnswer = z.object({
  key: z.string(),
  height: Count.describe("The key held this after this height."),
  text: z.string().nullable().describe("Exact text of the value; null: the key is absent."),
  value: Json,
  proof: z
    .object({
      header: Hex,
      certificate: Hex.nullable().describe("Null for the genesis, which needs none."),
      inclusion: z.object({ path: Siblings }).optional(),
      absence: z
        .object({
          leaf: z.object({ key: z.string(), valueHash: HashText }).optional(),
          path: Siblings,
        })
        .optional(),
    })
    .optional()
    .describe("Only when asked for; either inclusion or absence."),
});

/** Answer of GET /v1/state-history. */
export const HistoryAnswer = z.object({
  key: z.string(),
  entries: z
    .array(z.object({ height: Count, text: z.string().nullable(), value: Json }))
    .describe("What the key was given, ascending by height; text null: deleted."),
  next: Count.nullable().describe("Where to go on; null: there is no more."),
});

/** One event. */
const EventAnswer = z.object({
  height: Count,
  index: Count.describe("Position among all events of the block."),
  transactionId: HashText,
  timeMs: Count.describe("Block time."),
  contract: z.string(),
  topic: z.string(),
  data: Json,
});

/** Answer of GET /v1/events. */
export const EventsAnswer = z.object({
  events: z.array(EventAnswer),
  next: z.string().describe("Cursor to go on at, now or after more blocks."),
});

/** Answer of GET /health/ready. */
export const ReadyAnswer = z.object({ ready: z.boolean(), reasons: z.array(z.string()) });

/** Answer of GET /health/live. */
export const LiveAnswer = z.object({ live: z.literal(true) });
