/**
 * Holds chains to each other, to their own hashes, and to what clients were told. Apart from the
 * code under test: formats come from reference.ts, chains from chain-copy.ts.
 *
 * Of the chains: (1) every height has one block, linked to the one before, whose header has the
 * hash it is told with; (2) commits of a quorum certify it; (3) all chains are equal as far as both
 * go; (4) no transaction and no pair of sender and nonce is in a chain twice; (5) no block is dated
 * at or after the expiry of what it holds; (6) what receipts list leads to the state roots.
 *
 * Of the history: (7) all that was told final, proven or not, is at the told place in the told
 * block with the told outcome, and no proof of it was false; (8) every tip a node told is in the
 * chain, and a node's tip never fell but by a wipe; (9) the chain holds nothing that nobody signed;
 * (10) what was called dropped for good is not in it; (11) all that a node accepted is final, or
 * expired before the last block, or lost to a rival with its nonce, or was only in memories that
 * ended with their processes.
 */
import type { BlockCopy, ChangeCopy } from "./chain-copy.ts";
import type { TimedEntry } from "./history.ts";
import { headerOf, sha256, signerCount, stateRootOf, windowTextOf } from "./reference.ts";

/** What an audit knows of the ledger before it looks. */
export type Founding = {
  readonly chainId: string;
  /** Public keys, hexadecimal, ascending. */
  readonly validators: readonly string[];
  readonly quorum: number;
  /** Texts of the genesis state by key. */
  readonly state: readonly (readonly [key: string, text: string])[];
};

/** All that an audit looks at; chains by node, from height 0 on. */
export type AuditInput = {
  readonly founding: Founding;
  readonly chains: readonly (readonly BlockCopy[])[];
  /** What the transactions of the first chain changed, by id. */
  readonly changes: ReadonlyMap<string, readonly ChangeCopy[]>;
  readonly history: readonly TimedEntry[];
};

const problemsMax = 20;
/** Between two heights whose state root is computed anew; the last one always is. */
const rootEvery = 25;

/** Returns all that is wrong, in words; the first ones if there are many. */
export function audit({ founding, chains, changes, history }: AuditInput): string[] {
  const problems: string[] = [];
  const note = (problem: string) => {
    if (problems.length < problemsMax) problems.push(problem);
  };
  const [chain = []] = chains;
  for (const [node, each] of chains.entries()) {
    checkEqual(chain, each, (problem) => note(`chain of node ${node}: ${problem}`));
    checkChain(each, founding, (problem) => note(`chain of node ${node}: ${problem}`));
  }
  checkExecutedOnce(chain, note);
  checkState(chain, { founding, changes, note });
  checkHistory(chain, history, note);
  return problems;
}

type Note = (problem: string) => void;

function checkEqual(one: readonly BlockCopy[], other: readonly BlockCopy[], note: Note): void {
  for (let height = 0; height < Math.min(one.length, other.length); height += 1) {
    const isSame = JSON.stringify(bodyOf(one[height])) === JSON.stringify(bodyOf(other[height]));
    if (!isSame) note(`block ${height} is not that of node 0`);
  }
}

/** A block without what may differ from node to node: which commits of a quorum certify it. */
function bodyOf(block: BlockCopy | undefined) {
  return { headerBytes: block?.headerBytes, transactions: block?.transactions };
}

function checkChain(chain: readonly BlockCopy[], founding: Founding, note: Note): void {
  for (const [height, block] of chain.entries()) {
    const header = headerOf(block.headerBytes);
    const { hash, parentHash, timestampMs, stateRoot } = block;
    const told = { height: block.height, hash, parentHash, timestampMs, stateRoot };
    if (JSON.stringify(told) !== JSON.stringify(header)) note(`block ${height} is not its header`);
    if (block.height !== height) note(`at height ${height} stands block ${block.height}`);
    if (height === 0) {
      if (block.hash !== founding.chainId) note("the first block is another genesis");
      continue;
    }
    if (block.parentHash !== chain[height - 1]?.hash) note(`block ${height} has another parent`);
    const target = { chainId: founding.chainId, height, hash: block.hash };
    const signers = signerCount(block.certificateBytes ?? "", target, founding.validators);
    if (signers < founding.quorum) note(`block ${height} is certified by ${signers} validators`);
  }
}

function checkExecutedOnce(chain: readonly BlockCopy[], note: Note): void {
  const seen = new Map<string, number>();
  for (const { height, transactions } of chain)
    for (const { id, sender, nonce } of transactions)
      for (const name of [`transaction ${id}`, `nonce ${nonce} of ${sender}`]) {
        const before = seen.get(name);
        if (before !== undefined) note(`${name} is in blocks ${before} and ${height}`);
        seen.set(name, height);
      }
}

function checkState(
  chain: readonly BlockCopy[],
  { founding, changes, note }: Pick<AuditInput, "founding" | "changes"> & { note: Note },
): void {
  const hashes = new Map(founding.state.map(([key, text]) => [key, sha256(text)]));
  const used = new Map<string, number[]>();
  for (const { height, transactions, stateRoot } of chain) {
    for (const { id, sender, nonce } of transactions) {
      for (const { key, valueHash } of changes.get(id) ?? [])
        if (valueHash === null) hashes.delete(key);
        else hashes.set(key, valueHash);
      used.set(sender, [...(used.get(sender) ?? []), nonce]);
    }
    for (const { sender } of transactions)
      hashes.set(`system/window/${sender}`, sha256(windowTextOf(used.get(sender) as number[])));
    const isLooked = height % rootEvery === 0 || height === chain.length - 1;
    if (!isLooked || stateRootOf(hashes) === stateRoot) continue;
    note(`block ${height} has another state root than its transactions lead to`);
    return;
  }
}

type Place = { readonly block: BlockCopy; readonly index: number; readonly outcome: string };

function checkHistory(
  chain: readonly BlockCopy[],
  history: readonly TimedEntry[],
  note: Note,
): void {
  const places = new Map<string, Place>();
  for (const block of chain)
    for (const [index, { id, outcome }] of block.transactions.entries())
      places.set(id, { block, index, outcome });
  checkTold(history, places, note);
  checkTips(chain, history, note);
  checkFates(chain, { history, places, note });
}

/** A reason to drop that holds for one node at a time: another one may have room. */
const passingDrop = "MEMPOOL_FULL";

/** (7), (10) */
function checkTold(
  history: readonly TimedEntry[],
  places: ReadonlyMap<string, Place>,
  note: Note,
): void {
  for (const entry of history) {
    if (entry.kind === "final") {
      const place = places.get(entry.id);
      const { height, index, outcome, blockHash = place?.block.hash } = entry;
      const told = [height, index, blockHash, outcome].join(" ");
      const found =
        place && [place.block.height, place.index, place.block.hash, place.outcome].join(" ");
      if (found !== told)
        note(`told final by node ${entry.node}: ${entry.id} at ${told}, found: ${found}`);
      if (entry.outcome !== "ok") note(`${entry.id} failed: ${entry.outcome}`);
    }
    if (entry.kind === "unproven")
      note(`node ${entry.node} calls ${entry.id} final without proof: ${entry.text}`);
    const isForGood = entry.kind === "dropped" && entry.code !== passingDrop;
    if (isForGood && places.has(entry.id))
      note(`node ${entry.node} dropped ${entry.id} (${entry.code}), which is final`);
  }
}

/** (8) */
function checkTips(chain: readonly BlockCopy[], history: readonly TimedEntry[], note: Note): void {
  const heights = new Map<number, number>();
  for (const entry of history) {
    if (entry.kind === "wiped") heights.delete(entry.node);
    if (entry.kind !== "tip") continue;
    const { node, height, hash, stateRoot } = entry;
    const block = chain[height];
    if (block?.hash !== hash || block.stateRoot !== stateRoot)
      note(`node ${node} told tip ${height} ${hash}, found: ${block?.hash}`);
    const before = heights.get(node) ?? 0;
    if (height < before) note(`node ${node} fell from height ${before} to ${height}`);
    heights.set(node, height);
  }
}

type Fate = {
  readonly nonceOf: string;
  readonly expiresAtMs: number;
  /** Nodes that hold it in memory, as far as they said so and did not end since. */
  readonly holders: Set<number>;
};

/** (5), (9), (11) */
function checkFates(
  chain: readonly BlockCopy[],
  found: {
    readonly history: readonly TimedEntry[];
    readonly places: ReadonlyMap<string, Place>;
    readonly note: Note;
  },
): void {
  const { history, places, note } = found;
  const fates = fatesOf(history);
  const lastMs = chain.at(-1)?.timestampMs ?? 0;
  const usedNonces = new Set<string>();
  for (const { height, timestampMs, transactions } of chain)
    for (const { id } of transactions) {
      const fate = fates.get(id);
      if (fate === undefined) note(`block ${height} holds ${id}, which nobody signed`);
      else if (fate.expiresAtMs <= timestampMs) note(`block ${height} holds ${id}, which expired`);
      if (fate !== undefined) usedNonces.add(fate.nonceOf);
    }
  for (const [id, { nonceOf, expiresAtMs, holders }] of fates) {
    const isOver = places.has(id) || usedNonces.has(nonceOf) || expiresAtMs <= lastMs;
    if (!isOver && holders.size > 0)
      note(
        `${id} was accepted by node ${[...holders].join(", ")} and is neither final nor expired`,
      );
  }
}

function fatesOf(history: readonly TimedEntry[]): Map<string, Fate> {
  const fates = new Map<string, Fate>();
  for (const entry of history) {
    if (entry.kind === "signed") {
      const { id, sender, nonce, expiresAtMs } = entry;
      fates.set(id, { nonceOf: `${sender} ${nonce}`, expiresAtMs, holders: new Set() });
    }
    if (entry.kind === "accepted") fates.get(entry.id)?.holders.add(entry.node);
    if (entry.kind === "ended")
      for (const { holders } of fates.values()) holders.delete(entry.node);
  }
  return fates;
}
