/** Errors of the contract runtime and build. See errors.ts. */
import type { ErrorRow } from "./row.ts";

/** Rows of the error table. */
export const contractErrors = {
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
    next: "Build the contract again; `reason` says what failed.",
  },
  CONTRACT_NODE_FAULT: {
    httpStatus: 500,
    facts: ["contract", "method", "reason"],
    meaning: "This node could not execute a call, twice, for a reason outside the contract.",
    next: "The call is left out of this node's blocks. If all calls fail, look at the node's log, memory and Node version, then restart it: it stops voting when such a call is decided.",
  },
  CONTRACT_BUILD_FAILED: {
    httpStatus: 400,
    facts: ["contract", "reason"],
    meaning: "The contract's source cannot be bundled.",
    next: "Correct the source; it may import `loopledger/contract` and its own files, nothing else.",
  },
} as const satisfies Record<string, ErrorRow>;
