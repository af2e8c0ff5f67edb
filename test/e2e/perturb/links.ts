/**
 * The links between the nodes of a devnet, which a test can cut and heal while processes run.
 *
 * | kind | where | what it is |
 * |---|---|---|
 * | namespaces | Linux, as root | every node in a network namespace of its own: packets are lost without a word, as with a pulled cable |
 * | proxy | everywhere | nodes reach each other through a proxy that stops reading, or resets and refuses connections |
 */
import { readFileSync, writeFileSync } from "node:fs";
import { parse, stringify } from "yaml";
import type { DevnetOptions, TestNode } from "../../helpers/devnet.ts";
import { requires } from "../../helpers/requires.ts";
import { hasNamespaces, NamespaceLinks } from "./links-namespaces.ts";
import { ProxyLinks } from "./links-proxy.ts";

/** How nodes are joined. */
export type LinkKind = "namespaces" | "proxy";

/** How a cut shows: bytes vanish, or connections are reset and refused. */
export type CutManner = "silent" | "reset";

/** The links of one devnet, one each way between any two nodes. */
export interface Links {
  readonly kind: LinkKind;
  /** How the node processes are started. */
  readonly launch: NonNullable<DevnetOptions["launch"]>;
  /** Where node `from` finds node `to`, a multiaddr; `from === to`: where it is to listen. */
  address(from: number, to: number): string | undefined;
  /** Must be called when the files of the nodes exist and before they start. */
  open(nodes: readonly TestNode[]): Promise<void>;
  cut(from: number, to: number, manner: CutManner): Promise<void>;
  heal(from: number, to: number): Promise<void>;
  close(): Promise<void>;
}

/** Returns which kinds this machine allows. */
export function linkKinds(): readonly LinkKind[] {
  const tests = "links that lose packets, and a second instance of a validator";
  const mayCut = requires("namespaces", { isThere: hasNamespaces(), tests });
  return mayCut ? ["namespaces", "proxy"] : ["proxy"];
}

/**
 * Makes links.
 *
 * @param options.delayMs - Delay of all bytes, only through proxies: kernels of small machines
 *   have no module for it.
 */
export async function makeLinks(
  kind: LinkKind,
  options: { readonly nodeCount: number; readonly delayMs: number },
): Promise<Links> {
  if (kind === "namespaces") return NamespaceLinks.make(options.nodeCount);
  return ProxyLinks.make(options);
}

/** Puts the addresses of links into the configuration of nodes. */
export function configureLinks(links: Links, nodes: readonly TestNode[]): void {
  for (const [own, { files }] of nodes.entries()) {
    const config = parse(readFileSync(files.configFile, "utf8"));
    const others = nodes.map((_, index) => index).filter((index) => index !== own);
    config.p2p.listen = [links.address(own, own) ?? config.p2p.listen[0]];
    // The peers are those of the other nodes, in their order.
    for (const [place, peer] of config.p2p.peers.entries())
      peer.address = links.address(own, others[place] as number);
    writeFileSync(files.configFile, stringify(config));
  }
}
