/**
 * Links through TCP proxies in the test process, one for each pair of a dialling and a listening
 * node, so that it knows whose bytes it carries in either direction. Works on every system.
 *
 * A silent cut stops the bytes of one direction, and connections that are made meanwhile wait: what
 * is held goes on after healing, as TCP would do it. A reset closes what stands and refuses what
 * comes. Only bytes between nodes go through it, not those of clients.
 */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type Server, Socket } from "node:net";
import { parse } from "yaml";
import type { TestNode } from "../../helpers/devnet.ts";
import type { CutManner, Links } from "./links.ts";

/** A connection that a node dialled, and that from here to the node it is for. */
type Joined = {
  readonly dialler: number;
  readonly listener: number;
  readonly near: Socket;
  /** Absent while the way there is cut. */
  flows?: { readonly out: Flow; readonly back: Flow };
};

/** See the head of links.ts. */
export class ProxyLinks implements Links {
  readonly kind = "proxy";
  readonly launch = () => ({});
  readonly #delayMs: number;
  /** Listening sockets of proxies, by dialling and listening node. */
  readonly #servers = new Map<string, Server>();
  readonly #cuts = new Map<string, CutManner>();
  readonly #joined = new Set<Joined>();
  /** Where the nodes themselves listen. */
  #ports: readonly number[] = [];

  private constructor(delayMs: number) {
    this.#delayMs = delayMs;
  }

  /** Opens all proxies. */
  static async make(options: { nodeCount: number; delayMs: number }): Promise<ProxyLinks> {
    const { nodeCount, delayMs } = options;
    const links = new ProxyLinks(delayMs);
    for (let from = 0; from < nodeCount; from += 1)
      for (let to = 0; to < nodeCount; to += 1) if (from !== to) await links.#listen(from, to);
    return links;
  }

  address(from: number, to: number): string | undefined {
    const address = this.#servers.get(key(from, to))?.address();
    return address instanceof Object ? `/ip4/127.0.0.1/tcp/${address.port}` : undefined;
  }

  async open(nodes: readonly TestNode[]): Promise<void> {
    this.#ports = nodes.map(({ files }) => {
      const [listen] = parse(readFileSync(files.configFile, "utf8")).p2p.listen;
      return Number(String(listen).split("/").at(-1));
    });
  }

  async cut(from: number, to: number, manner: CutManner): Promise<void> {
    this.#cuts.set(key(from, to), manner);
    for (const joined of this.#between(from, to))
      if (manner === "reset") joined.near.resetAndDestroy();
      else flowOf(joined, from)?.set({ isCut: true });
  }

  async heal(from: number, to: number): Promise<void> {
    this.#cuts.delete(key(from, to));
    for (const joined of this.#between(from, to)) {
      flowOf(joined, from)?.set({ isCut: false });
      this.#reach(joined);
    }
  }

  async close(): Promise<void> {
    for (const { near } of this.#joined) near.destroy();
    for (const server of this.#servers.values()) server.close();
  }

  #between(one: number, other: number): Joined[] {
    return [...this.#joined].filter(
      ({ dialler, listener }) =>
        (dialler === one && listener === other) || (dialler === other && listener === one),
    );
  }

  async #listen(dialler: number, listener: number): Promise<void> {
    const server = createServer((near) => {
      near.on("error", () => {});
      const ways = [key(dialler, listener), key(listener, dialler)];
      if (ways.some((way) => this.#cuts.get(way) === "reset")) return near.resetAndDestroy();
      const joined = { dialler, listener, near: near.pause() };
      this.#joined.add(joined);
      near.once("close", () => this.#joined.delete(joined));
      return this.#reach(joined);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    this.#servers.set(key(dialler, listener), server);
  }

  /** Joins a taken connection with its node, unless that is done or a way is cut. */
  #reach(joined: Joined): void {
    const { dialler, listener, near } = joined;
    const isCut = this.#cuts.has(key(dialler, listener)) || this.#cuts.has(key(listener, dialler));
    if (isCut || joined.flows !== undefined) return;
    const far = new Socket().connect(this.#ports[listener] as number, "127.0.0.1");
    far.on("error", () => near.resetAndDestroy());
    near.once("close", () => far.destroy());
    far.once("close", () => near.destroy());
    const delayMs = this.#delayMs;
    joined.flows = { out: new Flow(near, far, delayMs), back: new Flow(far, near, delayMs) };
  }
}

/** Bytes of one direction: read only while nothing holds them back. */
class Flow {
  readonly #from: Socket;
  #isCut = false;
  #isFull = false;

  constructor(from: Socket, to: Socket, delayMs: number) {
    this.#from = from;
    const send = (bytes: Buffer) => {
      if (to.destroyed || to.write(bytes)) return;
      this.set({ isFull: true });
      to.once("drain", () => this.set({ isFull: false }));
    };
    from.on("data", (bytes: Buffer) => {
      if (delayMs === 0) send(bytes);
      else setTimeout(send, delayMs, bytes);
    });
    from.resume();
  }

  set({ isCut = this.#isCut, isFull = this.#isFull }): void {
    this.#isCut = isCut;
    this.#isFull = isFull;
    if (isCut || isFull) this.#from.pause();
    else this.#from.resume();
  }
}

/** The flow whose bytes come from a node. */
function flowOf({ dialler, flows }: Joined, from: number): Flow | undefined {
  return from === dialler ? flows?.out : flows?.back;
}

function key(from: number, to: number): string {
  return `${from}>${to}`;
}
