/**
 * Verification of evidence bundles, offline and in a browser: what is proven, by whom, and what no
 * such proof can show. docs/EVIDENCE.md says the same in words for whoever writes a verifier.
 *
 * A verdict is a list of named checks; it is made whatever the text is, and nothing is thrown.
 * Trusted are only the genesis and, if given, the checkpoint. The validators of a height are those
 * of the genesis, or of the last change before it that the bundle proves.
 */
import { hexToBytes, utf8 } from "../bytes.ts";
import { decodeHeader, type Header, headerHash } from "../format/block.ts";
import { didOf } from "../format/did.ts";
import {
  decodeEvidence,
  type EvidenceBundle,
  type EvidenceEntry,
  type EvidenceTransaction,
} from "../format/evidence.ts";
import { type Genesis, type GenesisBlock, genesisBlock } from "../format/genesis.ts";
import { canonicalJson, type JsonValue } from "../format/json.ts";
import { decodeCertificate } from "../format/message.ts";
import { decodeReceipt } from "../format/receipt.ts";
import { decodeTransaction, type Transaction, verifyTransaction } from "../format/transaction.ts";
import { type Hash, hashOf, valueHashOf } from "../hash.ts";
import type { Verifier } from "../keys.ts";
import { checkBill } from "./bill-evidence.ts";
import { verifyCertificate } from "./certificate.ts";
import {
  Checklist,
  type EvidenceCheck,
  type ProvenEntry,
  type ProvenTransaction,
} from "./evidence-check.ts";
import { verifyMerklePath } from "./merkle.ts";
import { ValidatorSets } from "./validator-sets.ts";

/** A block that the verifier trusts for a reason of its own. */
export type Checkpoint = { readonly height: number; readonly hash: Hash };

/** What evidence is checked against. */
export type EvidenceContext = {
  readonly genesis: Genesis;
  readonly verifier: Verifier;
  readonly checkpoint?: Checkpoint | undefined;
};

/**
 * How far the evidence reaches:
 * - `invalid`: a check of the evidence itself failed; it proves nothing;
 * - `certified`: quorums of the validators of the genesis, and of the sets that follow from it,
 *   signed all that it shows;
 * - `anchored`: and all of it lies before the checkpoint, in the chain that leads to it.
 */
type EvidenceLevel = "invalid" | "certified" | "anchored";

/** What came out. */
export type EvidenceVerdict = {
  /** True when all checks hold, the checkpoint's too if one was given. */
  readonly ok: boolean;
  readonly level: EvidenceLevel;
  readonly checks: readonly EvidenceCheck[];
  /** What this evidence cannot show, as sentences. */
  readonly limits: readonly string[];
  /** What is proven; absent when the text has no form. */
  readonly subject?: EvidenceBundle["subject"] | undefined;
  /** The proven value of the subject; absent unless the level is at least `certified`. */
  readonly value?: JsonValue | undefined;
};

/** Checks a bundle. Takes about 10 ms a transaction with the portable verifier. */
export function verifyEvidence(bundleText: string, context: EvidenceContext): EvidenceVerdict {
  const list = new Checklist();
  const { genesis, checkpoint } = context;
  let bundle: EvidenceBundle | undefined;
  list.check("form", "the file has the documented form", () => {
    bundle = decodeEvidence(bundleText);
    return undefined;
  });
  if (bundle === undefined) return verdictOf(list, { isAnchored: false, checkpoint });
  const { subject } = bundle;
  const block = genesisBlock(genesis);
  checkChain(list, bundle, { genesis, block });
  const sets = checkSets(list, bundle, { block, verifier: context.verifier });
  const proven = bundle.transactions.map((transaction, index) =>
    checkTransaction(list, transaction, { ...context, block, sets, name: `transactions.${index}` }),
  );
  const entries = bundle.entries.map((entry, index) =>
    checkEntry(list, entry, { proven, name: `entries.${index}` }),
  );
  const whole = entries.filter((entry) => entry !== undefined);
  // What a bill says is looked at only if all of it is proven.
  if (list.ok && subject.kind === "bill") checkBill(list, subject.key, whole);
  const value = list.ok ? whole.find(({ key }) => key === subject.key)?.value : undefined;
  const isCertified = list.ok;
  const isAnchored = isCertified && isAnchoredAt(list, { bundle, proven, checkpoint });
  return verdictOf(list, { isCertified, isAnchored, checkpoint, subject, value });
}

function verdictOf(
  list: Checklist,
  outcome: {
    readonly isCertified?: boolean;
    readonly isAnchored: boolean;
    readonly checkpoint: Checkpoint | undefined;
    readonly subject?: EvidenceBundle["subject"];
    readonly value?: JsonValue | undefined;
  },
): EvidenceVerdict {
  const { isCertified = false, isAnchored, subject, value } = outcome;
  // Another block at the checkpoint's height contradicts the evidence, whoever signed it.
  const contradicts = list.checks.some(({ name, ok }) => name === "checkpoint.hash" && !ok);
  const level = !isCertified || contradicts ? "invalid" : isAnchored ? "anchored" : "certified";
  const shown = level === "invalid" ? undefined : value;
  const limits = limitsOf(subject?.kind, isAnchored);
  return { ok: list.ok, level, checks: list.checks, limits, subject, value: shown };
}

function limitsOf(kind: EvidenceBundle["subject"]["kind"] | undefined, isAnchored: boolean) {
  const limits = [
    "It does not show what was written later: a correction of the bill, or another value.",
    "It does not show that the meter measured rightly, nor that the gateway reported what it saw.",
    "The contracts, accounts and devices are those of the genesis; this version cannot change them.",
  ];
  if (kind === "bill")
    limits.push(
      "The price lines are what the contract computed and the quorum confirmed; they are not " +
        "computed again here.",
    );
  if (!isAnchored)
    limits.push(
      "Whoever holds the keys of a quorum of the genesis or of a later set, even years later, could " +
        "have signed another history; only a checkpoint from a source you trust excludes that.",
    );
  return limits;
}

function checkChain(
  list: Checklist,
  bundle: EvidenceBundle,
  { genesis, block }: { readonly genesis: Genesis; readonly block: GenesisBlock },
): void {
  list.check("chain", `the genesis has chain id ${block.chainId}`, () =>
    bundle.chainId === block.chainId
      ? undefined
      : `the evidence is for chain ${bundle.chainId}, the genesis has ${block.chainId}`,
  );
  const hashes = new Map(
    genesis.contracts.map(({ name, source }) => [name, hashOf(utf8(source))] as const),
  );
  list.check("contracts", "the contracts are those of the genesis", () => {
    const named = Object.entries(bundle.contracts);
    const wrong = named.find(([name, hash]) => hashes.get(name) !== hash);
    if (wrong !== undefined) return `contract ${wrong[0]} of the genesis has another bundle hash`;
    const owners = bundle.entries.map(({ key }) => ownerOf(key));
    const unnamed = owners.find((name) => !Object.hasOwn(bundle.contracts, name));
    return unnamed === undefined ? undefined : `contract ${unnamed} is not named`;
  });
  list.check("subject", `the subject ${bundle.subject.key} is among the entries`, () => {
    const keys = bundle.entries.map(({ key }) => key);
    if (new Set(keys).size !== keys.length) return "a key occurs in two entries";
    return keys.includes(bundle.subject.key) ? undefined : "no entry has the subject's key";
  });
}

/** Follows the validators from the genesis on, as far as the bundle proves. */
function checkSets(
  list: Checklist,
  { validatorChanges = [] }: EvidenceBundle,
  { block, verifier }: { readonly block: GenesisBlock; readonly verifier: Verifier },
): ValidatorSets {
  const sets = new ValidatorSets(block, verifier);
  const count = validatorChanges.length;
  list.check("validators", `${count} changes of the validators are certified`, () =>
    sets.follow(validatorChanges) === count ? undefined : "a change is named twice",
  );
  return sets;
}

function checkTransaction(
  list: Checklist,
  evidence: EvidenceTransaction,
  context: EvidenceContext & {
    readonly block: GenesisBlock;
    readonly sets: ValidatorSets;
    readonly name: string;
  },
): ProvenTransaction | undefined {
  const { name, block, sets, verifier, genesis } = context;
  let proven: ProvenTransaction | undefined;
  list.check(`${name}.form`, "transaction, receipt and header are canonical", () => {
    const transaction = decodeTransaction(hexToBytes(evidence.transaction));
    const receipt = decodeReceipt(hexToBytes(evidence.receipt));
    const header = decodeHeader(hexToBytes(evidence.header));
    proven = { transaction, receipt, header, index: evidence.index };
    return undefined;
  });
  if (proven === undefined) return undefined;
  const { transaction, receipt, header } = proven;
  const { chainId } = block;
  const sender = didOf(transaction.sender);
  list.check(`${name}.signature`, `signed by ${sender} for this chain`, () => {
    if (transaction.chainId !== chainId) return "it was signed for another chain";
    return verifyTransaction(transaction, verifier) ? undefined : "the signature does not hold";
  });
  list.check(`${name}.sender`, `${sender} may call ${transaction.contract}`, () =>
    senderProblem(transaction, genesis),
  );
  list.check(`${name}.path`, `in block ${header.height} at ${evidence.index}`, () =>
    pathProblem(evidence, header),
  );
  list.check(`${name}.receipt`, `outcome ok, ${receipt.changes.length} keys written`, () => {
    if (receipt.transactionId !== transaction.id) return "the receipt is of another transaction";
    return receipt.outcome === "ok" ? undefined : `the transaction failed: ${receipt.outcome}`;
  });
  list.check(`${name}.certificate`, `a quorum decided block ${header.height}`, () => {
    const certificate = decodeCertificate(hexToBytes(evidence.certificate));
    const validators = sets.at(header.height);
    verifyCertificate(certificate, header, { chainId, validators, verifier });
    return undefined;
  });
  return proven;
}

/** Accounts, devices, roles and contracts cannot change in this version: the genesis tells. */
function senderProblem(transaction: Transaction, genesis: Genesis): string | undefined {
  const did = didOf(transaction.sender);
  const sender = [...genesis.accounts, ...genesis.devices].find((one) => one.did === did);
  if (sender === undefined) return `${did} is not enrolled`;
  const contract = genesis.contracts.find(({ name }) => name === transaction.contract);
  const methods = contract?.methods ?? {};
  const method = Object.hasOwn(methods, transaction.method)
    ? methods[transaction.method]
    : undefined;
  if (method === undefined) return `no method ${transaction.contract}.${transaction.method}`;
  const isAllowed = method.roles.some((role) => sender.roles.includes(role));
  return isAllowed ? undefined : `${did} has no role for ${transaction.method}`;
}

function pathProblem(evidence: EvidenceTransaction, header: Header): string | undefined {
  const { index, size } = evidence;
  const isTransactionIn = verifyMerklePath({
    leaf: hexToBytes(evidence.transaction),
    index,
    size,
    path: evidence.transactionPath,
    root: header.transactionsRoot,
  });
  if (!isTransactionIn) return "the path does not lead from the transaction to the header";
  const isReceiptIn = verifyMerklePath({
    leaf: hexToBytes(evidence.receipt),
    index,
    size,
    path: evidence.receiptPath,
    root: header.receiptsRoot,
  });
  return isReceiptIn ? undefined : "the path does not lead from the receipt to the header";
}

function checkEntry(
  list: Checklist,
  entry: EvidenceEntry,
  context: {
    readonly proven: readonly (ProvenTransaction | undefined)[];
    readonly name: string;
  },
): ProvenEntry | undefined {
  const by = context.proven[entry.transaction];
  const isProven = list.check(context.name, `${entry.role}: ${entry.key} was written`, () => {
    if (by === undefined) return `there is no good transaction ${entry.transaction}`;
    if (by.transaction.contract !== ownerOf(entry.key)) return "the key is another contract's";
    if (canonicalJson(entry.value) !== entry.value) return "the value is not in RFC 8785 form";
    const change = by.receipt.changes.find(({ key }) => key === entry.key);
    if (change === undefined) return `transaction ${entry.transaction} did not write ${entry.key}`;
    if (change.valueHash === valueHashOf(entry.value)) return undefined;
    return `transaction ${entry.transaction} wrote another value to ${entry.key}`;
  });
  if (!isProven || by === undefined) return undefined;
  const { role, key } = entry;
  return { role, key, value: JSON.parse(entry.value) as JsonValue, by };
}

function ownerOf(key: string): string {
  return key.slice(0, Math.max(0, key.indexOf("/")));
}

/** Tells whether all proven blocks are ancestors of the checkpoint, or the checkpoint itself. */
function isAnchoredAt(
  list: Checklist,
  context: {
    readonly bundle: EvidenceBundle;
    readonly proven: readonly (ProvenTransaction | undefined)[];
    readonly checkpoint: Checkpoint | undefined;
  },
): boolean {
  const { bundle, checkpoint } = context;
  if (checkpoint === undefined) return false;
  // Every block by itself: two of one height, of which one is linked, must not vouch for each other.
  const own = context.proven
    .filter((one) => one !== undefined)
    .map(({ header }) => ({ height: header.height, hash: headerHash(header) }));
  const { height, hash } = checkpoint;
  list.check("checkpoint.hash", "no block of the evidence contradicts the checkpoint", () => {
    const other = own.find((block) => block.height === height && block.hash !== hash);
    if (other === undefined) return undefined;
    return `block ${height} of the evidence is ${other.hash}, the checkpoint says ${hash}`;
  });
  return list.check("checkpoint.link", `every block leads to block ${height}`, () => {
    const linked = linkedBlocks(bundle.headers ?? [], checkpoint);
    const loose = own.find((block) => linked.get(block.height) !== block.hash);
    return loose && `block ${loose.height} is not linked to block ${height}`;
  });
}

/** Hashes by height of the headers that lead to the checkpoint without a gap. */
function linkedBlocks(headers: readonly string[], checkpoint: Checkpoint): Map<number, Hash> {
  let { height, hash } = checkpoint;
  const linked = new Map([[height, hash]]);
  for (const text of headers.toReversed()) {
    const header = decodeHeader(hexToBytes(text));
    // Headers after the checkpoint say nothing about it.
    if (header.height > height) continue;
    if (header.height !== height || headerHash(header) !== hash) break;
    height -= 1;
    hash = header.parentHash;
    linked.set(height, hash);
  }
  return linked;
}
