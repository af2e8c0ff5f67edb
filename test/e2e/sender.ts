/** Sends transactions in end-to-end tests the way a careful client does: until they are final. */
import { isLedgerError } from "../../src/base/errors.ts";
import { didOf } from "../../src/base/format/did.ts";
import type { JsonValue } from "../../src/base/format/json.ts";
import type { Transaction } from "../../src/base/format/transaction.ts";
import type { Signer } from "../../src/base/keys.ts";
import { limits } from "../../src/base/limits.ts";
import { type CallInput, type LedgerClient, signCall } from "../../src/client/client.ts";
import type { FinalTransaction, Trust } from "../../src/client/finality.ts";
import type { TestDevnet } from "../helpers/devnet.ts";

/** What a test may choose instead of the right value. */
export type SignChange = {
  readonly nonce?: number;
  readonly expiresAtMs?: number;
  readonly chainId?: string;
  readonly gasLimit?: number;
};

/** One signer with its nonces. The only sender of its key. */
export class TestSender {
  readonly did: string;
  readonly #signer: Signer;
  readonly #devnet: TestDevnet;
  #nonce = 0;

  constructor(devnet: TestDevnet, signer: Signer) {
    this.#devnet = devnet;
    this.#signer = signer;
    this.did = didOf(signer.publicKey);
  }

  /** The highest nonce given out. */
  get nonce(): number {
    return this.#nonce;
  }

  /** Signs a call, with the next nonce unless another is given. */
  sign(contract: string, method: string, args: JsonValue, change: SignChange = {}): Transaction {
    if (change.nonce === undefined) this.#nonce += 1;
    const call: CallInput = { contract, method, args };
    const { chainId } = this.#devnet.trust;
    const defaults = { chainId, nonce: this.#nonce, gasLimit: limits.callGasMax };
    return signCall(call, { signer: this.#signer, ...defaults, ...change });
  }

  /** Signs, sends, and waits for the proven receipt. */
  async send(contract: string, method: string, args: JsonValue): Promise<FinalTransaction> {
    return untilFinal(this.#devnet.client, this.sign(contract, method, args), {
      trust: this.#devnet.trust,
    });
  }
}

/** Registers a meter of a gateway, that of the devnet unless another is given. */
export async function registerMeter(
  devnet: TestDevnet,
  meter: string,
  gatewaySigner: Signer = devnet.signers.gateway,
): Promise<FinalTransaction> {
  const operator = new TestSender(devnet, devnet.signers.operator);
  const gateway = didOf(gatewaySigner.publicKey);
  const call = { contract: "metering", method: "registerMeter" };
  const transaction = operator.sign(
    call.contract,
    call.method,
    { meter, kind: "heat", gateway },
    {
      nonce: (await devnet.client.account(operator.did as `did:key:${string}`)).nonceHighest + 1,
    },
  );
  return untilFinal(devnet.client, transaction, { trust: devnet.trust });
}

/** The `index`-th reading of a meter, one a minute, all registers rising. */
export function readingOf(meter: string, index: number): JsonValue[] {
  const instantMs = Date.UTC(2019, 0, 1) + index * 60_000;
  return [meter, instantMs, index * 100, index * 3, index * 180, index * 90];
}

/**
 * Sends signed bytes again and again until they are proven final: a node that held them in memory
 * may have died. Sending them twice is harmless.
 */
export async function untilFinal(
  client: LedgerClient,
  transaction: Transaction,
  options: { readonly trust: Trust; readonly timeoutMs?: number; readonly againMs?: number },
): Promise<FinalTransaction> {
  const { trust, timeoutMs = 60_000, againMs = 3_000 } = options;
  const endMs = performance.now() + timeoutMs;
  for (;;) {
    try {
      await client.submit(transaction.bytes);
      return await client.waitFinal(transaction.id, trust, { timeoutMs: againMs });
    } catch (error) {
      const isPassing =
        isLedgerError(error, "CLIENT_UNREACHABLE") ||
        isLedgerError(error, "CLIENT_WAIT_TIMEOUT") ||
        isLedgerError(error, "API_TRANSACTION_UNKNOWN");
      if (!isPassing || performance.now() > endMs) throw error;
    }
  }
}
