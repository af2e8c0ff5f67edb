/**
 * Runs a script over the simulator and returns the log. The language: README.md beside this file.
 */

import { quorumSize } from "../../src/base/proof/certificate.ts";
import { Cluster, type ClusterOptions, type SimNode } from "../sim/cluster.ts";
import { keyOf } from "../sim/fake-keys.ts";
import { type Decided, nextBlock } from "../sim/fake-ledger.ts";
import { indexOf } from "./block-names.ts";
import { Sayings, type Statement } from "./liar.ts";
import { ScenarioLog } from "./log.ts";
import { nodesOf, numberOf, type Sections, sectionsOf, slotOf, slotPatternOf } from "./words.ts";

const otherChainId = "0e".repeat(32);

/** Runs a script. @throws {Error} naming the line that is wrong, or what a checker found. */
export function runScript(script: string): string {
  const lines = script.split("\n").filter((line) => line.trim() !== "");
  const [first = "", ...rest] = lines.slice(lines.findIndex((line) => !line.startsWith("#")));
  const scenario = new Scenario(first.trim().split(/\s+/));
  for (const line of rest) scenario.command(line.trim());
  return scenario.end();
}

class Scenario {
  readonly #cluster: Cluster;
  readonly #log: ScenarioLog;
  readonly #sayings = new Sayings();
  readonly #clockOffsetsMs: number[];
  readonly #validators: { readonly height: number; readonly nodes: readonly number[] }[];

  constructor([name = "", ...words]: readonly string[]) {
    if (name !== "nodes") throw new Error("the first command is nodes");
    const given = sectionsOf(words, ["more", "twin", "heartbeat", "polls"]);
    const count = numberOf(wordsIn(given, "")[0]);
    const all = count + (given.has("more") ? numberOf(wordsIn(given, "more")[0]) : 0);
    const twins = wordsIn(given, "twin").map((word) => keyOf(numberOf(word)));
    const keys = [...numbersTo(all).map(keyOf), ...twins];
    this.#validators = [{ height: 0, nodes: numbersTo(count) }];
    this.#clockOffsetsMs = keys.map(() => 0);
    const options: ClusterOptions = {
      count,
      keys,
      validatorsAt: (height) => this.#validatorsAt(height),
      clockOffsetsMs: this.#clockOffsetsMs,
      statusPolls: !given.has("polls"),
      ...(given.has("heartbeat") && { heartbeatMs: numberOf(wordsIn(given, "heartbeat")[0]) }),
    };
    this.#cluster = new Cluster(options);
    this.#log = new ScenarioLog(this.#cluster);
    this.#listen();
    this.#delay("10");
    this.#log.lines.push(`> ${[name, ...words].join(" ")}`);
  }

  /** Runs one line; a comment is for the log. */
  command(line: string): void {
    if (line.startsWith("#")) {
      this.#log.lines.push(line);
      return;
    }
    this.#log.lines.push(`> ${line}`);
    const [name = "", ...words] = line.split(/\s+/);
    const command = this.#commands[name];
    if (command === undefined) throw new Error(`unknown command: ${line}`);
    try {
      command(words);
    } catch (error) {
      throw new Error(`in "${line}": ${error instanceof Error ? error.message : error}`, {
        cause: error,
      });
    }
  }

  /** Returns the log, ended by the chain of each node. */
  end(): string {
    const { names, lines } = this.#log;
    const chains = this.#cluster.nodes.map(({ index, ledger, up }) => {
      const chain = ledger.decided.map(({ block }) => names.ofHash(block.hash)).join(" ");
      return `chain of ${index}: ${chain || "empty"}${up ? "" : " (down)"}`;
    });
    return `${[...lines, ...chains].join("\n")}\n`;
  }

  readonly #commands: Readonly<Record<string, (words: readonly string[]) => void>> = {
    validators: ([height, ...nodes]) => {
      this.#validators.unshift({ height: numberOf(height), nodes: nodesOf(nodes) });
    },
    clock: ([node, offset]) => {
      this.#clockOffsetsMs[numberOf(node)] = numberOf(offset);
    },
    delay: ([ms]) => this.#delay(ms),
    submit: ([text = "", ...nodes]) => {
      const all = this.#cluster.nodes.map(({ index }) => index);
      this.#cluster.submit(text, nodes.length > 0 ? nodesOf(nodes) : all);
    },
    run: ([ms]) => this.#cluster.run(numberOf(ms)),
    until: ([height, ms]) => this.#until(numberOf(height), numberOf(ms)),
    heights: ([count]) => this.#heights(numberOf(count)),
    crash: (nodes) => {
      for (const node of nodesOf(nodes)) this.#cluster.crash(node);
    },
    restart: (words) => this.#restart(sectionsOf(words, ["wiped", "lost"])),
    split: (words) => {
      const left = nodesOf(words.slice(0, words.indexOf("/")));
      this.#cluster.groups = this.#cluster.nodes.map(({ index }) => (left.includes(index) ? 0 : 1));
    },
    lose: (words) => this.#lose(words),
    heal: () => {
      this.#cluster.groups = this.#cluster.nodes.map(() => 0);
      this.#cluster.passes = () => true;
      for (const { index } of this.#cluster.nodes) this.#handOver(index);
    },
    timeout: ([word, at]) => {
      const node = this.#cluster.node(numberOf(word));
      const { height, round } = at === undefined ? node.core : slotOf(at);
      this.#cluster.feed(node, { kind: "timeout", height, round });
    },
    work: ([word]) => {
      const node = this.#cluster.node(numberOf(word));
      this.#cluster.feed(node, { kind: "work", height: node.core.height });
    },
    play: (nodes) => {
      for (const node of nodesOf(nodes)) this.#cluster.crash(node);
    },
    block: (words) => this.#block(words),
    say: (words) => this.#say(words),
    relabel: (words) => this.#relabel(words),
    show: (words) => this.#show(words),
  };

  #validatorsAt(height: number) {
    const change = this.#validators.find((from) => from.height <= height);
    return (change?.nodes ?? []).map(keyOf);
  }

  #delay(ms: string | undefined): void {
    this.#cluster.delayMsMin = numberOf(ms);
    this.#cluster.delayMsMax = numberOf(ms);
  }

  /** What nodes sign can be used by liars. */
  #listen(): void {
    const feed = this.#cluster.feed.bind(this.#cluster);
    this.#cluster.feed = (node, event) => {
      if (event.kind === "signed") this.#sayings.add(event.message);
      feed(node, event);
    };
  }

  #until(height: number, withinMs: number): void {
    const startMs = this.#cluster.nowMs;
    const isReached = this.#cluster.runToHeight(height, withinMs);
    const after = `${this.#cluster.nowMs - startMs} ms`;
    this.#log.lines.push(isReached ? `reached after ${after}` : `not reached in ${after}`);
  }

  #heights(count: number): void {
    const { names, lines } = this.#log;
    for (let done = 0; done < count; done += 1) {
      const startMs = this.#cluster.nowMs;
      const height = this.#highest().ledger.tip.height + 1;
      this.#log.isMuted = true;
      this.#cluster.submit(`t${height}`);
      const isReached = this.#cluster.runToHeight(height, 20_000);
      this.#log.isMuted = false;
      if (!isReached) throw new Error(`no block of height ${height} in 20 s`);
      const { block, certificate } = this.#highest().ledger.decided[height - 1] as Decided;
      const by = `${names.of(block)} by ${indexOf(block.header.proposer)}`;
      const after = `after ${this.#cluster.nowMs - startMs} ms`;
      lines.push(
        `height ${height}: ${by} in round ${certificate.round}, ${after}; ${this.#proposers()}`,
      );
    }
  }

  #highest(): SimNode {
    const heights = this.#cluster.heights();
    return this.#cluster.node(heights.indexOf(Math.max(...heights)));
  }

  #restart(words: Sections): void {
    for (const node of nodesOf(wordsIn(words, ""))) {
      const wipedLedger = words.has("wiped");
      if (!words.has("lost")) this.#cluster.restart(node, { wipedLedger });
      else this.#cluster.restart(node, { wipedLedger, abstainThroughHeight: this.#abstain(node) });
      this.#handOver(node);
    }
  }

  /** As the shell does: who connects is given what is pending at its peers. */
  #handOver(index: number): void {
    const { nodes, groups } = this.#cluster;
    const peers = nodes.filter((node) => node.up && groups[node.index] === groups[index]);
    const pending = new Set(peers.flatMap(({ ledger }) => [...ledger.pending]));
    const isKnown = (text: string) => this.#cluster.node(index).ledger.pending.has(text);
    for (const text of pending)
      if (!text.startsWith("bad") && !isKnown(text)) this.#cluster.submit(text, [index]);
  }

  /** As the shell does: the highest certified tip among a quorum of others, and two more. */
  #abstain(index: number): number {
    const others = this.#cluster.nodes.filter((node) => node.up && node.index !== index);
    if (others.length < quorumSize(this.#validatorsAt(1).length))
      throw new Error("too few others to learn from");
    const through = Math.max(...others.map(({ ledger }) => ledger.tip.height)) + 2;
    this.#log.note(index, `abstains through height ${through}`);
    return through;
  }

  #lose(words: readonly string[]): void {
    const given = sectionsOf(words, ["from", "to", "times"]);
    const [kind, at] = wordsIn(given, "");
    const slot = slotPatternOf(at);
    const [from, to] = [given.get("from"), given.get("to")].map((nodes) => nodes && nodesOf(nodes));
    const timesMax = given.has("times") ? numberOf(wordsIn(given, "times")[0]) : Infinity;
    const times = new Map<string, number>();
    const { passes } = this.#cluster;
    this.#cluster.passes = (message, sender, receiver) => {
      const isMeant =
        (kind === "all" || kind === message.kind) &&
        (slot.height === "*" || slot.height === message.height) &&
        (slot.round === "*" || slot.round === message.round) &&
        (from?.includes(sender) ?? true) &&
        (to?.includes(receiver) ?? true);
      const pair = `${sender}-${receiver}`;
      const lost = times.get(pair) ?? 0;
      if (!isMeant || lost >= timesMax) return passes(message, sender, receiver);
      times.set(pair, lost + 1);
      return false;
    };
  }

  #block(words: readonly string[]): void {
    const given = sectionsOf(words, ["by", "with", "off", "on"]);
    const { names } = this.#log;
    const { ledger } = this.#highest();
    const on = wordsIn(given, "on")[0];
    const parent = on === undefined ? ledger.last : names.block(on);
    const { nowMs } = this.#cluster;
    const timestampMs = given.has("off")
      ? nowMs + numberOf(wordsIn(given, "off")[0])
      : Math.max(nowMs, parent.header.timestampMs + 1);
    const block = nextBlock(parent, wordsIn(given, "with"), {
      timestampMs,
      proposer: keyOf(numberOf(wordsIn(given, "by")[0])),
      validatorsAt: (height) => this.#validatorsAt(height),
    });
    names.add(wordsIn(given, "")[0] ?? "", block);
  }

  #say(words: readonly string[]): void {
    const given = sectionsOf(words, ["prepared", "changes", "prepares", "elsewhere", "to"]);
    const [validator, kind = "", at = "", block] = wordsIn(given, "");
    const [from = "", last = from.split("/")[1]] = at.split("..");
    const [preparedName, preparedRound] = wordsIn(given, "prepared");
    const { names } = this.#log;
    const nodesIn = (name: string) => (given.has(name) ? nodesOf(wordsIn(given, name)) : undefined);
    const { height, round: first } = slotOf(from);
    for (let round = first; round <= numberOf(last); round += 1) {
      const statement: Statement = {
        validator: numberOf(validator),
        kind,
        height,
        round,
        block: block === undefined ? undefined : names.block(block),
        prepared: given.has("prepared")
          ? { round: numberOf(preparedRound), block: names.block(preparedName) }
          : undefined,
        changes: nodesIn("changes"),
        prepares: nodesIn("prepares"),
        chainId: given.has("elsewhere") ? otherChainId : undefined,
      };
      const message = this.#sayings.say(statement);
      for (const to of nodesOf(wordsIn(given, "to"))) this.#cluster.inject(to, message);
    }
  }

  #relabel(words: readonly string[]): void {
    const given = sectionsOf(words, ["as", "to"]);
    const [validator, kind = "", at] = wordsIn(given, "");
    const message = this.#sayings.find(kind, slotOf(at), numberOf(validator));
    const relabeled = { ...message, ...slotOf(wordsIn(given, "as")[0]) };
    for (const to of nodesOf(wordsIn(given, "to"))) this.#cluster.inject(to, relabeled);
  }

  #show([what, node]: readonly string[]): void {
    const { lines } = this.#log;
    if (what === "again") this.#log.showAgain = true;
    else if (what === "deliveries") lines.push(`${this.#cluster.deliveries} messages delivered`);
    else if (what === "proposers") lines.push(this.#proposers());
    else if (what === "core") lines.push(describeCore(this.#cluster.node(numberOf(node))));
    else throw new Error(`nothing to show: ${what}`);
  }

  #proposers(): string {
    return `next proposers ${this.#highest().ledger.tip.proposers.map(indexOf).join(" ")}`;
  }
}

function describeCore({ index, core }: SimNode): string {
  const { height, round, phase, votes, roundChanges, blocks, future, seen } = core;
  const kept = [
    `votes of ${votes.size} rounds`,
    `${roundChanges.size} round changes`,
    `${blocks.length} former blocks`,
    `${future.size} messages of the next height`,
    `${seen.size} positions`,
  ];
  return `core of ${index}: ${height}/${round} ${phase}, ${kept.join(", ")}`;
}

function wordsIn(sections: Sections, name: string): readonly string[] {
  return sections.get(name) ?? [];
}

function numbersTo(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}
