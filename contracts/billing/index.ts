/**
 * `billing`: bills of heat or cold for a meter and a UTC calendar month, under a published tariff.
 *
 * Asking twice gives the same bill. A bill is never changed: when readings' breaks or the tariff
 * were put right afterwards, `correctBill` makes a new one that names the old.
 */
import {
  contract,
  event,
  method,
  month,
  object,
  optional,
  refuse,
  text,
  view,
} from "loopledger/contract";
import { meterId } from "../metering/layout.ts";
import { type Bill, bills, compute, currentBill, isSame, putBill } from "./bill.ts";
import { publish, tariffFor, tariffForm, tariffId, tariffKey } from "./tariff.ts";

/** Bills that the `bills` view gives at most: ten years of a meter; `fromMonth` turns the page. */
const billsMax = 120;

const onTariff = event<{
  readonly id: string;
  readonly version: number;
  readonly validFrom: string;
}>("tariff");
const onBill = event<{
  readonly key: string;
  readonly meter: string;
  readonly month: string;
  readonly totalCents: number;
  readonly corrects: string | null;
}>("bill");

const publishTariff = method({
  roles: ["operator"],
  args: tariffForm,
  run: (tariff) => {
    const { id, version, validFrom } = tariff;
    const isNew = publish(tariff);
    if (isNew) onTariff({ id, version, validFrom });
    return { id, version, key: `billing/tariff/${tariffKey(id, version)}`, isNew };
  },
});

const makeBill = method({
  roles: ["operator", "biller"],
  args: object({ meter: meterId, month, tariff: tariffId }),
  run: ({ meter, month: billed, tariff }, context) => {
    const known = currentBill(meter, billed);
    if (known !== undefined) {
      if (known.tariff.id === tariff) return known;
      refuse("BILLING_BILL_EXISTS", `${known.id} uses tariff ${known.tariff.id}; see correctBill`);
    }
    const computed = compute(meter, billed, tariff, context);
    return announced(putBill({ meter, month: billed, madeAtMs: context.timeMs }, computed));
  },
});

const correctBill = method({
  roles: ["operator", "biller"],
  args: object({
    meter: meterId,
    month,
    /** Another tariff, if the old bill used the wrong one. */
    tariff: optional(tariffId),
    reason: text(500),
  }),
  run: ({ meter, month: billed, tariff, reason }, context) => {
    const old = currentBill(meter, billed);
    if (old === undefined)
      refuse("BILLING_BILL_UNKNOWN", `there is no bill of ${meter} for ${billed}; see makeBill`);
    const computed = compute(meter, billed, tariff ?? old.tariff.id, context);
    if (isSame(old, computed))
      refuse("BILLING_CORRECTION_NEEDLESS", `${old.id} is what the ledger says now`);
    const head = { meter, month: billed, madeAtMs: context.timeMs };
    return announced(putBill(head, computed, { old, reason }));
  },
});

const billView = view({
  args: object({ meter: meterId, month }),
  run: ({ meter, month: billed }) => {
    const bill = currentBill(meter, billed);
    if (bill === undefined)
      refuse("BILLING_BILL_UNKNOWN", `there is no bill of ${meter} for ${billed}`);
    return bill;
  },
});

const billsView = view({
  args: object({ meter: meterId, fromMonth: optional(month) }),
  run: ({ meter, fromMonth = "1970-01" }) =>
    bills
      .range({ within: meter, fromInclusive: fromMonth, limit: billsMax })
      .map(({ value }) => value)
      .sort((left, right) =>
        left.month === right.month ? left.n - right.n : left.month < right.month ? -1 : 1,
      ),
});

const tariffView = view({
  args: object({ tariff: tariffId, month }),
  run: ({ tariff, month: valid }) => tariffFor(tariff, valid),
});

/** The contract. */
export const definition = contract({
  name: "billing",
  methods: { publishTariff, makeBill, correctBill },
  views: { bill: billView, bills: billsView, tariff: tariffView },
});

function announced(bill: Bill): Bill {
  const { key, meter, month: billed, totalCents, corrects } = bill;
  onBill({ key, meter, month: billed, totalCents, corrects });
  return bill;
}
