/**
 * Links of the kernel: every node has a network namespace with one interface, whose other end is
 * at a bridge in one more namespace. Nothing is changed in the namespace of the machine, and
 * deleting the namespaces deletes all there is.
 *
 * A cut of one direction gives the sender a wrong hardware address of the receiver: its packets go
 * out and reach nobody, and no side is told. Addresses of neighbours are written down by hand for
 * that, so nobody asks for them.
 *
 * The API of a node is bound to the loopback interface of its namespace. A small process there
 * (test/helpers/port-forward.mjs) takes connections from a socket that was opened outside.
 *
 * Names hold the process id. What a killed run left behind is deleted by the next one.
 */
import { type ChildProcess, execFileSync, fork } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";
import type { TestNode } from "../../helpers/devnet.ts";
import type { Links } from "./links.ts";

const prefix = "loopledger-test";
const peerPort = 7_400;
const forwarder = fileURLToPath(new URL("../../helpers/port-forward.mjs", import.meta.url));
let made = 0;

/** Tells whether this process may make namespaces here. */
export function hasNamespaces(): boolean {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return false;
  const name = `${prefix}-${process.pid}-try`;
  try {
    ip("netns", "add", name);
    ip("-n", name, "link", "add", "one", "type", "veth", "peer", "name", "two");
    ip("-n", name, "link", "add", "bridge", "type", "bridge");
    return true;
  } catch {
    return false;
  } finally {
    remove(name);
  }
}

/** See the head of links.ts. */
export class NamespaceLinks implements Links {
  readonly kind = "namespaces";
  readonly #names: readonly string[];
  readonly #bridge: string;
  readonly #forwarders: ChildProcess[] = [];

  private constructor(base: string, nodeCount: number) {
    this.#bridge = `${base}-bridge`;
    this.#names = Array.from({ length: nodeCount }, (_, index) => `${base}-${index}`);
  }

  /** Makes the namespaces. */
  static make(nodeCount: number): NamespaceLinks {
    removeStale();
    made += 1;
    const links = new NamespaceLinks(`${prefix}-${process.pid}-${made}`, nodeCount);
    try {
      links.#build();
    } catch (error) {
      links.#remove();
      throw error;
    }
    return links;
  }

  readonly launch = (index: number) => ({
    command: ["ip", "netns", "exec", this.#names[index] as string],
  });

  address(_from: number, to: number): string {
    return `/ip4/${addressOf(to)}/tcp/${peerPort}`;
  }

  /** Makes the APIs reachable from outside, at their own addresses. */
  async open(nodes: readonly TestNode[]): Promise<void> {
    for (const [index, { url }] of nodes.entries()) {
      const port = Number(new URL(url).port);
      const server = createServer().listen(port, "127.0.0.1");
      await once(server, "listening");
      const child = fork(forwarder, [`${port}`], {
        execPath: "ip",
        execArgv: ["netns", "exec", this.#names[index] as string, process.execPath],
      });
      this.#forwarders.push(child);
      await new Promise((resolve, reject) => {
        child.once("message", resolve);
        child.once("exit", () => reject(new Error("the port forwarder ended")));
        child.send("server", server, (error) => error && reject(error));
      });
      server.close();
    }
  }

  async cut(from: number, to: number): Promise<void> {
    this.#neighbour(from, to, lostAddress);
  }

  async heal(from: number, to: number): Promise<void> {
    this.#neighbour(from, to, hardwareOf(to));
  }

  async close(): Promise<void> {
    for (const child of this.#forwarders) {
      const ended = once(child, "exit");
      if (child.exitCode === null && child.kill("SIGKILL")) await ended;
    }
    this.#remove();
  }

  #build(): void {
    ip("netns", "add", this.#bridge);
    ip("-n", this.#bridge, "link", "add", "bridge", "type", "bridge");
    ip("-n", this.#bridge, "link", "set", "bridge", "up");
    for (const [index, name] of this.#names.entries()) {
      const port = `port${index}`;
      const inside = (...args: string[]) => ip("-n", name, ...args);
      const outside = (...args: string[]) => ip("-n", this.#bridge, ...args);
      ip("netns", "add", name);
      inside("link", "set", "lo", "up");
      inside("link", "add", "eth0", "type", "veth", "peer", "name", port, "netns", this.#bridge);
      inside("link", "set", "eth0", "address", hardwareOf(index));
      inside("addr", "add", `${addressOf(index)}/24`, "dev", "eth0");
      inside("link", "set", "eth0", "up");
      outside("link", "set", port, "master", "bridge");
      outside("link", "set", port, "up");
    }
    for (const from of this.#names.keys())
      for (const to of this.#names.keys())
        if (from !== to) this.#neighbour(from, to, hardwareOf(to));
  }

  #neighbour(from: number, to: number, hardware: string): void {
    const name = this.#names[from] as string;
    const fixed = ["dev", "eth0", "nud", "permanent"];
    ip("-n", name, "neigh", "replace", addressOf(to), "lladdr", hardware, ...fixed);
  }

  #remove(): void {
    for (const name of [...this.#names, this.#bridge]) remove(name);
  }
}

/** Of nobody: packets for it are thrown away by whom the bridge shows them. */
const lostAddress = "02:00:00:00:ff:ff";

function hardwareOf(index: number): string {
  return `02:00:00:00:00:${(index + 1).toString(16).padStart(2, "0")}`;
}

function addressOf(index: number): string {
  return `10.77.0.${index + 1}`;
}

function ip(...args: string[]): string {
  return execFileSync("ip", args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

function remove(name: string): void {
  try {
    ip("netns", "del", name);
  } catch {
    // It was not made, or is gone already.
  }
}

/** Deletes namespaces of processes that are no more. */
function removeStale(): void {
  for (const line of ip("netns", "list").split("\n")) {
    const [, name, pid] = new RegExp(`^(${prefix}-(\\d+)-[\\w-]+)`).exec(line) ?? [];
    if (name !== undefined && !existsSync(`/proc/${pid}`)) remove(name);
  }
}
