/**
 * The HTTP server of a node: fits the route table to the HTTP library. It knows no route itself.
 *
 * Invariants:
 *
 * (1) No request reaches a handler before the guard let it pass and its parts have their form.
 * (2) Every failure is answered as a problem with a code of our own.
 * (3) A body is either the bytes of one transaction, or refused.
 * (4) No handler runs when `stop` has returned: the ledger that it reads may be closed then.
 */
import type { AddressInfo } from "node:net";
import swagger from "@fastify/swagger";
import Fastify, {
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  type FastifySchema,
} from "fastify";
import {
  jsonSchemaTransform,
  serializerCompiler,
  validatorCompiler,
} from "fastify-type-provider-zod";
import { z } from "zod";
import { AssertionError } from "../base/assert.ts";
import { LedgerError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { Log } from "../base/log.ts";
import type { ApiNode } from "./api-node.ts";
import { EventStreams, failLater, type StreamLimits } from "./events.ts";
import { checkRequest, loopbackHosts } from "./guard.ts";
import { Metrics } from "./metrics.ts";
import {
  answerBrokenRequest,
  commonErrors,
  contentTypeError,
  ledgerErrorOf,
  Problem,
  problemOf,
  problemType,
} from "./problem.ts";
import type { Answer, Route, RouteContext, RouteInput } from "./route.ts";
import { routes } from "./routes.ts";

/** What the server is made of. */
export type ApiOptions = {
  readonly node: ApiNode;
  /** A loopback address: nothing else is served without access control. */
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  readonly log: Log;
  /** Bounds of event clients, for tests. */
  readonly streamLimits?: StreamLimits | undefined;
};

/** A serving API. */
export type RunningApi = {
  /** Such as `http://127.0.0.1:7501`. */
  readonly url: string;
  /** Ends all connections and returns when none is left. */
  stop(): Promise<void>;
};

const transactionType = "application/octet-stream";
const SignedBytes = z.unknown().describe("The signed bytes of one transaction.");

/** Starts to serve. @throws {LedgerError} API_LISTEN_FAILED */
export async function startApi(options: ApiOptions): Promise<RunningApi> {
  const { node, host, port, log } = options;
  const isLoopback = loopbackHosts.some((loopback) => loopback === host);
  if (!isLoopback) throw listenFailed(options, "only loopback addresses are served");
  const streams = new EventStreams(node.ledger, log, options.streamLimits);
  const metrics = new Metrics(node, () => streams.count);
  const underWay = new Set<Promise<unknown>>();
  const context = { node, metrics, streams, openapi: () => app.swagger() };
  const app = await buildApp(context, { log, underWay });
  const stop = async () => {
    const streamsEnded = streams.close();
    await app.close();
    await streamsEnded;
    await Promise.allSettled(underWay);
    metrics.close();
  };
  try {
    await app.listen({ host, port });
  } catch (cause) {
    await stop();
    throw listenFailed(options, (cause as NodeJS.ErrnoException).code ?? "unknown", cause);
  }
  const name = host.includes(":") ? `[${host}]` : host;
  const url = `http://${name}:${(app.server.address() as AddressInfo).port}`;
  log.warn({ url }, "the HTTP API has no access control yet, so it serves this machine only");
  return { url, stop };
}

function listenFailed({ host, port }: ApiOptions, reason: string, cause?: unknown): LedgerError {
  return new LedgerError("API_LISTEN_FAILED", { host, port, reason }, { cause });
}

type Surroundings = {
  readonly log: Log;
  /** Handlers that have not settled yet. */
  readonly underWay: Set<Promise<unknown>>;
};

async function buildApp(
  context: RouteContext,
  { log, underWay }: Surroundings,
): Promise<FastifyInstance> {
  const app = Fastify({
    bodyLimit: limits.transactionBytesMax,
    requestTimeout: limits.apiRequestMsMax,
    forceCloseConnections: true,
    // A request without Host gets the guard's answer, not a bare one.
    http: { maxHeaderSize: limits.apiHeaderBytesMax, requireHostHeader: false },
    // A did or a percent-encoded name is longer than the default of 100.
    routerOptions: { maxParamLength: 1_024 },
    clientErrorHandler: answerBrokenRequest,
    frameworkErrors: (error, request, reply) => fail(error, request, reply, log),
    logger: false,
  });
  app.server.maxConnections = limits.apiConnectionsMax;
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  takeOnlyTransactions(app);
  app.addHook("onRequest", async (request) => {
    checkRequest(request.headers, request.socket.localPort ?? 0);
  });
  app.addHook("onResponse", async (request, reply) => {
    // Paths that are no routes are a stranger's choice and no label.
    const route = request.routeOptions.url ?? "none";
    const seconds = reply.elapsedTime / 1_000;
    context.metrics.onRequest({ method: request.method, route, status: reply.statusCode, seconds });
  });
  app.setErrorHandler((error, request, reply) => fail(error, request, reply, log));
  app.setNotFoundHandler((request) => {
    const path = request.url.slice(0, 200);
    throw new LedgerError("API_ROUTE_UNKNOWN", { method: request.method, path });
  });
  await app.register(swagger, {
    openapi: { openapi: "3.1.0", info: apiInfo(context), tags: [] },
    transform: jsonSchemaTransform,
  });
  for (const row of routes) addRoute(app, row, { context, underWay });
  await app.ready();
  return app;
}

function apiInfo({ node }: RouteContext) {
  return {
    title: "Loopledger node",
    version: node.identity.version,
    description:
      "HTTP API of a Loopledger node. Errors are application/problem+json with a stable code.",
  };
}

/** What browsers can send without asking first (text, forms) is refused by its type alone. */
function takeOnlyTransactions(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(transactionType, { parseAs: "buffer" }, (_request, body, done) =>
    done(null, body),
  );
}

function addRoute(
  app: FastifyInstance,
  row: Route,
  { context, underWay }: { context: RouteContext; underWay: Set<Promise<unknown>> },
): void {
  app.route({
    method: row.method,
    url: row.path,
    // HEAD of a stream would hold it open for nothing.
    exposeHeadRoute: false,
    schema: schemaOf(row),
    handler: async (request, reply) => {
      if (row.isAboutNode !== true) context.node.checkLedger?.();
      const input = inputOf(row, request, reply);
      const handled = Promise.resolve(row.handle(input, context));
      underWay.add(handled);
      try {
        return send(reply, await handled);
      } finally {
        underWay.delete(handled);
      }
    },
  });
}

/** @throws {LedgerError} API_CONTENT_TYPE_INVALID */
function inputOf(row: Route, request: FastifyRequest, reply: FastifyReply): RouteInput {
  const { takesTransaction = false } = row;
  const { "content-type": contentType, "last-event-id": lastEventId } = request.headers;
  if (takesTransaction && !Buffer.isBuffer(request.body)) throw contentTypeError(contentType);
  return {
    params: request.params as Record<string, unknown>,
    query: request.query as Record<string, unknown>,
    body: takesTransaction ? (request.body as Buffer) : new Uint8Array(0),
    lastEventId: typeof lastEventId === "string" ? lastEventId : undefined,
    signal: () => signalOf(reply),
  };
}

function send(reply: FastifyReply, answer: Answer): FastifyReply {
  if ("stream" in answer) {
    reply.hijack();
    answer.stream(reply.raw);
    return reply;
  }
  reply.code(answer.status ?? 200).header("cache-control", "no-store");
  if ("text" in answer) return reply.type(answer.type).serializer(String).send(answer.text);
  return reply.send(answer.json);
}

function signalOf(reply: FastifyReply): AbortSignal {
  const controller = new AbortController();
  reply.raw.once("close", () => controller.abort());
  if (reply.raw.destroyed) controller.abort();
  return controller.signal;
}

function schemaOf(row: Route): FastifySchema {
  const { name, doc, params, query, answers, errors = [], takesTransaction } = row;
  const response = Object.fromEntries(
    Object.entries(answers).map(([status, { doc: description, type, schema }]) => [
      status,
      { description, content: { [type ?? "application/json"]: { schema } } },
    ]),
  );
  const codes = [...errors, ...commonErrors].join(", ");
  const problem = {
    description: `A problem with one of the codes ${codes}.`,
    content: { [problemType]: { schema: Problem } },
  };
  return {
    operationId: name,
    summary: doc,
    querystring: query,
    ...(params && { params }),
    ...(takesTransaction && { consumes: [transactionType], body: SignedBytes }),
    response: { ...response, default: problem },
  };
}

function fail(error: unknown, request: FastifyRequest, reply: FastifyReply, log: Log): void {
  const { "content-type": contentType, "content-length": contentLength } = request.headers;
  const known = ledgerErrorOf(error, { id: request.id, contentType, contentLength });
  const problem = problemOf(known);
  if (problem.status >= 500) {
    const facts = { request: request.id, route: request.routeOptions.url, code: known.code };
    log.error({ ...facts, error: (error as Error).stack ?? String(error) }, "request failed");
  }
  reply.code(problem.status).type(problemType).serializer(String).send(JSON.stringify(problem));
  if (error instanceof AssertionError) failLater(error);
}
