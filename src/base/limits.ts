/**
 * Every bound of the node, each with its unit in the name and its reason. A limit that nodes must
 * agree on is a ledger parameter whose default stands here; the others protect one node.
 */

const kibibyte = 1024;
const mebibyte = 1024 * kibibyte;

/** Bounds on what is hashed, signed and stored. All nodes agree on them. */
export const limits = {
  // --- formats ---
  /** A signed transaction, encoded: a batch of 1,000 readings is about 70 KB. */
  transactionBytesMax: 256 * kibibyte,
  /** The shortest there can be: key, chain and signature, names and arguments of one character. */
  transactionBytesMin: 148,
  /** A block, encoded: four of them a second still fit a 100 Mbit/s line. */
  blockBytesMax: 4 * mebibyte,
  blockTransactionsMax: 10_000,
  /** Depth of tuples in hashed bytes; the deepest format (receipt) has 3. */
  tupleDepthMax: 8,
  /** Elements in one tuple: the largest is the list of transactions of a block. */
  tupleElementsMax: 70_000,
  /** Values in one decoding, nested ones too: an empty tuple is one byte, but 40 in memory. */
  tupleValuesMax: 1_000_000,
  /** Nesting of JSON arguments, values and events (D10). */
  jsonDepthMax: 16,
  /** Contract and method names. */
  nameCharsMax: 64,
  /** Validators of one ledger: consensus is quadratic in messages. */
  validatorsMax: 64,
  // --- validator changes (ADR 0021) ---
  /** Accounts that approve changes, fixed by the genesis. */
  administratorsMax: 64,
  /** Candidates at once: each may connect, and follows the chain. */
  candidatesMax: 16,
  /** Open changes one administrator may take part in, so that none can fill the state. */
  changesPerAdministratorMax: 16,
  /** An open change is forgotten so long after its first approval: 30 days of block time. */
  changeMsMax: 30 * 24 * 3_600_000,
  /** A candidate that was ready longer ago may be gone: one hour of block time. */
  readyMsMax: 3_600_000,
  /** A ready statement may be so many blocks old when it arrives. */
  readyHeightsMax: 1_024,
  /** A removed member may stay connected so long, to fetch the blocks that say so. */
  formerMemberMsMax: 3_600_000,
  // --- contracts ---
  /** Gas of one call and its default; 0.15 s of instructions, 0.45 s in the dearest host mix. */
  callGasMax: 300_000_000,
  /** Least gas limit of a call: one that is stopped costs a new engine, 2.6 ms. */
  callGasMin: 3_000_000,
  /** Gas of all calls of one block. */
  blockGasMax: 1_500_000_000,
  /** Gas of evaluating a bundle at installation: five calls' worth. */
  contractInstallGasMax: 1_500_000_000,
  /** What a call may return, as canonical JSON. */
  contractResultBytesMax: 256 * kibibyte,
  contractSourceBytesMax: 512 * kibibyte,
  stateKeyBytesMax: 256,
  stateValueBytesMax: 64 * kibibyte,
  eventsPerCallMax: 64,
  rangeEntriesMax: 1_000,
  // --- replay and time ---
  /** Nonces a sender may skip at once, and bits of the replay window (D5). */
  replayWindowBits: 1_024,
  /** Longest life of a signed transaction after block time (D5): 7 days. */
  expiryMsMax: 7 * 24 * 3_600_000,
  /** A reading may be this far in the future of block time. */
  clockDriftMsDefault: 300_000,
  /** An empty block is made when the last one is this old (D4). */
  heartbeatMsDefault: 60_000,
  /** A fresh proposal may be this far in the future, and this old (consensus-rules.md). */
  proposalFutureMsMax: 5_000,
  proposalPastMsMax: 30_000,
  // --- consensus ---
  roundTimeoutMsBase: 1_000,
  /** A proposer that waits longer loses its round to the time-out of the others. */
  blockIntervalMsMax: 500,
  roundTimeoutMsMax: 4_000,
  resendMs: 1_000,
  /** Votes are kept for rounds this near to the own one; round changes have no such limit. */
  roundDistanceMax: 16,
  /** Blocks of former rounds that are kept, for commits that come late. */
  formerBlocksMax: 4,
  /** Equivocations of one validator on record: one convicts it, more tell nothing new. */
  equivocationsPerValidatorMax: 16,
  /** Recorded equivocations that a node's status lists. */
  equivocationsShownMax: 64,
  /** Claims of one validator kept to notice that it contradicts itself: some 60 heights. */
  watchedClaimsMax: 256,
  // --- mempool ---
  mempoolBytesMax: 64 * mebibyte,
  /** Share of the mempool one sender may fill, as a divisor. */
  mempoolSenderShare: 8,
  /** What a pending transaction takes beside its bytes: decoded fields and index entries. */
  mempoolEntryBytes: 1 * kibibyte,
  /** Dropped transactions whose reason is remembered for status lookups. */
  droppedTransactionsMax: 20_000,
  /** Senders that come last, as a call of theirs failed on this node. */
  lastSendersMax: 1_024,
  /** Failed calls whose free text is remembered, and how much of it. */
  callDetailsMax: 4_096,
  callDetailCharsMax: 500,
  /** Signed bytes of transactions kept decoded and verified (D7): a mempool's worth and blocks. */
  verifiedBytesMax: 32 * mebibyte,
  /** Callers that wait for a transaction to be final. */
  finalWaitersMax: 10_000,
  // --- ledger ---
  /** Parsed accounts, devices and contracts kept by their texts. */
  systemEntriesMax: 20_000,
  /** Executed blocks that may still be decided: one a round that offered another block. */
  executedBlocksMax: 6,
  /** A proposer fills its block no longer: all others take as long, within the shortest round. */
  blockBuildMsMax: 150,
  /** Recent blocks whose events are kept decoded for those who follow the tip. */
  recentEventBlocksMax: 64,
  /** Encoded receipts of those blocks together: one call may emit 4 MiB of events. */
  recentReceiptBytesMax: 32 * mebibyte,
  /** Blocks read for one page of events. */
  eventBlocksPerPageMax: 1_000,
  /** Heights whose state tree is kept for proofs. */
  stateHistoryBlocks: 128,
  /** State values kept in memory, counted in UTF-16 units of keys and values. */
  stateCacheCharsMax: 16 * mebibyte,
  /** LevelDB: cache of table blocks, and log bytes before they become a table (a few blocks). */
  databaseCacheBytes: 16 * mebibyte,
  databaseWriteBufferBytes: 8 * mebibyte,
  /** After a failed write the node goes on with this much free: LevelDB's logs and new tables. */
  storageRoomBytesMin: 32 * mebibyte,
  /** The same where the signing record is, often a small volume: some records of small blocks. */
  recordRoomBytesMin: 256 * kibibyte,
  // --- snapshots and pruning (ADR 0022, 0023) ---
  /** Heights between two snapshots; the default is an epoch of proposers, so few headers come along. */
  snapshotIntervalMin: 16,
  snapshotIntervalDefault: 1_024,
  snapshotIntervalMax: 16_384,
  /** Snapshots a node serves: who began with one goes on with it while the next one comes. */
  snapshotsServed: 2,
  /** Values of one chunk of a snapshot, in UTF-8 bytes with their keys, and how many of them. */
  snapshotChunkBytesMax: 1 * mebibyte,
  snapshotChunkEntriesMax: 4_096,
  /** Changes of the validators a manifest can hold: each brings a certificate of some 5 KB. */
  snapshotValidatorChangesMax: 1_024,
  /** Blocks a pruning node keeps at least: state proofs at recent heights need them. */
  pruningKeepBlocksMin: 128,
  /** Copies of a damaged ledger that a repair sets aside before it drops blocks. */
  damagedCopiesMax: 3,
  /** Operations of one batch of pruning: a few milliseconds that no append waits longer for. */
  pruningBatchOperations: 1_000,
  /** Operations of one batch while derived records are rebuilt. */
  repairBatchOperations: 5_000,
  /** Problems an offline verification lists; what follows is counted. */
  verifyProblemsMax: 100,
  // --- p2p (see src/p2p for the use of each) ---
  consensusFrameBytesMax: 12 * mebibyte,
  gossipFrameBytesMax: 1 * mebibyte,
  /** Target of a gossip frame: larger frames gain nothing (measured, cost budget). */
  gossipFrameBytesTarget: 64 * kibibyte,
  syncBlocksMax: 64,
  syncBytesMax: 16 * mebibyte,
  /** Frames wait for one peer up to this sum, then the oldest go: consensus sends again. */
  consensusQueueBytesMax: 32 * mebibyte,
  /** A smallest transaction is some 150 B, so a frame of the target size holds fewer. */
  gossipFrameTransactionsMax: 2_048,
  /** A transaction waits this long for company before its frame is published. */
  gossipDelayMs: 10,
  /** One gossip message with its control parts; a larger one breaks the stream. */
  gossipRpcBytesMax: 3 * mebibyte,
  /** Message ids in one IHAVE or IWANT: three seconds of frames are far fewer. */
  gossipMessageIdsMax: 1_000,
  /** Subscriptions, messages and control parts in one gossip message. */
  gossipRpcPartsMax: 256,
  /** Longest time a peer may ask to be left out of the mesh; also our own, as everywhere. */
  gossipBackoffMsMax: 60_000,
  /** Topics a peer may announce beside the ledger's; an honest one has no other. */
  gossipForeignTopicsMax: 1_024,
  /** Frames of one peer under validation; more are dropped, not queued. */
  gossipPendingBytesMax: 8 * mebibyte,
  /** Bytes that gossip may owe one slow peer before its stream is broken. */
  gossipOutboundBytesMax: 16 * mebibyte,
  /** Both sides may dial at once, and one connection may be a dead one not yet noticed. */
  peerConnectionsMax: 2,
  /** Every connection: `peerConnectionsMax` for twice `validatorsMax`. */
  connectionsMax: 256,
  /** Inbound connections whose handshake is not done, and new ones a second from one host. */
  connectionsPendingMax: 32,
  connectionsPerSecondMax: 64,
  /** Streams of one connection, each way. */
  streamsMax: 32,
  handshakeTimeoutMs: 5_000,
  redialMsMin: 100,
  redialMsMax: 2_000,
  /** A peer that sent an oversize frame or a flood of topics is kept out this long. */
  peerSuspensionMs: 5_000,
  /** Sync requests served at once, to one peer and to all, and the rate for one peer. */
  syncConcurrencyPeerMax: 2,
  syncConcurrencyMax: 16,
  syncRequestsPerSecondMax: 20,
  syncTimeoutMs: 20_000,
  /** A request is a few bytes, and so is the height of a peer: both have come by then, or fail. */
  syncStatusTimeoutMs: 3_000,
  // --- evidence ---
  /** A bundle: six transactions of full size, as hexadecimal, and thousands of headers. */
  evidenceBytesMax: 32 * mebibyte,
  /** A bill rests on readings, 99 breaks, a meter, 480 versions of a tariff, and earlier bills. */
  evidenceEntriesMax: 1_024,
  // --- api ---
  apiQueryRowsMax: 1_000,
  /** Blocks of one page: each is read whole, though only its head is shown. */
  apiBlockRowsMax: 100,
  /** Address and headers of one request; the arguments of a view are in the address. */
  apiHeaderBytesMax: 16 * kibibyte,
  /** One request may be held this long until its transaction is final. */
  apiWaitMsMax: 60_000,
  apiWaitMsDefault: 10_000,
  /** Time for the headers, and for the whole request, of one client. */
  apiRequestMsMax: 15_000,
  /** Connections at once, held requests and event clients included. */
  apiConnectionsMax: 1_024,
  apiEventClientsMax: 256,
  /** Bytes that wait for one event client; then the node waits for it, not longer than below. */
  apiEventBufferBytesMax: 1 * mebibyte,
  apiEventStallMsMax: 15_000,
  apiEventPingMs: 15_000,
  /** Events read at once for one client. */
  apiEventRowsMax: 100,
  /** Own submissions whose time to finality is measured at once. */
  apiTimedTransactionsMax: 10_000,
} as const;
