/** Routes about members: who votes, who is to, and who was allowed to sign at which height. */
import { z } from "zod";
import { LedgerError } from "../base/errors.ts";
import { SetChange } from "../base/format/set-change.ts";
import { quorumSize } from "../base/proof/certificate.ts";
import { integerText, type Route, route } from "./route.ts";
import { MembersAnswer, ValidatorsAnswer } from "./schemas.ts";

/** Rows of the route table. */
export const validatorRoutes: readonly Route[] = [
  route({
    method: "GET",
    path: "/v1/validators",
    name: "getValidators",
    doc: "The validators of a height, in the order in which certificates count them.",
    query: z.strictObject({
      height: integerText("Height from 1; default the one that is decided next.").optional(),
    }),
    answers: { 200: { doc: "The set.", schema: ValidatorsAnswer } },
    errors: ["API_BLOCK_UNKNOWN"],
    handle: ({ query }, { node }) => {
      const heightMax = node.ledger.tip.height + 1;
      const { height = heightMax } = query;
      const set = height > heightMax ? undefined : node.validatorsAt(height);
      if (set === undefined) throw new LedgerError("API_BLOCK_UNKNOWN", { height, heightMax });
      const { from, validators } = set;
      return { json: { height, from, quorum: quorumSize(validators.length), validators } };
    },
  }),
  route({
    method: "GET",
    path: "/v1/validator-changes",
    name: "listValidatorChanges",
    doc: "Proofs of the changes of the validators, ascending, each certified by the set before.",
    query: z.strictObject({
      from: integerText("First height of the last set that you know; default 1.").optional(),
    }),
    answers: {
      200: {
        doc: "A page; empty when there is no later set.",
        schema: z.object({ changes: z.array(SetChange) }),
      },
    },
    handle: async ({ query: { from = 1 } }, { node }) => ({
      json: { changes: await node.validatorChanges(from) },
    }),
  }),
  route({
    method: "GET",
    path: "/v1/members",
    name: "getMembers",
    doc: "Members, candidates with their readiness, and changes that wait for approvals.",
    answers: { 200: { doc: "As of the tip.", schema: MembersAnswer } },
    handle: (_input, { node }) => ({
      json: { height: node.ledger.tip.height, ...node.membership() },
    }),
  }),
];
