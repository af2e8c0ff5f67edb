/**
 * Every error an operator, a client or a peer can meet. A code is never renamed and never reused;
 * `docs/ERRORS.md` is made from this table and a test compares both.
 *
 * Broken invariants are not here: see assert.ts. What a contract refuses is data in a receipt.
 */

/** Facts that come with a code: plain data, no secrets. */
export type Facts = Readonly<Record<string, string | number | boolean | null | undefined>>;

/** One row: the facts' names, the HTTP status, what it means and what to do next. */
type ErrorRow = {
  readonly httpStatus: number;
  readonly facts: readonly string[];
  readonly meaning: string;
  readonly next: string;
};

const table = {
  // --- base ---
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
  // --- ledger ---
  TRANSACTION_CHAIN_MISMATCH: {
    httpStatus: 400,
    facts: ["chainId", "expected"],
    meaning: "The transaction was signed for another ledger.",
    next: "Take the chain id from this ledger's genesis file and sign again.",
  },
  TRANSACTION_SIGNATURE_INVALID: {
    httpStatus: 400,
    facts: ["id"],
    meaning: "The signature does not hold for the transaction and its sender.",
    next: "Sign the exact body bytes with the key of the sender.",
  },
  TRANSACTION_EXPIRED: {
    httpStatus: 400,
    facts: ["expiresAtMs", "timeMs"],
    meaning: "No block can hold the transaction any more: its expiry is not after block time.",
    next: "Sign it again with a later expiry and a new nonce; check the clock of the sender.",
  },
  TRANSACTION_EXPIRY_TOO_FAR: {
    httpStatus: 400,
    facts: ["expiresAtMs", "expiresAtMsMax"],
    meaning: "The expiry is further in the future than a transaction may live.",
    next: "Sign it with an expiry at or below `expiresAtMsMax`.",
  },
  TRANSACTION_SENDER_UNKNOWN: {
    httpStatus: 403,
    facts: ["sender"],
    meaning: "The sender is neither an account nor a device of this ledger.",
    next: "Use an enrolled key, or have the members enrol this one.",
  },
  TRANSACTION_SENDER_SUSPENDED: {
    httpStatus: 403,
    facts: ["sender", "status"],
    meaning: "The sender is enrolled, but not active.",
    next: "Ask the member that owns the key to have it activated.",
  },
  TRANSACTION_ROLE_MISSING: {
    httpStatus: 403,
    facts: ["sender", "contract", "method", "roles"],
    meaning: "The sender has none of the roles that may call this method.",
    next: "Use a key that has one of `roles`.",
  },
  TRANSACTION_GAS_LIMIT: {
    httpStatus: 400,
    facts: ["gasLimit", "gasLimitMax"],
    meaning: "The gas limit is above what one call may use on this ledger.",
    next: "Sign it with a gas limit at or below `gasLimitMax`.",
  },
  TRANSACTION_NONCE_USED: {
    httpStatus: 409,
    facts: ["sender", "nonce"],
    meaning: "Another transaction of this sender with this nonce is final.",
    next: "Sign it with a nonce that was never used; count up from the highest.",
  },
  TRANSACTION_NONCE_TOO_OLD: {
    httpStatus: 409,
    facts: ["sender", "nonce", "nonceMin"],
    meaning: "The nonce is below the sender's replay window, so it may have been used.",
    next: "Sign it with a nonce above the highest one used.",
  },
  TRANSACTION_NONCE_TOO_FAR: {
    httpStatus: 409,
    facts: ["sender", "nonce", "nonceMax"],
    meaning: "The nonce is further ahead of the highest one used than may be skipped.",
    next: "Wait until earlier transactions are final, or use a nonce at or below `nonceMax`.",
  },
  TRANSACTION_NONCE_CONFLICT: {
    httpStatus: 409,
    facts: ["sender", "nonce", "pendingId"],
    meaning: "A different transaction of this sender with the same nonce is pending.",
    next: "Look up `pendingId`; sign with another nonce if this is to happen as well.",
  },
  MEMPOOL_FULL: {
    httpStatus: 503,
    facts: ["bytes", "bytesMax"],
    meaning: "The memory for pending transactions of this node is full.",
    next: "Send the same bytes again later, or to another node.",
  },
  MEMPOOL_SENDER_SHARE: {
    httpStatus: 429,
    facts: ["sender", "bytes", "bytesMax"],
    meaning: "This sender's pending transactions fill the share of memory of one sender.",
    next: "Wait until earlier transactions are final, then send the same bytes again.",
  },
  BLOCK_INVALID: {
    httpStatus: 400,
    facts: ["height", "reason"],
    meaning: "A block breaks a rule of the ledger; `reason` names the first one.",
    next: "Nothing to do for a client; the node or peer that offered the block is faulty.",
  },
  LEDGER_PROOF_UNAVAILABLE: {
    httpStatus: 404,
    facts: ["height", "heightMin", "heightMax"],
    meaning: "The state tree of this height is not kept, so nothing can be proven from it.",
    next: "Ask for a height in the range; an older value is proven by the receipt that wrote it.",
  },
  LEDGER_KEY_INVALID: {
    httpStatus: 400,
    facts: ["key"],
    meaning: "The text is no state key: `contract/table/key`, at most 256 bytes.",
    next: "Correct the key.",
  },
  LEDGER_DIVERGENCE: {
    httpStatus: 503,
    facts: ["height", "field", "own", "certified"],
    meaning: "This node's own result differs from a block that a quorum certified (D2).",
    next: "Keep the data directory; run `chain verify` here and on another node and compare.",
  },
  LEDGER_RANGE_INVALID: {
    httpStatus: 400,
    facts: ["from", "to"],
    meaning: "A range of state keys ends before it begins, or asks for no entries.",
    next: "Give a `to` above `from` in the order of UTF-8 bytes, and a limit of at least 1.",
  },
  LEDGER_RECORD_CORRUPT: {
    httpStatus: 500,
    facts: ["key", "height"],
    meaning: "A stored record does not have its checksum: the disk or a program damaged it.",
    next: "Restart the node: it repairs itself from blocks and peers. Check the disk.",
  },
  LEDGER_BLOCK_CORRUPT: {
    httpStatus: 500,
    facts: ["height", "reason"],
    meaning: "The stored block, certificate or receipts of a height are damaged.",
    next: "Restart the node: it drops or replaces the block and fetches it from peers.",
  },
  LEDGER_HOLE: {
    httpStatus: 500,
    facts: ["height"],
    meaning: "A record that must be in the store is missing: a batch or a file was lost.",
    next: "Restart the node: it keeps the blocks below and fetches the rest from peers.",
  },
  LEDGER_STATE_CORRUPT: {
    httpStatus: 500,
    facts: ["height", "reason"],
    meaning: "The stored state is damaged or does not have the state root of the last block.",
    next: "Restart the node: it rebuilds the state by executing its blocks again.",
  },
  LEDGER_ROOT_DIFFERS: {
    httpStatus: 500,
    facts: ["height", "root", "expected", "actual"],
    meaning: "Executing a certified block gave another root than its header states.",
    next: "Do not delete anything. Compare software versions with the other stakeholders.",
  },
  LEDGER_CHAIN_MISMATCH: {
    httpStatus: 500,
    facts: ["expected", "actual"],
    meaning: "The ledger directory belongs to another chain than the genesis file.",
    next: "Configure the genesis file of this ledger, or another ledger directory.",
  },
  LEDGER_HEIGHT_GAP: {
    httpStatus: 500,
    facts: ["expected", "actual"],
    meaning: "A block was to be appended that is not the next one.",
    next: "Report this as a fault of the node.",
  },
  LEDGER_WRITE_FAILED: {
    httpStatus: 503,
    facts: ["height", "reason"],
    meaning: "Writing a block to disk failed; the node no longer appends.",
    next: "Free disk space or repair the disk, then restart the node.",
  },
  LEDGER_STORE_MISSING: {
    httpStatus: 404,
    facts: ["directory"],
    meaning: "There is no ledger in the directory.",
    next: "Give the ledger directory of a node that has run at least once.",
  },
  LEDGER_STORE_LOCKED: {
    httpStatus: 503,
    facts: ["directory"],
    meaning: "Another process has the ledger directory open.",
    next: "Stop that process first; one directory serves one node.",
  },
  LEDGER_STORE_UNREADABLE: {
    httpStatus: 500,
    facts: ["directory", "reason", "salvageable"],
    meaning: "LevelDB cannot read its files in the ledger directory.",
    next: "Check permissions and the disk, then restart the node: it salvages what is readable.",
  },
  // --- consensus ---
  CONSENSUS_SIGNATURE_INVALID: {
    httpStatus: 400,
    facts: ["validator", "height"],
    meaning: "A consensus message carries a signature that does not hold on this chain.",
    next: "Nothing: the message was dropped. Look at the peer that sent it if it happens again.",
  },
  // --- p2p ---
  P2P_ADDRESS_INVALID: {
    httpStatus: 400,
    facts: ["address", "reason"],
    meaning: "A peer or listen address is not a TCP multiaddr such as /ip4/127.0.0.1/tcp/7401.",
    next: "Correct the address in the configuration; leave out /p2p/..., the peer key stands for it.",
  },
  P2P_LISTEN_FAILED: {
    httpStatus: 503,
    facts: ["addresses", "reason"],
    meaning: "The node cannot listen for peers on the configured addresses.",
    next: "Free the port or configure another one, then start again.",
  },
  P2P_FRAME_INVALID: {
    httpStatus: 400,
    facts: ["frame", "reason"],
    meaning: "A peer sent a frame that is malformed or over its limit.",
    next: "Nothing here; the peer was blamed. If it goes on, ask its operator which version runs.",
  },
  P2P_PEER_UNREACHABLE: {
    httpStatus: 503,
    facts: ["peer"],
    meaning: "No connection to this peer is open at the moment.",
    next: "Use another peer, or wait: connections to configured peers are renewed by themselves.",
  },
  P2P_SYNC_FAILED: {
    httpStatus: 502,
    facts: ["peer", "request", "reason"],
    meaning: "A peer did not answer a sync request, refused it, or answered out of bounds.",
    next: "Ask another peer.",
  },
  // --- contracts ---
  CONTRACT_ENGINE_INVALID: {
    httpStatus: 500,
    facts: ["reason"],
    meaning: "The contract engine is not the pinned build, or cannot be metered.",
    next: "Install the exact package versions of the lock file and build again.",
  },
  CONTRACT_INSTALL_INVALID: {
    httpStatus: 400,
    facts: ["contract", "reason"],
    meaning: "The contract's source cannot be evaluated or does not describe itself.",
    next: "Run `loopledger contract build` again; `reason` says what failed.",
  },
  CONTRACT_NODE_FAULT: {
    httpStatus: 500,
    facts: ["contract", "method", "reason"],
    meaning: "This node could not execute a call, twice, for a reason outside the contract.",
    next: "The node stops voting. Look at its log, memory and Node version, then restart it.",
  },
  CONTRACT_BUILD_FAILED: {
    httpStatus: 400,
    facts: ["contract", "reason"],
    meaning: "The contract's source cannot be bundled.",
    next: "Correct the source; it may import `loopledger/contract` and its own files, nothing else.",
  },
  // --- node ---
  SYNC_PEER_LIED: {
    httpStatus: 502,
    facts: ["height", "claimed"],
    meaning: "A peer did not deliver the blocks that it claims to have.",
    next: "Nothing: another peer is asked. Look at that peer's log if it happens again.",
  },
  CONFIG_INVALID: {
    httpStatus: 400,
    facts: ["key", "expected", "got"],
    meaning: "The configuration file has a wrong or missing value.",
    next: "Correct `key` in the file; docs/HACKING.md lists every key.",
  },
  FILE_UNREADABLE: {
    httpStatus: 400,
    facts: ["file", "reason"],
    meaning: "A file that was named cannot be read.",
    next: "Check the path and the permissions of the file.",
  },
  SIGNING_RECORD_CORRUPT: {
    httpStatus: 500,
    facts: ["file"],
    meaning: "The record of what this validator signed last is damaged.",
    next: "Do not delete it: find out what damaged the disk; see docs/CONSENSUS.md on lost records.",
  },
  NODE_KEY_IN_USE: {
    httpStatus: 409,
    facts: ["publicKey"],
    meaning: "Another process on this machine votes with the same validator key.",
    next: "Stop the other node first; one key must never sign in two places.",
  },
  NODE_VOTES_LOST: {
    httpStatus: 409,
    facts: ["validators"],
    meaning: "The signing record is lost and the other validators are too few to learn from.",
    next: "Agree with the others that this key signed nothing else; then `--accept-lost-votes`.",
  },
  NODE_KEY_FOREIGN: {
    httpStatus: 409,
    facts: ["file", "key"],
    meaning: "A key file holds a key that no member of the genesis has.",
    next: "Use the key file that belongs to this genesis.",
  },
  CONTRACTS_NOT_BUILT: {
    httpStatus: 500,
    facts: ["folder"],
    meaning: "The bundles of the standard contracts are not there.",
    next: "Run `npm run build`; an installed package has them already.",
  },
  NODE_ENGINE_MISMATCH: {
    httpStatus: 409,
    facts: ["expected", "actual"],
    meaning: "The contract engine of this program is not the one the genesis names.",
    next: "Install the program version that the stakeholders agreed on.",
  },
  NODE_IMAGE_MISMATCH: {
    httpStatus: 409,
    facts: ["contract", "expected", "actual"],
    meaning: "A contract's start-up image differs from the one the genesis names.",
    next: "Install the program version that the stakeholders agreed on.",
  },
  NODE_NOT_READY: {
    httpStatus: 503,
    facts: ["reason"],
    meaning: "The node cannot serve this now.",
    next: "Ask `/health/ready` for the reasons, or use another node.",
  },
  KEY_FILE_EXISTS: {
    httpStatus: 409,
    facts: ["file"],
    meaning: "A file of this name exists already; keys are never overwritten.",
    next: "Choose another name, or move the old key file away.",
  },
  KEY_FILE_MODE: {
    httpStatus: 500,
    facts: ["file", "mode"],
    meaning: "Others than the owner can read or write a file that holds a secret.",
    next: "Run `chmod 600` on it; if others could have read it, make a new key.",
  },
  KEY_FILE_INVALID: {
    httpStatus: 500,
    facts: ["file", "reason"],
    meaning: "The file is not a key file of this version, or it does not hold the key it names.",
    next: "Restore the file from its backup.",
  },
  KEY_FILE_PASSPHRASE_WRONG: {
    httpStatus: 500,
    facts: ["file"],
    meaning: "The passphrase does not open the key file, or the file was changed.",
    next: "Check the passphrase; if it is right, restore the file from its backup.",
  },
  KEY_FILE_PURPOSE: {
    httpStatus: 500,
    facts: ["file", "expected", "actual"],
    meaning: "The key was made for another purpose; one key serves one purpose.",
    next: "Name the right key file, or make a key for this purpose.",
  },
  KEY_PASSPHRASE_MISSING: {
    httpStatus: 500,
    facts: ["reason"],
    meaning: "No passphrase was given for a key file.",
    next: "Name a passphrase file of mode 0600, set LOOPLEDGER_PASSPHRASE, or use a terminal.",
  },
  KEY_PASSPHRASE_SHORT: {
    httpStatus: 400,
    facts: ["charsMin"],
    meaning: "The passphrase of a new key file is too short.",
    next: "Choose a longer one: it is all that protects the key if the file is stolen.",
  },
  // --- api ---
  API_HOST_REFUSED: {
    httpStatus: 403,
    facts: ["host", "expected"],
    meaning: "The Host header does not name this node's own loopback address.",
    next: "Call the node by the address it printed at start, such as http://127.0.0.1:PORT.",
  },
  API_ORIGIN_REFUSED: {
    httpStatus: 403,
    facts: ["origin"],
    meaning: "A page of another site tried to use this node through a browser.",
    next: "Use a program on this machine, or a page that this node serves itself.",
  },
  API_CONTENT_TYPE_INVALID: {
    httpStatus: 415,
    facts: ["contentType", "expected"],
    meaning: "The body has a content type that this route does not take.",
    next: "Send the signed bytes with the header `content-type: application/octet-stream`.",
  },
  API_INPUT_INVALID: {
    httpStatus: 400,
    facts: ["place", "reason"],
    meaning: "A part of the request's address does not have the documented form.",
    next: "Correct the part named by `place`; /openapi.json and docs/HTTP_API.md list all forms.",
  },
  API_REQUEST_INVALID: {
    httpStatus: 400,
    facts: ["reason"],
    meaning: "The request is not well-formed HTTP, came too slowly, or broke off.",
    next: "Send the request again; check proxies between client and node.",
  },
  API_HEADER_TOO_LARGE: {
    httpStatus: 431,
    facts: ["bytesMax"],
    meaning: "Address and headers of the request are together longer than a node takes.",
    next: "Shorten them; arguments of a view must fit in the address.",
  },
  API_ROUTE_UNKNOWN: {
    httpStatus: 404,
    facts: ["method", "path"],
    meaning: "The API has no such route.",
    next: "See /openapi.json for all methods and paths.",
  },
  API_BLOCK_UNKNOWN: {
    httpStatus: 404,
    facts: ["height", "heightMax"],
    meaning: "This node has no such block: above its tip, or another hash at that height.",
    next: "Ask for a height up to `heightMax`, or wait until the node has caught up.",
  },
  API_TRANSACTION_UNKNOWN: {
    httpStatus: 404,
    facts: ["id"],
    meaning: "This node knows no such transaction, neither pending nor final.",
    next: "Ask another node, or send the same signed bytes again: that is never done twice.",
  },
  API_VIEW_UNKNOWN: {
    httpStatus: 404,
    facts: ["contract", "view"],
    meaning: "The ledger has no such contract, or the contract no such view.",
    next: "See /v1/contracts for all contracts and their views.",
  },
  API_VIEW_REFUSED: {
    httpStatus: 422,
    facts: ["contract", "view", "outcome", "detail"],
    meaning: "The contract refused to answer; `outcome` is its own code.",
    next: "Correct the arguments; the contract's documentation explains `outcome`.",
  },
  API_BILL_UNKNOWN: {
    httpStatus: 404,
    facts: ["bill"],
    meaning: "There is no such bill on this node.",
    next: "Name it as METER/MONTH/N, such as m-1/2019-01/1; make it first if it does not exist.",
  },
  API_EVENT_CLIENTS_FULL: {
    httpStatus: 503,
    facts: ["clientsMax"],
    meaning: "As many clients follow the events of this node as it serves at once.",
    next: "Follow another node, or read /v1/events in pages.",
  },
  API_LISTEN_FAILED: {
    httpStatus: 503,
    facts: ["host", "port", "reason"],
    meaning: "The node cannot listen for HTTP on the configured address.",
    next: "Free the port or configure another one, then start again.",
  },
  API_INTERNAL: {
    httpStatus: 500,
    facts: ["request"],
    meaning: "The node failed to answer for a reason that is its own.",
    next: "Look for `request` in the node's log; ask another node meanwhile.",
  },
  // --- client, gateway ---
  GATEWAY_CSV_INVALID: {
    httpStatus: 400,
    facts: ["file", "line", "column", "expected", "got"],
    meaning: "A line of the CSV source cannot be read as a reading.",
    next: "Correct the line; the readings before it are on the ledger, start again to go on.",
  },
  GATEWAY_OUTBOX_UNREADABLE: {
    httpStatus: 500,
    facts: ["directory", "reason"],
    meaning: "The gateway's outbox cannot be opened.",
    next: "Stop the other gateway with this directory, or restore the directory; do not delete it.",
  },
  GATEWAY_OUTBOX_WRITE_FAILED: {
    httpStatus: 500,
    facts: ["directory", "reason"],
    meaning: "The gateway cannot write to its outbox and has stopped; no reading was lost.",
    next: "Make room on the disk or mend it, then start the gateway again with this directory.",
  },
  GATEWAY_SENDER_REFUSED: {
    httpStatus: 403,
    facts: ["gateway", "refusal"],
    meaning: "The ledger refuses this gateway as such; no reading was lost.",
    next: "Have an operator enrol the gateway and register the meter to it, or use the right key.",
  },
  CLIENT_UNREACHABLE: {
    httpStatus: 503,
    facts: ["nodes", "reason"],
    meaning: "None of the configured nodes answered in time.",
    next: "Check that a node runs and that its address is right, then try again.",
  },
  CLIENT_RESPONSE_INVALID: {
    httpStatus: 502,
    facts: ["url", "reason"],
    meaning: "A node answered with something that this client does not understand.",
    next: "Check that the address is a node's and that versions fit; ask another node.",
  },
  CLIENT_PROOF_INVALID: {
    httpStatus: 502,
    facts: ["subject", "reason"],
    meaning: "What a node presented as final is not proven: the node errs or lies.",
    next: "Do not trust the answer; ask another node, and keep the genesis file at hand.",
  },
  CLIENT_WAIT_TIMEOUT: {
    httpStatus: 504,
    facts: ["id", "timeoutMs"],
    meaning: "The transaction did not become final in the time given; it still may.",
    next: "Look it up later by `id`, or send the same signed bytes again.",
  },
  CLIENT_TRANSACTION_DROPPED: {
    httpStatus: 409,
    facts: ["id", "dropped"],
    meaning: "The transaction left the memory of the node without becoming final.",
    next: "`dropped` is the reason; sign again if that can be mended.",
  },
  GATEWAY_DECIMAL_INVALID: {
    httpStatus: 400,
    facts: ["text", "reason"],
    meaning: "A register in a source of readings is not a plain decimal number, or is too large.",
    next: "Correct the source; a register looks like 5347.614, without exponent or separators.",
  },
  // --- cli ---
  CLI_USAGE_INVALID: {
    httpStatus: 400,
    facts: ["option", "expected", "got"],
    meaning: "An option or argument of a command has not its form.",
    next: "Correct it; `--help` after the command shows what it takes.",
  },
  CLI_FILE_EXISTS: {
    httpStatus: 409,
    facts: ["file"],
    meaning: "The file to be written exists already and may be precious.",
    next: "Choose another name, or move the old file away.",
  },
  CLI_DEVNET_MISSING: {
    httpStatus: 404,
    facts: ["directory"],
    meaning: "There is no devnet in the directory.",
    next: "Make one with `loopledger devnet up`, or name its directory with `--dir`.",
  },
  CLI_DEVNET_DIFFERS: {
    httpStatus: 409,
    facts: ["directory", "option", "is", "asked"],
    meaning: "The devnet in the directory was made with another setting.",
    next: "Leave the option away, use another `--dir`, or run `loopledger devnet reset` first.",
  },
  CLI_DEVNET_DIRECTORY: {
    httpStatus: 409,
    facts: ["directory"],
    meaning: "The directory for a new devnet is not empty.",
    next: "Name an empty or new directory with `--dir`.",
  },
  CLI_NODE_UNKNOWN: {
    httpStatus: 404,
    facts: ["node", "known"],
    meaning: "The devnet has no node of this name.",
    next: "Use one of `known`.",
  },
  CLI_NODE_FAILED: {
    httpStatus: 503,
    facts: ["node", "reason", "log"],
    meaning: "A node of the devnet ended or did not become ready in time.",
    next: "Read the end of its log file.",
  },
  CLI_PORT_IN_USE: {
    httpStatus: 409,
    facts: ["port"],
    meaning: "Another program listens on a port that a node of the devnet needs.",
    next: "End that program, or choose other ports with `--base-port`.",
  },
  CLI_TRANSACTION_REFUSED: {
    httpStatus: 409,
    facts: ["id", "outcome", "height"],
    meaning: "The transaction is final, but its call failed: nothing but the receipt was written.",
    next: "Correct the arguments according to `outcome` and send a new transaction.",
  },
  CLI_INTERRUPTED: {
    httpStatus: 400,
    facts: [],
    meaning: "The command was broken off by a signal before it was done.",
    next: "Run it again; what it started was ended.",
  },
  CLI_DEMO_FAILED: {
    httpStatus: 500,
    facts: ["figure", "expected", "actual"],
    meaning: "The demo did not come out as it must.",
    next: "Run it again with `--keep` and look at the logs of the nodes in its directory.",
  },
} as const satisfies Record<string, ErrorRow>;

/** A stable error code. */
export type ErrorCode = keyof typeof table;

/** The facts a code must come with. */
export type ErrorFacts<C extends ErrorCode> = {
  readonly [K in (typeof table)[C]["facts"][number]]: string | number | boolean | null;
};

/** The table, total over `ErrorCode`. */
export const errorTable: Readonly<Record<ErrorCode, ErrorRow>> = table;

/** An operating error: something outside the program is not as it should be. */
export class LedgerError<C extends ErrorCode = ErrorCode> extends Error {
  override readonly name = "LedgerError";
  readonly code: C;
  readonly facts: Facts;

  constructor(code: C, facts: ErrorFacts<C>, options?: ErrorOptions) {
    super(`${code} ${JSON.stringify(facts)}`, options);
    this.code = code;
    this.facts = facts as Facts;
  }
}

/** Narrows a caught value to a `LedgerError`, of one code when it is given. */
export function isLedgerError<C extends ErrorCode = ErrorCode>(
  error: unknown,
  code?: C,
): error is LedgerError<C> {
  return error instanceof LedgerError && (code === undefined || error.code === code);
}
