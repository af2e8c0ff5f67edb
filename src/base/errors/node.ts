/** Errors of configuration, key files and the node as a process. See errors.ts. */
import type { ErrorRow } from "./row.ts";

/** Rows of the error table. */
export const nodeErrors = {
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
  BACKUP_EXISTS: {
    httpStatus: 409,
    facts: ["directory"],
    meaning: "There is something at the place of the backup already; nothing is overwritten.",
    next: "Name a directory that does not exist.",
  },
  BACKUP_LEDGER_BUSY: {
    httpStatus: 503,
    facts: ["directory"],
    meaning: "The files of the ledger never stood still for long enough to be copied.",
    next: "Try again when less is written, or stop the node first.",
  },
  BACKUP_DAMAGED: {
    httpStatus: 400,
    facts: ["file", "reason"],
    meaning:
      "A backup is not what its manifest says, or its chain does not hold. Nothing was restored.",
    next: "Use another backup, or start the node without a ledger: it fetches it from its peers.",
  },
  RESTORE_LEDGER_PRESENT: {
    httpStatus: 409,
    facts: ["directory"],
    meaning: "The node has a ledger; a restore never overwrites one.",
    next: "Move the directory away first if it is to be replaced.",
  },
  SIGNING_RECORD_UNWRITABLE: {
    httpStatus: 503,
    facts: ["file", "reason"],
    meaning: "The record of what this validator signs cannot be written, so it signs nothing.",
    next: "Free disk space or mend the disk: the node goes on by itself.",
  },
  NODE_DISK_FULL: {
    httpStatus: 503,
    facts: ["directory", "bytes", "bytesMin"],
    meaning: "After a failed write the node goes on only with `bytesMin` bytes free.",
    next: "Free disk space: the node goes on by itself.",
  },
  NODE_FETCHING_SNAPSHOT: {
    httpStatus: 503,
    facts: ["height", "chunks"],
    meaning:
      "This node has no ledger yet: it fetches a snapshot from its peers. `height` is the snapshot's.",
    next: "Ask another node. `loopledger node status` says how far this one is.",
  },
  NODE_STOPPED: {
    httpStatus: 503,
    facts: [],
    meaning: "The node stops; what was asked of it is not done.",
    next: "Ask another node, or this one when it is back.",
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
    meaning: "A key file holds a key that no member or candidate of this ledger has.",
    next: "Use the key file that belongs to this genesis; a node that is to join has `joining: true`.",
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
} as const satisfies Record<string, ErrorRow>;
