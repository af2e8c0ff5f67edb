/**
 * Makes the evidence bundle of a bill from the ledger: the bill, all that it names, and for each
 * of these values the final transaction that wrote it. It proves nothing itself: whoever gets the
 * bundle verifies it (base/proof/evidence.ts).
 */
import { bytesToHex, hexToBytes } from "../base/bytes.ts";
import { LedgerError } from "../base/errors.ts";
import { decodeHeader, encodeHeader } from "../base/format/block.ts";
import {
  type EvidenceBundle,
  type EvidenceTransaction,
  encodeEvidence,
  evidenceTransactionOf,
} from "../base/format/evidence.ts";
import { decodeReceipt } from "../base/format/receipt.ts";
import type { Hash } from "../base/hash.ts";
import { valueHashOf } from "../base/hash.ts";
import type { Ledger } from "../ledger/ledger.ts";
import { allSetChanges, type CertifiedHeaders } from "./set-changes.ts";

/** Headers up to the tip go along when they are no more than this: about 5 MB as text. */
const headersMax = 10_000;

type Wanted = { readonly role: string; readonly key: string; readonly first?: true };
type Found = { readonly height: number; readonly value: string };

/** The state keys that a bill names, as contracts/billing/bill.ts lays them out. */
type BillKeys = {
  readonly meter: string;
  readonly tariff: { readonly id: string; readonly version: number; readonly key: string };
  readonly month: string;
  readonly n: number;
  readonly readings: { readonly start: { key: string }; readonly end: { key: string } };
  readonly breaks: readonly string[];
};

/**
 * Returns the bundle's text; `undefined` when there is no bill at the key.
 *
 * @param billKey - State key `billing/bill/<meter>/<month>/<n>`.
 * @throws {LedgerError} LEDGER_PRUNED when the bill rests on something that was written where this
 *   node has no blocks any more.
 */
export async function exportBillEvidence(
  ledger: Ledger,
  store: CertifiedHeaders,
  billKey: string,
): Promise<string | undefined> {
  if (!billKey.startsWith("billing/bill/")) return undefined;
  const value = ledger.state.get(billKey);
  if (value === undefined) return undefined;
  const collector = new Collector(ledger);
  for (const wanted of wantedOf(billKey, JSON.parse(value) as BillKeys))
    await collector.add(wanted);
  const bundle = await collector.bundle(billKey);
  const validatorChanges = await allSetChanges(ledger.state, store);
  if (validatorChanges.length === 0) return encodeEvidence(bundle);
  return encodeEvidence({ ...bundle, validatorChanges });
}

function wantedOf(billKey: string, bill: BillKeys): Wanted[] {
  return [
    { role: "bill", key: billKey },
    ...earlier(bill.n, `billing/bill/${bill.meter}/${bill.month}`, "earlierBill"),
    { role: "startReading", key: bill.readings.start.key },
    { role: "endReading", key: bill.readings.end.key },
    ...bill.breaks.map((key) => ({ role: "break", key })),
    { role: "tariff", key: bill.tariff.key },
    ...earlier(bill.tariff.version, `billing/tariff/${bill.tariff.id}`, "earlierTariff"),
    // The meter's record changes with every batch, but not in what a bill rests on: its kind.
    { role: "meter", key: `metering/meter/${bill.meter}`, first: true },
  ];
}

/** Numbers below `n`: the contract looks at them too when the bill is computed again. */
function earlier(n: number, prefix: string, role: string): Wanted[] {
  return Array.from({ length: n - 1 }, (_, index) => ({ role, key: `${prefix}/${index + 1}` }));
}

class Collector {
  readonly #ledger: Ledger;
  readonly #entries: EvidenceBundle["entries"] = [];
  readonly #transactions: EvidenceTransaction[] = [];
  readonly #indexes = new Map<Hash, number>();

  constructor(ledger: Ledger) {
    this.#ledger = ledger;
  }

  async add({ role, key, first }: Wanted): Promise<void> {
    const found = first ? await this.#firstValue(key) : await this.#lastValue(key);
    if (found === undefined) return;
    const transaction = await this.#writer(key, found);
    if (transaction !== undefined)
      this.#entries.push({ role, key, value: found.value, transaction });
  }

  async bundle(billKey: string): Promise<EvidenceBundle> {
    const contracts = Object.fromEntries(
      ["billing", "metering"].map((name) => {
        const entry = this.#ledger.state.get(`system/contract/${name}`) ?? "{}";
        return [name, (JSON.parse(entry) as { bundleHash: Hash }).bundleHash];
      }),
    );
    const bundle: EvidenceBundle = {
      format: "loopledger-evidence-v0",
      chainId: this.#ledger.chainId,
      subject: { kind: "bill", key: billKey },
      contracts,
      entries: this.#entries,
      transactions: this.#transactions,
    };
    const headers = await this.#headersToTip();
    return headers === undefined ? bundle : { ...bundle, headers };
  }

  /** The first value that this node can prove; it must be older than the bill, which comes first. */
  async #firstValue(key: string): Promise<Found | undefined> {
    const from = this.#oldestHeight;
    const [entry] = await this.#ledger.history(key, { from, limit: 1 });
    const isOld = entry !== undefined && (from === 0 || entry.height < this.#billHeight);
    if (!isOld) return this.#absent(key);
    return entry.value === undefined ? undefined : { height: entry.height, value: entry.value };
  }

  async #lastValue(key: string): Promise<Found | undefined> {
    let found: Found | undefined;
    for (let from = this.#oldestHeight; ; from = (found?.height ?? from) + 1) {
      const page = await this.#ledger.history(key, { from, limit: 100 });
      const last = page.at(-1);
      if (last === undefined) return found ?? this.#absent(key);
      found = last.value === undefined ? undefined : { height: last.height, value: last.value };
      if (page.length < 100) return found;
    }
  }

  /** From here on there are blocks, whose receipts prove what they wrote. */
  get #oldestHeight(): number {
    const { baseHeight } = this.#ledger;
    return baseHeight === 0 ? 0 : baseHeight + 1;
  }

  get #billHeight(): number {
    const [first] = this.#transactions;
    return first === undefined ? 0 : decodeHeader(hexToBytes(first.header)).height;
  }

  /** What has a value, but was not written since the base, was written before it. */
  #absent(key: string): undefined {
    const { baseHeight, state } = this.#ledger;
    if (baseHeight > 0 && state.get(key) !== undefined)
      throw new LedgerError("LEDGER_PRUNED", { height: null, baseHeight });
    return undefined;
  }

  /** Finds the transaction of a block whose receipt shows the value, the last one that does. */
  async #writer(key: string, { height, value }: Found): Promise<number | undefined> {
    const valueHash = valueHashOf(value);
    const receipts = (await this.#ledger.readReceipts(height)).map(decodeReceipt);
    const receipt = receipts.findLast(({ changes }) =>
      changes.some((change) => change.key === key && change.valueHash === valueHash),
    );
    if (receipt === undefined) return undefined;
    return this.#indexOf(receipt.transactionId);
  }

  async #indexOf(id: Hash): Promise<number | undefined> {
    const known = this.#indexes.get(id);
    if (known !== undefined) return known;
    const proof = await this.#ledger.proveTransaction(id);
    if (proof === undefined) return undefined;
    this.#indexes.set(id, this.#transactions.length);
    return this.#transactions.push(evidenceTransactionOf(proof)) - 1;
  }

  async #headersToTip(): Promise<string[] | undefined> {
    const heights = this.#transactions.map(({ header }) => decodeHeader(hexToBytes(header)).height);
    const from = Math.min(...heights);
    const { height: tip } = this.#ledger.tip;
    if (tip - from >= headersMax) return undefined;
    const headers: string[] = [];
    for (let height = from; height <= tip; height += 1) {
      const stored = await this.#ledger.readBlock(height);
      if (stored === undefined) return undefined;
      headers.push(bytesToHex(encodeHeader(stored.block.header)));
    }
    return headers;
  }
}
