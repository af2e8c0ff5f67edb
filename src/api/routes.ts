/** The one table of all routes. */
import type { Route } from "./route.ts";
import { blockRoutes } from "./routes-blocks.ts";
import { eventRoutes } from "./routes-events.ts";
import { nodeRoutes } from "./routes-node.ts";
import { stateRoutes } from "./routes-state.ts";
import { transactionRoutes } from "./routes-transactions.ts";
import { validatorRoutes } from "./routes-validators.ts";

/** All routes, in the order of the documentation. */
export const routes: readonly Route[] = [
  ...nodeRoutes,
  ...validatorRoutes,
  ...blockRoutes,
  ...transactionRoutes,
  ...stateRoutes,
  ...eventRoutes,
];
