/**
 * Cuts and heals the links of two small programs that stand in for nodes: one listens, one dials,
 * both say what they hear. Each kind of links that this machine allows is tried.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { isFree } from "../../../src/cli/devnet/processes.ts";
import { type TestNode, until } from "../../helpers/devnet.ts";
import { configureLinks, type LinkKind, type Links, linkKinds, makeLinks } from "./links.ts";

/** Listens, or dials; prints what it hears, says what it is told, and answers HTTP at its port. */
const program = `
const net = require("node:net");
const [role, host, port, apiPort] = process.argv.slice(1);
const talk = (socket) => {
  socket.on("data", (bytes) => process.stdout.write(bytes));
  socket.on("error", () => {});
  socket.on("close", () => process.stdout.write("closed;"));
  process.stdin.on("data", (bytes) => socket.writable && socket.write(bytes));
};
process.stdin.on("end", () => process.exit());
if (role === "dial") talk(net.connect(port, host).on("connect", () => process.stdout.write("open;")));
else net.createServer(talk).listen(port, host, () => process.stdout.write("listens;"));
const api = require("node:http").createServer((_, response) => response.end(role));
// Only the first one that dials has the port.
api.on("error", () => {}).listen(apiPort, "127.0.0.1");
`;

const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** One of the two programs. */
class Speaker {
  heard = "";
  readonly #child: ChildProcess;

  constructor(links: Links, index: number, args: readonly string[]) {
    const { command = [] } = links.launch(index);
    const [first, ...rest] = [...command, process.execPath, "-e", program, ...args];
    this.#child = spawn(first as string, rest, { stdio: ["pipe", "pipe", "inherit"] });
    this.#child.stdout?.on("data", (bytes) => {
      this.heard += bytes;
    });
    const ended = once(this.#child, "exit");
    closers.push(() => this.#child.kill("SIGKILL") && ended);
  }

  say(text: string): void {
    this.#child.stdin?.write(text);
  }

  hears(text: string): Promise<void> {
    return until(`"${text}" is heard`, () => this.heard.includes(text), 20_000);
  }
}

async function speakers(kind: LinkKind) {
  const ports = await freePorts();
  const directory = mkdtempSync(join(tmpdir(), "loopledger-links-"));
  closers.push(() => rmSync(directory, { recursive: true }));
  const nodes = [0, 1].map((index) => {
    const configFile = join(directory, `${index}.yaml`);
    const listen = [`/ip4/127.0.0.1/tcp/${ports[index]}`];
    writeFileSync(configFile, stringify({ p2p: { listen, peers: [{ address: "" }] } }));
    const url = `http://127.0.0.1:${ports[2 + index]}`;
    return { url, files: { configFile } } as TestNode;
  });
  const links = await makeLinks(kind, { nodeCount: 2, delayMs: 0 });
  closers.push(() => links.close());
  configureLinks(links, nodes);
  await links.open(nodes);
  const placeOf = (from: number) => {
    const address = links.address(from, 1) ?? `/ip4/127.0.0.1/tcp/${ports[1]}`;
    return [address.split("/")[2], address.split("/")[4]] as string[];
  };
  const listener = new Speaker(links, 1, ["listen", ...placeOf(1), `${ports[3]}`]);
  await listener.hears("listens;");
  const dial = () => new Speaker(links, 0, ["dial", ...placeOf(0), `${ports[2]}`]);
  return { links, listener, dial, nodes };
}

async function freePorts(): Promise<number[]> {
  for (let base = 19_000; base < 20_000; base += 4) {
    const ports = [base, base + 1, base + 2, base + 3];
    if ((await Promise.all(ports.map(isFree))).every(Boolean)) return ports;
  }
  throw new Error("no free ports");
}

describe.each(linkKinds())("links by %s", (kind) => {
  it("carry bytes both ways, and requests to the API from outside", async () => {
    const { dial, listener, nodes } = await speakers(kind);
    const dialler = dial();
    dialler.say("one;");
    await listener.hears("one;");
    listener.say("two;");
    await dialler.hears("two;");
    const answers = nodes.map(async ({ url }) => (await fetch(url)).text());
    expect(await Promise.all(answers)).toEqual(["dial", "listen"]);
  });

  it("lose all that is said while they are cut both ways, until they are healed", async () => {
    const { dial, listener, links } = await speakers(kind);
    const dialler = dial();
    dialler.say("before;");
    await listener.hears("before;");
    await links.cut(0, 1, "silent");
    await links.cut(1, 0, "silent");
    dialler.say("to;");
    listener.say("fro;");
    // Nothing can be waited for where nothing comes; a heartbeat of the system is ample on loopback.
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect([listener.heard, dialler.heard]).toEqual(["listens;before;", "open;"]);
    await links.heal(0, 1);
    await links.heal(1, 0);
    await Promise.all([listener.hears("to;"), dialler.hears("fro;")]);
  });

  it("lose what is said in the one direction that is cut", async () => {
    const { dial, listener, links } = await speakers(kind);
    const dialler = dial();
    dialler.say("before;");
    await listener.hears("before;");
    await links.cut(0, 1, "silent");
    dialler.say("to;");
    listener.say("fro;");
    await dialler.hears("fro;");
    expect(listener.heard).not.toContain("to;");
    await links.heal(0, 1);
    await listener.hears("to;");
  });
});

it("a proxy resets connections when it is told to, and refuses new ones until it is healed", async () => {
  const { dial, listener, links } = await speakers("proxy");
  const first = dial();
  first.say("before;");
  await listener.hears("before;");
  await links.cut(0, 1, "reset");
  await first.hears("closed;");
  const second = dial();
  await second.hears("closed;");
  await links.heal(0, 1);
  dial().say("after;");
  await listener.hears("after;");
});

it.runIf(linkKinds().includes("namespaces"))(
  "namespaces of processes that are no more are deleted by the next run, those of others stay",
  async () => {
    const names = () => execFileSync("ip", ["netns", "list"], { encoding: "utf8" });
    const [dead, alive] = [`loopledger-test-4999999-1-0`, `loopledger-test-${process.ppid}-9-0`];
    for (const name of [dead, alive]) execFileSync("ip", ["netns", "add", name]);
    closers.push(() => execFileSync("ip", ["netns", "del", alive]));
    const links = await makeLinks("namespaces", { nodeCount: 2, delayMs: 0 });
    expect(names()).not.toContain(dead);
    expect(names()).toContain(alive);
    await links.close();
    expect(names()).not.toContain(`loopledger-test-${process.pid}-`);
  },
);
