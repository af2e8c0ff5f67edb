/**
 * `loopledger/contract`: all that a contract may import.
 *
 * It is bundled into every contract, so it stays small and imports nothing from Node, npm or the
 * rest of the program.
 */
export { instantOf, instantText, monthBounds, monthNumber } from "./calendar.ts";
export {
  type Check,
  type Checked,
  decimal,
  did,
  instant,
  integer,
  list,
  month,
  object,
  oneOf,
  optional,
  text,
  tuple,
} from "./check.ts";
export {
  type Context,
  type Contract,
  type ContractEntry,
  contract,
  entryOf,
  event,
  method,
  view,
} from "./contract.ts";
export { currentHost, type Host } from "./host.ts";
export { canonicalText, type Json } from "./json.ts";
export { Ratio, type Rounding, safeNumber, splitByLargestRemainder } from "./ratio.ts";
export { Refusal, refuse } from "./refusal.ts";
export { type Entry, foreignTable, type RangeQuery, ReadTable, Table, table } from "./table.ts";
