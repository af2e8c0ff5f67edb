/** Errors of the HTTP API. See errors.ts. */
import type { ErrorRow } from "./row.ts";

/** Rows of the error table. */
export const apiErrors = {
  API_HOST_REFUSED: {
    httpStatus: 403,
    facts: ["host", "expected"],
    meaning: "The Host header does not name this node's own loopback address.",
    next: "Call the node by the address it printed at start, such as http://127.0.0.1:PORT.",
  },
  API_ORIGIN_REFUSED: {
    httpStatus: 403,
    facts: ["origin"],
    meaning: "A page of another site tried to use this node through a browser.",
    next: "Use a program on this machine, or a page that this node serves itself.",
  },
  API_CONTENT_TYPE_INVALID: {
    httpStatus: 415,
    facts: ["contentType", "expected"],
    meaning: "The body has a content type that this route does not take.",
    next: "Send the signed bytes with the header `content-type: application/octet-stream`.",
  },
  API_INPUT_INVALID: {
    httpStatus: 400,
    facts: ["place", "reason"],
    meaning: "A part of the request's address does not have the documented form.",
    next: "Correct the part named by `place`; /openapi.json and docs/HTTP_API.md list all forms.",
  },
  API_REQUEST_INVALID: {
    httpStatus: 400,
    facts: ["reason"],
    meaning: "The request is not well-formed HTTP, came too slowly, or broke off.",
    next: "Send the request again; check proxies between client and node.",
  },
  API_HEADER_TOO_LARGE: {
    httpStatus: 431,
    facts: ["bytesMax"],
    meaning: "Address and headers of the request are together longer than a node takes.",
    next: "Shorten them; arguments of a view must fit in the address.",
  },
  API_ROUTE_UNKNOWN: {
    httpStatus: 404,
    facts: ["method", "path"],
    meaning: "The API has no such route.",
    next: "See /openapi.json for all methods and paths.",
  },
  API_BLOCK_UNKNOWN: {
    httpStatus: 404,
    facts: ["height", "heightMax"],
    meaning: "This node has no such block: above its tip, or another hash at that height.",
    next: "Ask for a height up to `heightMax`, or wait until the node has caught up.",
  },
  API_TRANSACTION_UNKNOWN: {
    httpStatus: 404,
    facts: ["id"],
    meaning: "This node knows no such transaction, neither pending nor final.",
    next: "Ask another node, or send the same signed bytes again: that is never done twice.",
  },
  API_VIEW_UNKNOWN: {
    httpStatus: 404,
    facts: ["contract", "view"],
    meaning: "The ledger has no such contract, or the contract no such view.",
    next: "See /v1/contracts for all contracts and their views.",
  },
  API_VIEW_REFUSED: {
    httpStatus: 422,
    facts: ["contract", "view", "outcome", "detail"],
    meaning: "The contract refused to answer; `outcome` is its own code.",
    next: "Correct the arguments; the contract's documentation explains `outcome`.",
  },
  API_BILL_UNKNOWN: {
    httpStatus: 404,
    facts: ["bill"],
    meaning: "There is no such bill on this node.",
    next: "Name it as METER/MONTH/N, such as m-1/2019-01/1; make it first if it does not exist.",
  },
  API_EVENT_CLIENTS_FULL: {
    httpStatus: 503,
    facts: ["clientsMax"],
    meaning: "As many clients follow the events of this node as it serves at once.",
    next: "Follow another node, or read /v1/events in pages.",
  },
  API_LISTEN_FAILED: {
    httpStatus: 503,
    facts: ["host", "port", "reason"],
    meaning: "The node cannot listen for HTTP on the configured address.",
    next: "Free the port or configure another one, then start again.",
  },
  API_INTERNAL: {
    httpStatus: 500,
    facts: ["request"],
    meaning: "The node failed to answer for a reason that is its own.",
    next: "Look for `request` in the node's log; ask another node meanwhile.",
  },
} as const satisfies Record<string, ErrorRow>;
