/** Errors of clients, the gateway and the command line. See errors.ts. */
import type { ErrorRow } from "./row.ts";

/** Rows of the error table. */
export const clientErrors = {
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
    next: "Have an operator enrol the gateway and register the meter to it, or name the right ones.",
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
  CLI_USAGE_INVALID: {
    httpStatus: 400,
    facts: ["option", "expected", "got"],
    meaning: "An option or argument of a command has not its form.",
    next: "Correct it; `--help` after the command shows what it takes.",
  },
  CLI_COMMAND_LINE_INVALID: {
    httpStatus: 400,
    facts: ["reason"],
    meaning: "There is no such command, option or argument, or one is missing.",
    next: "Correct it; `--help` lists the commands, and after a command what it takes.",
  },
  CLI_FILE_UNUSABLE: {
    httpStatus: 500,
    facts: ["file", "reason"],
    meaning: "A file or directory that the command needs cannot be read, made or written.",
    next: "Check that its directory is there, its permissions, and that the disk has room.",
  },
  CLI_FAULT: {
    httpStatus: 500,
    facts: ["reason"],
    meaning: "The program met something that it was not made for.",
    next: "Report this as a fault, with the command line and all that was printed.",
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
    next: "Make one with `loopledger devnet up`, name its directory, or name what `--help` lists.",
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
    next: "End that program, or make a devnet in another `--dir` with another `--base-port`.",
  },
  CLI_TRANSACTION_REFUSED: {
    httpStatus: 409,
    facts: ["id", "outcome", "detail", "height"],
    meaning: "The transaction is final, but its call failed: nothing but the receipt was written.",
    next: "Correct what `outcome` and `detail` say and send a new transaction.",
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
