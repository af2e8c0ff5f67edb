/** Checks of transactions that cost nobody anything. */
import type { CheckPayer } from "../../src/ledger/ledger-types.ts";

/** Pays for all. */
export const freely: CheckPayer = { ready: async () => {}, pay: (work) => work() };
