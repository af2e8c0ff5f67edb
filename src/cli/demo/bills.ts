/** The biller has all bills made by contract; the demo reads them back and checks them. */
import { z } from "zod";
import { didOf } from "../../base/format/did.ts";
import { signCall } from "../../client/client.ts";
import { checkBills, checkFigure, DemoBill, demoMonths } from "./control.ts";
import { type DemoStage, meter } from "./stage.ts";

const tariff = "demo-heat";

/** Makes the bills of all full months. @throws {LedgerError} CLI_DEMO_FAILED */
export async function makeBills(stage: DemoStage): Promise<DemoBill[]> {
  const { client, trust, keys, signal } = stage;
  const { signer } = keys.biller;
  const { nonceHighest, gasLimitMax: gasLimit } = await client.account(didOf(signer.publicKey));
  const transactions = demoMonths().map((month, index) => {
    const call = { contract: "billing", method: "makeBill", args: { meter, month, tariff } };
    const nonce = nonceHighest + 1 + index;
    return signCall(call, { signer, chainId: trust.chainId, nonce, gasLimit });
  });
  await Promise.all(transactions.map(({ bytes }) => client.submit(bytes, { signal })));
  for (const { id } of transactions) {
    const { receipt } = await client.waitFinal(id, trust, { signal });
    checkFigure("outcome of makeBill", "ok", receipt.outcome);
  }
  const { result } = await client.view("billing", "bills", { meter });
  const bills = z.array(DemoBill).parse(result);
  checkBills(bills);
  return bills;
}
