/**
 * A small certified chain with a meter, its readings, a tariff and a bill, made without a node:
 * enough to make evidence and to spoil it in one place at a time.
 */
import { bytesToHex, utf8 } from "../../src/base/bytes.ts";
import {
  type Block,
  blockOf,
  encodeHeader,
  type Header,
  validatorsHash,
} from "../../src/base/format/block.ts";
import { didOf } from "../../src/base/format/did.ts";
import {
  type EvidenceBundle,
  type EvidenceEntry,
  evidenceTransactionOf,
} from "../../src/base/format/evidence.ts";
import { defaultParameters, type Genesis, genesisBlock } from "../../src/base/format/genesis.ts";
import { encodeJson, type JsonValue } from "../../src/base/format/json.ts";
import {
  type Certificate,
  claimMessage,
  encodeCertificate,
} from "../../src/base/format/message.ts";
import { encodeReceipt } from "../../src/base/format/receipt.ts";
import type { SetChange } from "../../src/base/format/set-change.ts";
import { signTransaction, type Transaction } from "../../src/base/format/transaction.ts";
import { hashOf, valueHashOf, zeroHash } from "../../src/base/hash.ts";
import type { Signer } from "../../src/base/keys.ts";
import { quorumSize } from "../../src/base/proof/certificate.ts";
import { merklePath, merkleRoot } from "../../src/base/proof/merkle.ts";
import { nativeSigner } from "../../src/node/native-crypto.ts";

/** Makes a key from a number. */
export function signerOf(number: number): Signer {
  return nativeSigner(new Uint8Array(32).fill(number));
}

const operator = signerOf(100);
const gateway = signerOf(101);
const validators = [1, 2, 3, 4].map(signerOf).sort((a, b) => (a.publicKey < b.publicKey ? -1 : 1));

/** The genesis of the chain. */
export const genesis: Genesis = {
  format: "loopledger-genesis-v0",
  name: "evidence",
  timestampMs: 1_500_000_000_000,
  engineHash: zeroHash,
  parameters: defaultParameters,
  roles: { operator: "runs meters and bills", gateway: "reports" },
  members: validators.map((validator, index) => ({
    id: `member${index}`,
    name: `Member ${index}`,
    validatorKey: didOf(validator.publicKey),
    peerKey: didOf(signerOf(50 + index).publicKey),
  })),
  accounts: [
    { did: didOf(operator.publicKey), member: "member0", name: "Operator", roles: ["operator"] },
  ],
  devices: [
    { did: didOf(gateway.publicKey), member: "member0", name: "Gateway", roles: ["gateway"] },
  ],
  contracts: [
    {
      name: "metering",
      source: "// metering",
      imageHash: zeroHash,
      methods: { registerMeter: { roles: ["operator"] }, report: { roles: ["gateway"] } },
      views: [],
    },
    {
      name: "billing",
      source: "// billing",
      imageHash: zeroHash,
      methods: { publishTariff: { roles: ["operator"] }, makeBill: { roles: ["operator"] } },
      views: [],
    },
  ],
};

const { chainId, header: genesisHeader } = genesisBlock(genesis);

/** One call and what it wrote. */
export type Call = {
  readonly signer: Signer;
  readonly contract: string;
  readonly method: string;
  readonly args: JsonValue;
  readonly writes: Readonly<Record<string, JsonValue>>;
  readonly outcome?: string;
};

/** A block with what is known of it after it was decided. */
export type ChainBlock = {
  readonly block: Block;
  readonly certificate: Certificate;
  readonly transactions: readonly Transaction[];
  readonly receipts: readonly Uint8Array[];
};

/** Makes one block of calls after `parent`. */
export function makeBlock(calls: readonly Call[], parent: Header = genesisHeader): ChainBlock {
  const height = parent.height + 1;
  const transactions = calls.map(({ signer, contract, method, args }, index) =>
    signTransaction(
      {
        chainId,
        nonce: height * 100 + index,
        expiresAtMs: genesis.timestampMs + 1e9,
        contract,
        method,
        argsJson: encodeJson(args),
        gasLimit: 1_000,
      },
      signer,
    ),
  );
  const receipts = calls.map(({ writes, outcome = "ok" }, index) =>
    encodeReceipt({
      transactionId: (transactions[index] as Transaction).id,
      outcome,
      gasUsed: 10,
      events: [],
      changes: Object.entries(writes).map(([key, value]) => ({
        key,
        valueHash: valueHashOf(encodeJson(value)),
      })),
    }),
  );
  const header: Header = {
    ...parent,
    chainId,
    height,
    parentHash: blockOf(parent, []).hash,
    timestampMs: parent.timestampMs + 1_000,
    proposer: (validators[0] as Signer).publicKey,
    transactionsRoot: merkleRoot(transactions.map(({ bytes }) => bytes)),
    receiptsRoot: merkleRoot(receipts),
    gasUsed: 10 * calls.length,
  };
  const block = blockOf(
    header,
    transactions.map(({ bytes }) => bytes),
  );
  return { block, certificate: certify(block, quorumSize(4)), transactions, receipts };
}

/** Validators that follow those of the genesis: two of them and three new ones. */
export const laterValidators: readonly Signer[] = [1, 2, 31, 32, 33]
  .map(signerOf)
  .sort((a, b) => (a.publicKey < b.publicKey ? -1 : 1));

/**
 * Makes the same chain with other validators after some height.
 *
 * @param signers - Who certifies the later blocks.
 */
export function withLaterValidators(
  chain: readonly ChainBlock[],
  changeHeight: number,
  signers: readonly Signer[] = laterValidators,
): { readonly chain: readonly ChainBlock[]; readonly changes: readonly SetChange[] } {
  const keys = laterValidators.map(({ publicKey }) => publicKey);
  const later = validatorsHash(keys);
  let parentHash = chainId;
  const made = chain.map((one): ChainBlock => {
    const { header, transactions } = one.block;
    const { height } = header;
    const isLater = height > changeHeight;
    const block = blockOf(
      {
        ...{ ...header, parentHash },
        validatorsHash: isLater ? later : header.validatorsHash,
        nextValidatorsHash: height >= changeHeight ? later : header.nextValidatorsHash,
      },
      transactions,
    );
    parentHash = block.hash;
    return { ...one, block, certificate: certify(block, 4, 0, isLater ? signers : validators) };
  });
  const changed = made.find(({ block }) => block.header.height === changeHeight) as ChainBlock;
  const change = {
    header: bytesToHex(encodeHeader(changed.block.header)),
    certificate: bytesToHex(encodeCertificate(changed.certificate)),
    validators: keys.map(didOf),
  };
  return { chain: made, changes: [change] };
}

/** Signs a block by the first `count` of some validators, by default those of the genesis. */
export function certify(
  block: Block,
  count: number,
  round = 0,
  signers: readonly Signer[] = validators,
): Certificate {
  const { height } = block.header;
  const vote = { kind: "commit", height, round, blockHash: block.hash } as const;
  const message = claimMessage(vote, chainId);
  const signatures = signers
    .slice(0, count)
    .map((signer, validatorIndex) => ({ validatorIndex, signature: signer.sign(message) }));
  return { height, round, blockHash: block.hash, signatures };
}

const meter = "m1";
const start = "metering/reading/m1/2019-12-01T00:00:00.000Z";
const end = "metering/reading/m1/2020-01-01T00:00:00.000Z";
const jump = "metering/break/m1/2019-12-15T12:00:00.000Z";
const billKey = "billing/bill/m1/2019-12/1";
const tariffKey = "billing/tariff/heat/1";
const startValue = [1_000_000, 20_000, 1_400_000, 800_000];
const endValue = [5_000, 1_000, 70_000, 43_333];

/** The bill's value: 3,005 Wh and so on, across a replacement at [1,002,000 ...] -> [4,000 ...]. */
export const billValue = {
  key: billKey,
  id: "m1/2019-12/1",
  meter,
  month: "2019-12",
  n: 1,
  currency: "EUR",
  madeAtMs: genesis.timestampMs + 3_000,
  corrects: null,
  reason: null,
  energyWh: 3_000,
  volumeL: 1_500,
  flowTempMilliC: 70_000,
  returnTempMilliC: 42_222,
  lines: { fixed: 2_500, energy: 26, volume: 53, returnTemp: -1 },
  totalCents: 2_578,
  tariff: { id: "heat", version: 1, key: tariffKey },
  readings: { start: { key: start, value: startValue }, end: { key: end, value: endValue } },
  breaks: [jump],
};

/** Values the chain writes beside the bill; tests change one of them. */
export const sources = {
  [start]: startValue,
  [end]: endValue,
  [jump]: {
    kind: "replacement",
    final: [1_002_000, 21_000, 1_470_000, 840_000],
    start: [4_000, 500, 35_000, 20_000],
  },
  [tariffKey]: { id: "heat", version: 1, kind: "heat", validFrom: "2018-01" },
  "metering/meter/m1": { kind: "heat", gateway: didOf(gateway.publicKey) },
};

/** What a test may change in the calls of the chain. */
export type Spoilt = {
  readonly bill?: Readonly<Record<string, JsonValue>>;
  readonly sources?: Readonly<Record<string, JsonValue>>;
  readonly reportArgs?: JsonValue;
  readonly billCall?: Partial<Call>;
  readonly billFirst?: boolean;
};

/** Makes the chain: sources in blocks 1 and 2, the bill in block 3. */
export function makeChain(spoilt: Spoilt = {}): readonly ChainBlock[] {
  const values: Record<string, JsonValue> = { ...sources, ...spoilt.sources };
  const written = (...keys: string[]) =>
    Object.fromEntries(keys.map((key) => [key, values[key] as JsonValue]));
  const byOperator = (contract: string, method: string, key: string): Call => ({
    signer: operator,
    contract,
    method,
    args: {},
    writes: written(key),
  });
  const report: Call = {
    signer: gateway,
    contract: "metering",
    method: "report",
    args: spoilt.reportArgs ?? {
      readings: [
        [meter, Date.UTC(2019, 11, 1), ...startValue],
        [meter, Date.UTC(2020, 0, 1), ...endValue],
      ],
    },
    writes: written(start, end),
  };
  const bill: Call = {
    ...byOperator("billing", "makeBill", tariffKey),
    args: { meter, month: "2019-12", tariff: "heat" },
    writes: { [billKey]: { ...billValue, ...spoilt.bill } },
    ...spoilt.billCall,
  };
  const early = [
    byOperator("metering", "registerMeter", "metering/meter/m1"),
    byOperator("billing", "publishTariff", tariffKey),
    byOperator("metering", "registerMeter", jump),
  ];
  const groups = spoilt.billFirst ? [early, [bill], [report]] : [early, [report], [bill]];
  const chain: ChainBlock[] = [];
  for (const calls of groups) chain.push(makeBlock(calls, chain.at(-1)?.block.header));
  return chain;
}

/** Exports the evidence of the bill, as a node does. */
export function evidenceOf(chain: readonly ChainBlock[], spoilt: Spoilt = {}): EvidenceBundle {
  const all = chain.flatMap(({ block, certificate, transactions, receipts }) =>
    transactions.map((transaction, index) =>
      evidenceTransactionOf({
        transaction,
        receiptBytes: receipts[index] as Uint8Array,
        header: block.header,
        certificate,
        index,
        size: transactions.length,
        transactionPath: merklePath(
          transactions.map(({ bytes }) => bytes),
          index,
        ),
        receiptPath: merklePath(receipts, index),
      }),
    ),
  );
  const [bill, report] = spoilt.billFirst ? [3, 4] : [4, 3];
  const places: [string, string, number][] = [
    ["startReading", start, report],
    ["endReading", end, report],
    ["break", jump, 2],
    ["tariff", tariffKey, 1],
    ["meter", "metering/meter/m1", 0],
  ];
  const values: Record<string, JsonValue> = { ...sources, ...spoilt.sources };
  const entries: EvidenceEntry[] = places.map(([role, key, transaction]) => ({
    role,
    key,
    value: encodeJson(values[key] as JsonValue),
    transaction,
  }));
  const value = encodeJson({ ...billValue, ...spoilt.bill });
  return {
    format: "loopledger-evidence-v0",
    chainId,
    subject: { kind: "bill", key: billKey },
    contracts: { billing: hashOf(utf8("// billing")), metering: hashOf(utf8("// metering")) },
    entries: [{ role: "bill", key: billKey, value, transaction: bill }, ...entries],
    transactions: all,
  };
}
