/** What needs no running ledger: evidence judged offline, and damage found in stored chains. */
import { spawn } from "node:child_process";
import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { hexToBytes } from "../../base/bytes.ts";
import { LedgerError } from "../../base/errors.ts";
import type { DevnetNode } from "../devnet/layout.ts";
import { programFile } from "../devnet/processes.ts";
import { checkFigure } from "./control.ts";
import { type DemoStage, meter } from "./stage.ts";
import { copyLedger, damageAnywhere, damageTransaction } from "./tamper.ts";

const billedMonth = "2019-01";

/** Exports the evidence of one bill and has it judged where nothing but the genesis is. */
export async function auditEvidence({ client, devnet, outDirectory, signal }: DemoStage) {
  const text = await client.evidence(`${meter}/${billedMonth}/1`);
  await mkdir(outDirectory, { recursive: true });
  const name = `bill-${meter}-${billedMonth}.json`;
  const file = join(outDirectory, name);
  await writeFile(file, text);
  const auditor = join(devnet.directory, "auditor");
  await mkdir(auditor);
  await copyFile(devnet.genesisFile, join(auditor, "genesis.json"));
  await copyFile(file, join(auditor, name));
  const args = ["evidence", "verify", name, "--genesis", "genesis.json", "--json"];
  const { code, output } = await runProgram(args, { directory: auditor, signal });
  const { ok, level } = z.object({ ok: z.boolean(), level: z.string() }).parse(output);
  checkFigure("level of the evidence", "certified", level);
  return { file, verified: ok && code === 0 };
}

const Verdict = z.object({
  isValid: z.boolean(),
  firstBadHeight: z.int().optional(),
  problems: z.array(z.object({ height: z.int().optional(), what: z.string(), detail: z.string() })),
});

/** A final transaction and the block it is in. */
export type PlacedTransaction = { readonly height: number; readonly bytes: Uint8Array };

/** Returns transactions of the blocks in the middle of the chain. */
export async function middleTransactions({ client }: DemoStage): Promise<PlacedTransaction[]> {
  const { height: tip } = await client.status();
  const found: PlacedTransaction[] = [];
  for (let height = Math.ceil(tip / 2); height <= tip && found.length < 10; height += 1) {
    const { transactions } = await client.block(height);
    for (const { id } of transactions)
      found.push({ height, bytes: hexToBytes((await client.proof(id)).transaction) });
  }
  return found;
}

/** Changes bytes in copies of a stopped node's ledger and has them verified. */
export async function tamper(stage: DemoStage, known: readonly PlacedTransaction[]) {
  const { devnet, seed } = stage;
  const node = devnet.nodes[0] as DevnetNode;
  const [blockCopy, randomCopy] = ["tampered-block", "tampered-anywhere"].map((name) =>
    join(devnet.directory, name),
  ) as [string, string];
  await copyLedger(node.ledgerDirectory, blockCopy);
  await copyLedger(node.ledgerDirectory, randomCopy);
  const damage = await damageTransaction(
    blockCopy,
    known.map(({ bytes }) => bytes),
  );
  const height = known[damage.index]?.height ?? -1;
  const place = await damageAnywhere(randomCopy, seed);
  const [block, anywhere] = await Promise.all([
    verify(stage, blockCopy),
    verify(stage, randomCopy),
  ]);
  const isNamed = !block.isValid && block.firstBadHeight === height;
  const first = block.problems.find((problem) => problem.height === height);
  return {
    detected: isNamed && !anywhere.isValid,
    height,
    remarks: [
      `a byte of block ${height} changed: ${isNamed ? "found" : "NOT FOUND"} (${first?.what})`,
      `a byte at ${place.file}:${place.offset} changed (seed ${seed}): ` +
        `${anywhere.isValid ? "NOT FOUND" : "found"} (${anywhere.problems[0]?.what})`,
    ],
  };
}

type Verdict = z.infer<typeof Verdict>;

async function verify({ devnet, signal }: DemoStage, directory: string): Promise<Verdict> {
  const args = ["chain", "verify", "--dir", directory, "--genesis", devnet.genesisFile, "--json"];
  const { output } = await runProgram(args, { directory: devnet.directory, signal });
  return Verdict.parse(output);
}

/** Runs a command of this program as a process of its own. */
async function runProgram(
  args: readonly string[],
  { directory, signal }: { readonly directory: string; readonly signal: AbortSignal },
): Promise<{ readonly code: number | null; readonly output: unknown }> {
  const child = spawn(process.execPath, [programFile, ...args], {
    cwd: directory,
    stdio: ["ignore", "pipe", "pipe"],
    signal,
  });
  const texts = { out: "", err: "" };
  child.stdout.on("data", (chunk: Buffer) => {
    texts.out += chunk.toString();
  });
  child.stderr.on("data", (chunk: Buffer) => {
    texts.err += chunk.toString();
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject).once("close", resolve);
  });
  try {
    return { code, output: JSON.parse(texts.out) };
  } catch (cause) {
    const figure = args.slice(0, 2).join(" ");
    const actual = texts.err.slice(0, 500);
    throw new LedgerError("CLI_DEMO_FAILED", { figure, expected: "a verdict", actual }, { cause });
  }
}
