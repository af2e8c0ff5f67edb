/** `chain verify`: re-checks the chain that a stopped node has stored. */
import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { z } from "zod";
import { type StoredChainVerdict, verifyStoredChain } from "../node/verify-chain-command.ts";
import { checkpoint } from "./checkpoint.ts";
import { command, directory, text } from "./command.ts";
import { genesisOption } from "./connection.ts";
import { findDevnet, nodesNamed, openDevnet } from "./devnet/layout.ts";
import type { Terminal } from "./terminal.ts";

const problemsShownMax = 10;

/** The command. */
export const chainVerify = command({
  name: "chain verify",
  summary: "Re-checks the stored chain of a stopped node offline and names what is damaged.",
  details:
    "It checks checksums, links, signatures, certificates and roots, and executes every block " +
    "again from the genesis on. Nothing is changed. Whether more blocks existed cannot be known " +
    "from the files alone: give --expect with a height and block hash from elsewhere, such as " +
    "another node. Without --genesis the file genesis.json in the directory or up to three above " +
    "it is taken. Exit code 0 exactly if the chain is valid.",
  options: [
    ["--dir <directory>", "ledger directory, or that of a node or devnet (default: ./devnet)"],
    ["--node <name>", "node of the devnet (default: the first one)"],
    genesisOption,
    ["--expect <height:hash>", "block that must be in the chain"],
  ],
  examples: [
    "loopledger chain verify --node data-centre",
    "loopledger chain verify --dir /var/lib/loopledger/ledger --genesis genesis.json",
  ],
  input: z.strictObject({
    dir: directory,
    node: text.optional(),
    genesis: text.optional(),
    expect: checkpoint.optional(),
  }),
  async run({ dir, node, genesis, expect }, terminal) {
    const { directory, genesisFile } = storedIn(dir, { node, genesis });
    const verdict = await verify({ directory, genesisFile, expect }, terminal);
    terminal.result({ directory, ...verdict }, described(verdict));
    return verdict.isValid ? 0 : 1;
  },
});

/** Where the ledger and its genesis are: named, of a devnet, or in a folder around the ledger. */
function storedIn(
  dir: string,
  { node, genesis }: { readonly node: string | undefined; readonly genesis: string | undefined },
): { readonly directory: string; readonly genesisFile: string } {
  if (genesis !== undefined) return { directory: dir, genesisFile: resolve(genesis) };
  const around = foldersAround(dir).map((folder) => join(folder, "genesis.json"));
  const nearest = around.find((file) => existsSync(file));
  if (nearest !== undefined && findDevnet(dir) === undefined && node === undefined)
    return { directory: dir, genesisFile: nearest };
  const devnet = openDevnet(dir);
  const directory = nodesNamed(devnet, node)[0]?.ledgerDirectory ?? dir;
  return { directory, genesisFile: devnet.genesisFile };
}

/** The folder itself and the three above it: a devnet has its genesis that far up. */
function foldersAround(dir: string): string[] {
  const folders = [resolve(dir)];
  while (folders.length < 4) folders.push(dirname(folders.at(-1) as string));
  return folders;
}

async function verify(
  chain: Parameters<typeof verifyStoredChain>[0],
  terminal: Terminal,
): Promise<StoredChainVerdict> {
  let shown: { stage: string; bar: ReturnType<Terminal["progress"]> } | undefined;
  try {
    return await verifyStoredChain({
      ...chain,
      onProgress: ({ stage, done, total }) => {
        if (shown?.stage !== stage) {
          shown?.bar.done();
          shown = { stage, bar: terminal.progress(stage, total ?? 0) };
        }
        shown.bar.update(done, total);
      },
    });
  } finally {
    shown?.bar.done();
  }
}

function described({ summary, problems, problemCount, ...verdict }: StoredChainVerdict): string {
  const lines = problems
    .slice(0, problemsShownMax)
    .map(({ height, what, detail }) => `  ${height ?? "?"}  ${what}: ${detail}`);
  const rest = problemCount - lines.length;
  if (rest > 0) lines.push(`  and ${rest} more`);
  // Of blocks that lead elsewhere, or are of another chain, people must judge.
  const isMendable = problems.every(({ what }) => what !== "root" && what !== "expectation");
  const next = isMendable ? ["to mend it: `loopledger node start --repair`"] : [];
  const upTo = `valid up to height ${verdict.validHeight}, block ${verdict.validHash ?? "none"}`;
  return [
    summary,
    ...(problemCount > 0 ? [upTo, "problems by height:", ...lines, ...next] : []),
  ].join("\n");
}
