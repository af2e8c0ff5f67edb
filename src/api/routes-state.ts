/** Routes about the state: senders, contracts and their views, values with proofs and history. */
import { z } from "zod";
import { LedgerError } from "../base/errors.ts";
import { publicKeyOf } from "../base/format/did.ts";
import { limits } from "../base/limits.ts";
import { isStateKey } from "../base/proof/state-proof.ts";
import { parsed, provenStateJson } from "./render.ts";
import { flagText, integerText, type Route, type RouteContext, route } from "./route.ts";
import {
  AccountAnswer,
  ContractsAnswer,
  HistoryAnswer,
  StateAnswer,
  ViewAnswer,
} from "./schemas.ts";

const { apiQueryRowsMax: rowsMax } = limits;
const Key = z.string().min(1).max(limits.stateKeyBytesMax).describe("`contract/table/key`.");
const Name = z.string().min(1).max(limits.nameCharsMax);
const contractPrefix = "system/contract/";
/** The least text above all that begin with the prefix: "0" follows "/". */
const contractEnd = "system/contract0";

/** Rows of the route table. */
export const stateRoutes: readonly Route[] = [
  route({
    method: "GET",
    path: "/v1/accounts/:did",
    name: "getAccount",
    doc: "What a sender needs to know before it signs; also for keys that are not enrolled.",
    params: z.strictObject({
      did: z.string().max(80).describe("did:key of an account or device."),
    }),
    answers: { 200: { doc: "The account or device.", schema: AccountAnswer } },
    errors: ["KEY_INVALID"],
    handle: ({ params }, { node }) => {
      const { ledger } = node;
      const { did, entry, ...rest } = ledger.senderInfo(publicKeyOf(params.did));
      return {
        json: {
          did,
          enrolled: entry !== undefined,
          member: entry?.member ?? null,
          name: entry?.name ?? null,
          roles: entry?.roles ?? [],
          status: entry?.status ?? null,
          ...rest,
          gasLimitMax: Math.min(ledger.parameters().callGasMax, limits.callGasMax),
        },
      };
    },
  }),
  route({
    method: "GET",
    path: "/v1/contracts",
    name: "listContracts",
    doc: "Installed contracts with their methods, the roles that may call them, and their views.",
    answers: { 200: { doc: "All contracts.", schema: ContractsAnswer } },
    handle: (_input, { node }) => {
      const range = { from: contractPrefix, to: contractEnd, reverse: false, limit: rowsMax };
      const rows = node.ledger.state.range(range);
      const contracts = rows.map(([key, value]) => ({
        name: key.slice(contractPrefix.length),
        ...(parsed(value) as object),
      }));
      return { json: { contracts } };
    },
  }),
  route({
    method: "GET",
    path: "/v1/contracts/:name/views/:view",
    name: "callView",
    doc: "Asks a contract's view on the state after the tip. One node's word: nothing is signed.",
    params: z.strictObject({
      name: Name.describe("Name of the contract."),
      view: Name.describe("Name of the view."),
    }),
    query: z.strictObject({
      args: z.string().optional().describe("Arguments as JSON text; default `{}`."),
      sender: z.string().max(80).optional().describe("did:key of who asks; default nobody."),
    }),
    answers: { 200: { doc: "What the view gave.", schema: ViewAnswer } },
    errors: ["JSON_INVALID", "KEY_INVALID", "API_VIEW_UNKNOWN", "API_VIEW_REFUSED"],
    handle: async ({ params, query }, { node }) => {
      const { args: argsJson = "{}", sender } = query;
      if (sender !== undefined) publicKeyOf(sender);
      const { name: contract, view: method } = params;
      const { height } = node.ledger.tip;
      const answer = await node.ledger.view({ contract, method, argsJson, sender });
      const { outcome, gasUsed, resultJson, detail = null } = answer;
      if (outcome === "CONTRACT_UNKNOWN" || outcome === "CONTRACT_METHOD_UNKNOWN")
        throw new LedgerError("API_VIEW_UNKNOWN", { contract, view: method });
      if (outcome !== "ok") {
        const facts = { contract, view: method, outcome, detail: detail?.slice(0, 1_000) ?? null };
        throw new LedgerError("API_VIEW_REFUSED", facts);
      }
      return { json: { height, gasUsed, result: parsed(resultJson) } };
    },
  }),
  route({
    method: "GET",
    path: "/v1/state",
    name: "getState",
    doc: "A value of the state, now or after a height; with `proof=1` proven, or proven absent.",
    query: z.strictObject({
      key: Key,
      height: integerText("Height after which to look; default the tip.").optional(),
      proof: flagText(`\`1\`: with the proof, for the last ${limits.stateHistoryBlocks} heights.`),
    }),
    answers: { 200: { doc: "The value; `text` null: absent.", schema: StateAnswer } },
    errors: [
      "LEDGER_KEY_INVALID",
      "LEDGER_PROOF_UNAVAILABLE",
      "API_BLOCK_UNKNOWN",
      "LEDGER_PRUNED",
    ],
    handle: async ({ query: { key, height, proof } }, context) => {
      const { node } = context;
      checkKey(key);
      if (height !== undefined) checkHeight(height, context);
      if (proof !== undefined)
        return { json: provenStateJson(await node.ledger.proveState(key, height)) };
      const { height: tip } = node.ledger.tip;
      const text =
        height === undefined || height === tip
          ? node.ledger.state.get(key)
          : (await node.readValueAt(key, height))?.value;
      return { json: { key, height: height ?? tip, text: text ?? null, value: parsed(text) } };
    },
  }),
  route({
    method: "GET",
    path: "/v1/state-history",
    name: "getStateHistory",
    doc: "What a key of the state was given, ascending by height.",
    query: z.strictObject({
      key: Key,
      from: integerText("First height; default 0.").optional(),
      limit: integerText(`1 to ${rowsMax}; default 100.`, { min: 1, max: rowsMax }).optional(),
    }),
    answers: { 200: { doc: "A page.", schema: HistoryAnswer } },
    errors: ["LEDGER_KEY_INVALID", "LEDGER_PRUNED"],
    handle: async ({ query: { key, from = 0, limit = 100 } }, { node }) => {
      checkKey(key);
      const rows = await node.ledger.history(key, { from, limit });
      const last = rows.length < limit ? undefined : rows.at(-1);
      const entries = rows.map(({ height, value: text }) => ({
        height,
        text: text ?? null,
        value: parsed(text),
      }));
      return { json: { key, entries, next: last === undefined ? null : last.height + 1 } };
    },
  }),
];

function checkKey(key: string): void {
  if (!isStateKey(key)) throw new LedgerError("LEDGER_KEY_INVALID", { key });
}

/** The future has no state yet: the tip's would be a wrong answer to remember. */
function checkHeight(height: number, { node }: RouteContext): void {
  const heightMax = node.ledger.tip.height;
  if (height > heightMax) throw new LedgerError("API_BLOCK_UNKNOWN", { height, heightMax });
}
