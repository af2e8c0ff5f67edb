/** Routes about blocks. */
import { z } from "zod";
import { LedgerError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { ApiStoredBlock } from "./api-node.ts";
import { blockJson, blockSummaryJson, validatorKeys } from "./render.ts";
import { hashText, integerText, type Route, type RouteContext, route } from "./route.ts";
import { BlockAnswer, BlocksAnswer } from "./schemas.ts";

const { apiBlockRowsMax: rowsMax } = limits;
const Height = z
  .union([z.literal("latest"), integerText("")])
  .describe("Height, 0 for the genesis, or `latest`.");

/** Rows of the route table. */
export const blockRoutes: readonly Route[] = [
  route({
    method: "GET",
    path: "/v1/blocks",
    name: "listBlocks",
    doc: "Blocks without their transactions, ascending by height.",
    query: z.strictObject({
      from: integerText("First height; default 0.").optional(),
      limit: integerText(`1 to ${rowsMax}; default 20.`, { min: 1, max: rowsMax }).optional(),
    }),
    answers: { 200: { doc: "A page; empty above the tip.", schema: BlocksAnswer } },
    errors: ["LEDGER_PRUNED"],
    handle: async ({ query: { from = 0, limit = 20 } }, { node }) => {
      const end = Math.min(node.ledger.tip.height + 1, from + limit);
      const blocks: object[] = [];
      for (let height = from; height < end; height += 1) {
        const stored = await node.ledger.readBlock(height);
        if (stored !== undefined) blocks.push(blockSummaryJson(stored));
      }
      return { json: { blocks, next: Math.max(from, end) } };
    },
  }),
  route({
    method: "GET",
    path: "/v1/blocks/:height",
    name: "getBlock",
    doc: "One block with its certificate and a line for each transaction.",
    params: z.strictObject({ height: Height }),
    query: z.strictObject({
      hash: hashText("Answers only if the block has this hash.").optional(),
    }),
    answers: { 200: { doc: "The block.", schema: BlockAnswer } },
    errors: ["API_BLOCK_UNKNOWN", "LEDGER_PRUNED"],
    handle: async ({ params, query }, context) => {
      const { node } = context;
      const stored = await readBlock(params.height, context);
      const { height } = stored.block.header;
      if (query.hash !== undefined && query.hash !== stored.block.hash)
        throw unknownBlock(height, context);
      const receipts = await node.ledger.readReceipts(height);
      return { json: blockJson(stored, receipts, validatorKeys(node, height)) };
    },
  }),
];

async function readBlock(asked: number | "latest", context: RouteContext): Promise<ApiStoredBlock> {
  const { ledger } = context.node;
  const height = asked === "latest" ? ledger.tip.height : asked;
  const stored = height > ledger.tip.height ? undefined : await ledger.readBlock(height);
  if (stored === undefined) throw unknownBlock(height, context);
  return stored;
}

function unknownBlock(height: number, { node }: RouteContext): LedgerError {
  const heightMax = node.ledger.tip.height;
  return new LedgerError("API_BLOCK_UNKNOWN", { height, heightMax });
}
