/** Bugs in the shell around the core: persistence, verification of messages, ledger, catching up. */
import type { Mutant } from "./mutant.ts";

const driver = "node/consensus-driver.ts";
const verify = "node/verify-message.ts";
const verified = "ledger/verified-transactions.ts";

/** The bugs. */
export const shellMutants: readonly Mutant[] = [
  {
    name: "verified cache keyed by body only",
    file: verified,
    replace: "return this.#known.get(hashOf(bytes));",
    by: `const { id } = decodeTransaction(bytes);
    return [...this.#known.values()].find((known) => known.id === id);`,
  },
  {
    name: "signatures of transactions unchecked",
    file: verified,
    replace: "if (!verifyTransaction(transaction, this.#verifier))",
    by: "if (this.#verifier === undefined || verifyTransaction === undefined)",
  },
  {
    name: "chain id of transactions unchecked",
    file: verified,
    replace: "if (transaction.chainId !== this.#chainId)",
    by: 'if (this.#chainId === "")',
  },
  {
    name: "each that checks has turns of its own",
    file: "ledger/check-turns.ts",
    replace: "if (this.#left > 0 && queue.length === 0) this.#left -= units;",
    by: "if (units > 0 && queue.length === 0) this.#left -= units;",
  },
  {
    name: "frames of one peer judged at once",
    file: "node/transaction-intake.ts",
    replace: "await former?.catch(() => {});",
    by: "void former?.catch(() => {});",
  },
  {
    name: "checks of transactions not paid",
    file: "node/peer-payers.ts",
    replace: "pay: (work) => budget.charge(payer, share, work),",
    by: "pay: (work) => work(),",
  },
  {
    name: "calls that fail end the building",
    file: "ledger/block-maker.ts",
    replace: "if (faults <= buildFaultsMax || execution.count === 0) continue;",
    by: 'if (faults > buildFaultsMax) throw new LedgerError("NODE_STOPPED", {});',
  },
  {
    name: "calls that fail end the filling of an empty block",
    file: "ledger/block-maker.ts",
    replace: "if (faults <= buildFaultsMax || execution.count === 0) continue;",
    by: "if (faults <= buildFaultsMax) continue;",
  },
  {
    name: "whose calls fail comes first again",
    file: "ledger/mempool.ts",
    replace: "const isLast = this.#last.has(sender) ? 1 : 0;",
    by: "const isLast = 0;",
  },
  {
    name: "expiry judged by the clock at admission",
    file: "ledger/intake.ts",
    replace: "return expiresAtMs > timeMs ? timeMs : earliestTimeMs(head());",
    by: "return expiresAtMs > 0 ? timeMs : earliestTimeMs(head());",
  },
  {
    name: "window not in the state",
    file: "ledger/executor.ts",
    replace: "this.#overlay.set(key, encodeWindow(this.#windowOf(sender)));",
    by: "void [key, encodeWindow];",
  },
  {
    name: "nonce used within a block unnoticed",
    file: "ledger/executor.ts",
    replace: "this.#windows.set(sender, useNonce(this.#windowOf(sender), nonce));",
    by: "if (nonce % 2 === 0) this.#windows.set(sender, useNonce(this.#windowOf(sender), nonce));",
  },
  {
    name: "vote before persist",
    file: driver,
    replace: "if (last !== undefined) await this.#persist(last.record);",
    by: "if (last !== undefined) void this.#persist(last.record);",
  },
  {
    name: "votes although the record cannot be written",
    file: driver,
    replace: "this.halt(`the signing record cannot be written:",
    by: "this.#parts.log.warn({}, `the signing record cannot be written:",
  },
  {
    name: "lost record not minded",
    file: driver,
    replace: "abstainThroughHeight: parts.isRecordLost ? Number.MAX_SAFE_INTEGER : -1,",
    by: "abstainThroughHeight: -1,",
  },
  {
    name: "work told for the height before",
    file: driver,
    replace: 'this.#feed({ kind: "work", height: this.#parts.ledger.tip.height + 1 });',
    by: 'this.#feed({ kind: "work", height: this.#state.height });',
  },
  {
    name: "record not restored at the start",
    file: driver,
    replace: 'if (record !== undefined) this.#feed({ kind: "restored", record });',
    by: 'if (record !== undefined && listenMs < 0) this.#feed({ kind: "restored", record });',
  },
  {
    name: "another process with the own key not minded",
    file: "node/message-reception.ts",
    replace: "if (isKeyUsedElsewhere(state, message, this.#parts)) this.#onKey",
    by: "if (isKeyUsedElsewhere(state, message, this.#parts) && state.height < 0) this.#onKey",
  },
  {
    name: "signatures of messages unchecked",
    file: verify,
    replace:
      "return verifier.verify(claimMessage(claim, chainId), claim.signature, claim.validator);",
    by: "return [verifier, claimMessage, chainId].length > 0;",
  },
  {
    name: "certificates within messages unchecked",
    file: verify,
    replace: 'if (!("prepares" in message)) return [message];',
    by: "if (message !== undefined) return [message];",
  },
  {
    name: "transactions of a proposed block not held against its hash",
    file: verify,
    replace:
      "if (block === undefined || merkleRoot(block.transactions) === block.header.transactionsRoot)",
    by: "if (block === undefined || merkleRoot !== undefined)",
  },
  {
    name: "certificate unchecked at append",
    file: "ledger/ledger.ts",
    replace: "verifyCertificate(certificate, block.header, context);",
    by: "void [verifyCertificate, context];",
  },
  {
    name: "freshness of proposals unchecked",
    file: "ledger/block-rules.ts",
    replace: "if (timestampMs > nowMs + limits.proposalFutureMsMax)",
    by: "if (timestampMs > nowMs + 1e9 * limits.proposalFutureMsMax)",
  },
];
