/**
 * Child process of the kill test: appends toy blocks to the store in `argv[2]` until it is killed,
 * and says each height on stdout once it was acknowledged.
 */
import { silentLog } from "../../src/base/log.ts";
import { LedgerStore } from "../../src/ledger/store.ts";
import { replayChain, testGenesis } from "./chain.ts";

const directory = process.argv[2] as string;
const genesis = testGenesis();
const store = await LedgerStore.open({ directory, genesis, log: silentLog });
const chain = await replayChain(genesis, store);
process.stdout.write("open\n");
for (;;) {
  const [input] = await chain.blocks(1);
  if (input === undefined) break;
  await store.append(input);
  process.stdout.write(`${store.tip.height}\n`);
}
