/**
 * Golden dialogues: each .txt beside this file is a script, a line `---`, and the log it must give.
 * `BLESS=1 npx vitest run test/scenario` rewrites the logs: read the difference before you keep it.
 *
 * | command | meaning |
 * |---|---|
 * | `nodes N` | first line: a cluster of N validators, delays fixed at 10 ms |
 * | `submit TEXT [NODE...]` | a transaction reaches the mempools of these nodes, or of all |
 * | `run MS` | virtual time passes |
 * | `crash NODE`, `restart NODE` | |
 * | `split NODES / NODES` | `split 0 1 / 2 3`; messages pass within a side only |
 * | `heal` | ends a split |
 * | `lose KIND ROUND` | messages of a kind and round are lost from now on |
 *
 * Log: time since start in ms, node, what it does at height/round, first digits of the block hash.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import type { Effect } from "../../src/consensus/event.ts";
import { Cluster, type SimNode } from "../sim/cluster.ts";
import { simStartMs } from "../sim/fake-ledger.ts";

const folder = fileURLToPath(new URL(".", import.meta.url));
const short = (hash: string) => hash.slice(0, 6);

function describeEffect(effect: Effect): string | undefined {
  switch (effect.kind) {
    case "sign": {
      const { claim } = effect;
      const hash = claim.kind === "roundChange" ? claim.prepared?.blockHash : claim.blockHash;
      const of = claim.kind === "roundChange" && hash !== undefined ? "prepared " : "";
      return `${claim.kind} ${claim.height}/${claim.round} ${of}${hash ? short(hash) : "-"}`;
    }
    case "decide":
      return `decides ${short(effect.block.hash)} by round ${effect.certificate.round}`;
    case "startTimer":
      return `timer ${effect.height}/${effect.round} ${effect.durationMs} ms`;
    case "catchUp":
      return `catches up to ${effect.height}`;
    case "assist":
      return `assists at ${effect.height}`;
    default:
      return undefined;
  }
}

function runScript(script: string): string {
  const log: string[] = [];
  let cluster = new Cluster({ count: 1 });
  const observe = (node: SimNode, effect: Effect) => {
    const text = describeEffect(effect);
    const time = String(cluster.nowMs - simStartMs).padStart(6);
    if (text !== undefined) log.push(`${time} ${node.index} ${text}`);
  };
  const commands: Record<string, (...words: string[]) => void> = {
    nodes: (count) => {
      cluster = new Cluster({ count: Number(count) });
      cluster.delayMsMin = 10;
      cluster.delayMsMax = 10;
      cluster.observe = observe;
    },
    submit: (text = "", ...nodes) =>
      nodes.length > 0 ? cluster.submit(text, nodes.map(Number)) : cluster.submit(text),
    run: (ms) => cluster.run(Number(ms)),
    crash: (node) => cluster.crash(Number(node)),
    restart: (node) => cluster.restart(Number(node)),
    split: (...words) => {
      const left = words.slice(0, words.indexOf("/")).map(Number);
      cluster.groups = cluster.nodes.map(({ index }) => (left.includes(index) ? 0 : 1));
    },
    heal: () => {
      cluster.groups = cluster.nodes.map(() => 0);
    },
    lose: (kind, round) => {
      const { passes } = cluster;
      cluster.passes = (message, from, to) =>
        (message.kind !== kind || message.round !== Number(round)) && passes(message, from, to);
    },
  };
  for (const line of script.split("\n")) {
    const [name = "", ...words] = line.trim().split(/\s+/);
    if (name === "" || name.startsWith("#")) continue;
    log.push(`> ${line.trim()}`);
    const command = commands[name];
    if (command === undefined) throw new Error(`unknown command ${name}`);
    command(...words);
  }
  const heights = cluster.heights().join(" ");
  return `${[...log, `heights ${heights}`].join("\n")}\n`;
}

const names = readdirSync(folder).filter((name) => name.endsWith(".txt"));

it.each(names)("%s gives the log that was read and kept", (name) => {
  const path = `${folder}${name}`;
  const [script = "", expected] = readFileSync(path, "utf8").split("---\n");
  const log = runScript(script);
  if (process.env.BLESS === undefined) expect(log).toBe(expected);
  else writeFileSync(path, `${script}---\n${log}`);
});
