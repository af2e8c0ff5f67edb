/** Routes about the node itself: status, genesis, health, metrics, and this API's description. */
import { z } from "zod";
import { statusJson } from "./render.ts";
import { type Route, route } from "./route.ts";
import { LiveAnswer, ReadyAnswer, StatusAnswer } from "./schemas.ts";

const OpenApi = z.record(z.string(), z.unknown());

/** Rows of the route table. */
export const nodeRoutes: readonly Route[] = [
  route({
    method: "GET",
    isAboutNode: true,
    path: "/v1/status",
    name: "getStatus",
    doc: "Where the node is: tip, consensus, peers, all validators with height and round, mempool.",
    answers: { 200: { doc: "The moment's picture.", schema: StatusAnswer } },
    handle: (_input, { node }) => ({ json: statusJson(node) }),
  }),
  route({
    method: "GET",
    isAboutNode: true,
    path: "/v1/genesis",
    name: "getGenesis",
    doc: "The genesis file, to the byte. Compare its chain id with one you know: this is one node's word.",
    answers: { 200: { doc: "The file.", schema: z.unknown() } },
    handle: (_input, { node }) => ({ text: node.genesisText, type: "application/json" }),
  }),
  route({
    method: "GET",
    isAboutNode: true,
    path: "/health/live",
    name: "getLive",
    doc: "Answers as long as the process serves at all.",
    answers: { 200: { doc: "It lives.", schema: LiveAnswer } },
    handle: () => ({ json: { live: true } }),
  }),
  route({
    method: "GET",
    isAboutNode: true,
    path: "/health/ready",
    name: "getReady",
    doc: "Whether clients should use this node, with the reasons if not.",
    answers: {
      200: { doc: "Ready.", schema: ReadyAnswer },
      503: { doc: "Not ready, and why.", schema: ReadyAnswer },
    },
    handle: (_input, { node }) => {
      const { notReady: reasons } = node.status();
      const ready = reasons.length === 0;
      return { status: ready ? 200 : 503, json: { ready, reasons } };
    },
  }),
  route({
    method: "GET",
    isAboutNode: true,
    path: "/metrics",
    name: "getMetrics",
    doc: "Metrics in the Prometheus text format.",
    answers: { 200: { doc: "All metrics.", type: "text/plain", schema: z.string() } },
    handle: (_input, { metrics }) => metrics.text(),
  }),
  route({
    method: "GET",
    isAboutNode: true,
    path: "/openapi.json",
    name: "getOpenApi",
    doc: "This API as an OpenAPI 3.1 document.",
    answers: { 200: { doc: "The document.", schema: OpenApi } },
    handle: (_input, { openapi }) => ({
      text: JSON.stringify(openapi()),
      type: "application/json",
    }),
  }),
];
