/**
 * The halves of named failures that are in the shell and not in the core: for each the test that
 * shows it, and the bugs of test/sim/mutants/ that remove its fix.
 */

/** One fix, removed. */
export type RemovedShellFix = {
  /** Number of the named failure. */
  readonly failure: number;
  /** Below test/unit. */
  readonly file: string;
  /** A part of the name of a test that then fails. */
  readonly test: string;
  /** Name in the table of injected bugs. */
  readonly bug: string;
};

/** What is removed. */
export const removedShellFixes: readonly RemovedShellFix[] = [
  {
    failure: 5,
    file: "node/shell-lost-record",
    test: "fetches what the others have first, and counts from there",
    bug: "lost record not minded",
  },
  {
    failure: 5,
    file: "node/ready-declarer",
    test: "says nothing before it has caught up",
    bug: "a candidate says that it is ready before it has caught up",
  },
  {
    failure: 10,
    file: "node/chain-follower-liars",
    test: "and leaves a hole is found to lie",
    bug: "blocks of a range not held against their heights",
  },
  {
    failure: 10,
    file: "node/chain-follower-liars",
    test: "and sends an old block costs one request in 5 s",
    bug: "blocks of a range not held against their heights",
  },
  {
    failure: 10,
    file: "node/chain-follower-liars",
    test: "and sends nothing costs one request in 5 s",
    bug: "a peer that lied is asked again at once",
  },
  {
    failure: 10,
    file: "node/chain-follower-liars",
    test: "and sends nothing does not keep the others' blocks away",
    bug: "an empty answer taken for progress",
  },
  {
    failure: 11,
    file: "node/shell-lost-record",
    test: "signs nothing while only two of three others answer",
    bug: "votes again when one other told its tip",
  },
  {
    failure: 11,
    file: "node/shell-lost-record",
    test: "signs nothing while the third is a candidate",
    bug: "candidates tell the tip",
  },
  {
    failure: 11,
    file: "node/shell-lost-record",
    test: "signs nothing while the third is itself",
    bug: "a node tells itself the tip",
  },
  {
    failure: 11,
    file: "node/shell-lost-record",
    test: "is silent two heights beyond the tip",
    bug: "votes right above the tip after a lost record",
  },
  {
    failure: 11,
    file: "node/signing-record-file",
    test: "takes a damaged one for lost",
    bug: "a damaged record taken for whole",
  },
  {
    failure: 14,
    file: "node/clock-reasons",
    test: "is not ready: the clock of this node is 300 s behind",
    bug: "a clock that is off is not told",
  },
  {
    failure: 16,
    file: "node/consensus-driver",
    test: "refuses a vote signed for another chain",
    bug: "chain id dropped from signatures",
  },
  {
    failure: 16,
    file: "node/consensus-driver",
    test: "refuses a vote signed for another chain",
    bug: "signatures of messages unchecked",
  },
  {
    failure: 17,
    file: "ledger/admission",
    test: "refuses a signature that does not hold, also over a body it knows",
    bug: "verified cache keyed by body only",
  },
  {
    failure: 17,
    file: "ledger/admission",
    test: "refuses a signature that does not hold, also over a body it knows",
    bug: "signatures of transactions unchecked",
  },
];
