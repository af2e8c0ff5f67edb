/**
 * The seventeen named failures, and for each the fix without which it comes back: a textual change
 * of the product, made in a copy. A change that no longer fits the source is an error, so the table
 * keeps up with the code.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Failures of others by number (docs/CONSENSUS.md); each has scripts in `failures/`. */
export const namedFailures: Readonly<Record<number, string>> = {
  1: "besu #1734",
  2: "Maru #3247",
  3: "besu #7875",
  4: "besu #7642",
  5: "besu #8307",
  6: "besu #8397",
  7: "quorum #305",
  8: "iroha #3166",
  9: "besu PR #11031",
  10: "cometbft CVE-2025-24371",
  11: "tendermint #3418",
  12: "besu PR #11102",
  13: "all nodes are killed between prepare and commit",
  14: "one clock five minutes",
  15: "shown",
  16: "a RoundChange signed in another network",
  17: "a known transaction body with a wrong signature",
};

/** One fix, removed. */
export type RemovedFix = {
  readonly name: string;
  /** Scripts of `failures/` whose logs change, each with what the log then shows. */
  readonly symptoms: Readonly<Record<string, string>>;
  readonly edits: readonly {
    /** Below `src`. */
    readonly file: string;
    readonly from: string;
    readonly to: string;
  }[];
};

const edit = (file: string, from: string, to: string) => ({ file, from, to });

/** What is removed, by named failure; several where several fixes are needed. */
export const removedFixes: readonly RemovedFix[] = [
  {
    name: "1: a time-out is obeyed after the decision",
    symptoms: { "01-timer-before-the-new-head": "39 1 roundChange 1/1, prepared A in 0" },
    edits: [
      edit(
        "consensus/step.ts",
        'if (state.phase === "decided" || state.timer === undefined) return unchanged(state);',
        "",
      ),
    ],
  },
  {
    name: "1: round changes are obeyed after the decision",
    symptoms: { "01-timer-before-the-new-head": "the rules come to rest" },
    edits: [
      edit(
        "consensus/step.ts",
        'const isLate = height < state.height || state.phase === "decided";',
        "const isLate = height < state.height;",
      ),
      edit("consensus/rules.ts", 'if (state.phase === "decided") return undefined;\n  for', "for"),
    ],
  },
  {
    name: "2: only commits of the current round decide",
    symptoms: {
      "02-commit-quorum-after-the-timer": "decides A by commits of 0 2 3 in round 1",
      "02-commits-before-and-after-the-timer": "chain of 3: empty",
    },
    edits: [
      edit(
        "consensus/votes.ts",
        "if (commits.size < quorumSize(validators.length)) continue;",
        "if (commits.size < quorumSize(validators.length) || round !== state.round) continue;",
      ),
    ],
  },
  {
    name: "2: commits of former rounds are dropped at a round change",
    symptoms: { "02-commits-before-and-after-the-timer": "chain of 3: empty" },
    edits: [
      edit(
        "consensus/votes.ts",
        "else if (of >= round - limits.roundDistanceMax &&",
        "else if (of > round &&",
      ),
    ],
  },
  {
    name: "3: a block proposed again must name its sender",
    symptoms: { "03-proposed-again-over-two-rounds": "not reached in 10000 ms" },
    edits: [
      edit(
        "consensus/justification.ts",
        "return isClaimed &&",
        "return block.header.proposer === proposal.validator && isClaimed &&",
      ),
    ],
  },
  {
    name: "4: timers run from the moment of entry, without a cap, and wait for who is missing",
    symptoms: {
      "04-more-than-f-down-for-ten-minutes": "not reached in 10000 ms",
      "04-out-of-step-and-slow": "not reached in 10000 ms",
    },
    edits: [
      edit(
        "consensus/pacing.ts",
        'return state.round === 0 || state.phase !== "proposing" || isRoundReached(state);',
        "return isRoundReached(state) || true;",
      ),
      edit(
        "consensus/pacing.ts",
        "return roundTimeoutMs(mayMiss && isProposerMissing(state) ? 0 : round);",
        "return roundTimeoutMs(mayMiss ? round : round);",
      ),
      edit(
        "consensus/proposer.ts",
        "return Math.min(doubled, limits.roundTimeoutMsMax);",
        "return doubled;",
      ),
    ],
  },
  {
    name: "5: who lost its ledger never validates again",
    symptoms: { "05-two-of-four-with-empty-ledgers": "not reached in 10000 ms" },
    edits: [
      edit(
        "consensus/step.ts",
        "const state = { ...before, record };",
        "const state = { ...before, record, abstainThroughHeight: record.height > before.height ? 2 ** 40 : -1 };",
      ),
    ],
  },
  {
    name: "6: nothing is sent again",
    symptoms: { "06-the-only-round-change-is-lost": "not reached in 10000 ms" },
    edits: [
      edit(
        "consensus/step.ts",
        "const again = state.own.map(",
        "const again = state.own.slice(9).map(",
      ),
    ],
  },
  {
    name: "7: a prepared block binds its node",
    symptoms: { "07-lock-never-released": "decides B by commits of 0 1 2 in round 2" },
    edits: [
      edit(
        "consensus/step.ts",
        "const bound = boundHash(moved);",
        "const bound = moved.prepared?.block.hash ?? boundHash(moved);",
      ),
    ],
  },
  {
    name: "8: the timer runs without work",
    symptoms: { "08-ninety-idle-minutes": "roundChange 2/1, nothing prepared" },
    edits: [edit("consensus/pacing.ts", "if (!state.work || state.phase", "if (state.phase")],
  },
  {
    name: "9: a transaction starts the timer of the proposer only",
    symptoms: { "09-proposer-dies-while-idle": "not reached in 5000 ms" },
    edits: [
      edit(
        "consensus/step.ts",
        "if (height !== state.height) return unchanged(state);\n  const build",
        "if (height !== state.height || proposerAt(state.tip.proposers, state.round) !== state.self) return unchanged(state);\n  const build",
      ),
    ],
  },
  {
    name: "10: one validator decides what to catch up to",
    symptoms: { "10-a-peer-lowers-its-height": "catches up to 1000000" },
    edits: [
      edit(
        "consensus/pacing.ts",
        "highestFirst[faultyMax(validators.length)]",
        "highestFirst[faultyMax(1)]",
      ),
    ],
  },
  {
    name: "10: a lower height replaces a higher one",
    symptoms: { "10-a-peer-lowers-its-height": "catches up to 2" },
    edits: [
      edit(
        "consensus/step.ts",
        "last === undefined || height > last.height || (height === last.height && round > last.round);",
        "last?.height !== height || round > last.round;",
      ),
    ],
  },
  {
    name: "11: the record is lost, and the node votes on",
    symptoms: { "11-old-backup-restored": "two prepares of one validator in 2/0" },
    edits: [edit("consensus/signing.ts", "return height > abstainThroughHeight && (", "return (")],
  },
  {
    name: "12: votes of any round are kept",
    symptoms: { "12-huge-rounds": "votes of 401 rounds" },
    edits: [
      edit(
        "consensus/votes.ts",
        "if (Math.abs(vote.round - state.round) > limits.roundDistanceMax) return state;",
        "",
      ),
    ],
  },
  {
    name: "13: the record is not given back",
    symptoms: {
      "13-all-killed-between-prepare-and-commit": "not reached in 5000 ms",
      "13-all-killed-when-one-had-prepared": "not reached in 5000 ms",
    },
    edits: [
      edit(
        "consensus/step.ts",
        "return onRestored(state, event.record);",
        "return unchanged(state);",
      ),
    ],
  },
  {
    name: "14: blocks are prepared before they are checked",
    symptoms: { "14-one-clock-ahead": "chain of 0: A B C D E" },
    edits: [
      edit(
        "consensus/rules.ts",
        'if (phase !== "preparing" || proposal?.valid !== true) return undefined;\n  return maySign',
        'if (phase !== "preparing" || proposal === undefined) return undefined;\n  return maySign',
      ),
    ],
  },
  {
    name: "14: a block found invalid is not decided",
    symptoms: { "14-one-clock-behind": "3 fetches A" },
    edits: [
      edit(
        "consensus/rules.ts",
        "if (certificate === undefined || block === undefined) return undefined;",
        "if (certificate === undefined || block === undefined || state.proposal?.valid === false) return undefined;",
      ),
    ],
  },
  {
    name: "15: commits of all rounds add up",
    symptoms: { "15-commits-of-different-rounds": "the signature of validator 2 does not hold" },
    edits: [
      edit(
        "consensus/votes.ts",
        "if (commits.size < quorumSize(validators.length)) continue;",
        "for (const others of state.votes.values()) for (const [key, vote] of others.commits) (commits as Map<string, VoteMessage>).set(key, commits.get(key) ?? vote);",
      ),
    ],
  },
  {
    name: "15: the signature of a commit does not cover the round",
    symptoms: { "15-commits-of-different-rounds": "fork at 1" },
    edits: [
      edit(
        "base/format/message.ts",
        "const head = [hexToBytes(chainId), claim.height, claim.round];",
        'const head = [hexToBytes(chainId), claim.height, claim.kind === "commit" ? 0 : claim.round];',
      ),
    ],
  },
  {
    name: "16: no signature covers the chain id",
    symptoms: { "16-round-change-of-another-network": "0 3 jumps to 1/1" },
    edits: [
      edit(
        "base/format/message.ts",
        "const head = [hexToBytes(chainId), claim.height",
        "const head = [new Uint8Array(chainId.length), claim.height",
      ),
    ],
  },
  {
    name: "17: what the check of a block found is not heeded",
    symptoms: { "17-known-body-with-a-wrong-signature": "a certified block does not execute" },
    edits: [
      edit(
        "consensus/step.ts",
        "return unchanged({ ...state, proposal: { ...proposal, valid: event.valid } });",
        "return unchanged({ ...state, proposal: { ...proposal, valid: true } });",
      ),
    ],
  },
];

/** Runs scripts; from the product as it is or as a fix is removed. */
export type ScriptRunner = { readonly runScript: (script: string) => string };

/** Builds the simulator over a changed product. @throws {Error} when a change does not fit. */
export async function runnerWithout({ edits }: Pick<RemovedFix, "edits">): Promise<ScriptRunner> {
  const folder = mkdtempSync(join(tmpdir(), "loopledger-removed-fix-"));
  const outfile = join(folder, "script.mjs");
  const changed = new Map<string, string>();
  for (const { file, from, to } of edits) {
    const path = join(root, "src", file);
    const parts = (changed.get(path) ?? readFileSync(path, "utf8")).split(from);
    if (parts.length !== 2) throw new Error(`${file} has ${parts.length - 1} times: ${from}`);
    changed.set(path, parts.join(to));
  }
  try {
    const { outputFiles } = await build({
      entryPoints: [join(root, "test/scenario/script.ts")],
      bundle: true,
      platform: "node",
      format: "esm",
      write: false,
      plugins: [
        {
          name: "removed-fix",
          setup({ onLoad }) {
            onLoad({ filter: /\/src\/.*\.ts$/ }, ({ path }) => {
              const contents = changed.get(path);
              return contents === undefined ? undefined : { contents, loader: "ts" };
            });
          },
        },
      ],
    });
    writeFileSync(outfile, outputFiles[0]?.contents ?? "");
    return (await import(pathToFileURL(outfile).href)) as ScriptRunner;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Reads a golden file: the script, and the log that was kept. */
export function readGolden(path: string): { readonly script: string; readonly log: string } {
  const [script = "", log = ""] = readFileSync(path, "utf8").split("---\n");
  return { script, log };
}
