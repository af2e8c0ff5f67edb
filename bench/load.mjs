/**
 * The load generator. It shares the machine with the nodes, so it is cheap: transactions are signed
 * before the clock starts, sent over kept connections, and finality is learnt from one event
 * stream, as events carry the transaction's id.
 */
import { Agent, get, request } from "node:http";

const connectionsPerNode = 8;
const drainMsMax = 60_000;

/** Follows the events of one node and tells when a transaction is final there. */
export class FinalityFeed {
  #waiting = new Map();
  #request;

  /** Connects to a node's event stream, from its tip on. */
  static open(node) {
    const feed = new FinalityFeed();
    return new Promise((resolve, reject) => {
      feed.#request = get(`${node.url}/v1/events/stream?from=latest`, (response) => {
        let rest = "";
        response.setEncoding("utf8");
        response.on("data", (chunk) => {
          const messages = (rest + chunk).split("\n\n");
          rest = messages.pop();
          for (const message of messages) feed.#take(message);
          resolve(feed);
        });
      });
      feed.#request.on("error", reject);
    });
  }

  /** Calls back once, when the transaction is final. */
  expect(id, onFinal) {
    this.#waiting.set(id, onFinal);
  }

  close() {
    this.#request.on("error", () => {});
    this.#request.destroy();
  }

  #take(message) {
    // Only the id is looked at: parsing whole events would cost more than a node's share of work.
    const id = /"transactionId":"([0-9a-f]{64})"/.exec(message)?.[1];
    const onFinal = this.#waiting.get(id);
    if (onFinal === undefined) return;
    this.#waiting.delete(id);
    onFinal();
  }
}

/**
 * Sends prepared transactions and measures the time from the first byte sent to finality.
 *
 * @param options.ratePerSecond - Sends at this pace, whatever comes back (an open loop).
 * @param options.windowCount - Without a pace: so many on their way at once (a closed loop).
 */
export async function runLoad({ transactions, nodes, feed, ratePerSecond, windowCount }) {
  const agents = nodes.map(() => new Agent({ keepAlive: true, maxSockets: connectionsPerNode }));
  const latenciesMs = [];
  const refused = new Map();
  const startMs = performance.now();
  const cpuStart = process.cpuUsage();
  let sent = 0;
  let lastFinalMs = startMs;
  const done = Promise.withResolvers?.() ?? withResolvers();
  const settle = () => {
    if (latenciesMs.length + sum(refused) === transactions.length) done.resolve();
    else if (ratePerSecond === undefined) sendNext();
  };
  const refuse = (reason) => {
    refused.set(reason, (refused.get(reason) ?? 0) + 1);
    settle();
  };
  const sendNext = () => {
    const transaction = transactions[sent];
    if (transaction === undefined) return;
    const place = sent % nodes.length;
    sent += 1;
    const sentMs = performance.now();
    feed.expect(transaction.id, () => {
      lastFinalMs = performance.now();
      latenciesMs.push(lastFinalMs - sentMs);
      settle();
    });
    post(nodes[place].url, agents[place], transaction.bytes).then(
      (problem) => problem !== undefined && refuse(problem),
      (error) => refuse(error.code ?? String(error)),
    );
  };
  const timer =
    ratePerSecond === undefined
      ? undefined
      : setInterval(() => {
          const due = ((performance.now() - startMs) / 1_000) * ratePerSecond;
          while (sent < Math.min(due, transactions.length)) sendNext();
        }, 5);
  if (ratePerSecond === undefined) for (let count = 0; count < windowCount; count += 1) sendNext();
  const late = setTimeout(() => done.resolve(), drainMsMax + transactions.length * 10);
  await done.promise;
  clearInterval(timer);
  clearTimeout(late);
  for (const agent of agents) agent.destroy();
  const seconds = (lastFinalMs - startMs) / 1_000;
  const { user, system } = process.cpuUsage(cpuStart);
  const final = latenciesMs.length;
  return {
    final,
    refused: Object.fromEntries(refused),
    lost: transactions.length - final - sum(refused),
    seconds,
    perSecond: final / seconds,
    ...percentiles(latenciesMs, transactions.length),
    generatorCpuMs: (user + system) / 1_000,
  };
}

/** Sends signed bytes. @returns `undefined` when they were taken, else the refusal's code. */
export function post(url, agent, bytes) {
  return new Promise((resolve, reject) => {
    const headers = {
      "content-type": "application/octet-stream",
      "content-length": bytes.length,
    };
    const sending = request(`${url}/v1/transactions`, { method: "POST", agent, headers });
    sending.on("error", reject).on("response", (response) => {
      if (response.statusCode < 300) {
        response.resume();
        response.on("end", () => resolve(undefined));
        return;
      }
      let text = "";
      response.on("data", (chunk) => {
        text += chunk;
      });
      response.on("end", () =>
        resolve(/"code":"(\w+)"/.exec(text)?.[1] ?? `${response.statusCode}`),
      );
    });
    sending.end(bytes);
  });
}

/**
 * Percentiles over all that was sent: what never became final took infinitely long.
 *
 * @param count - How many were sent; not all of them need a latency.
 */
export function percentiles(latenciesMs, count) {
  const never = new Array(count - latenciesMs.length).fill(Number.POSITIVE_INFINITY);
  const sorted = [...latenciesMs.toSorted((left, right) => left - right), ...never];
  return {
    p50Ms: quantile(sorted, 0.5),
    p95Ms: quantile(sorted, 0.95),
    p99Ms: quantile(sorted, 0.99),
    maxMs: sorted.at(-1) ?? 0,
  };
}

function quantile(sorted, share) {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

function sum(counts) {
  let total = 0;
  for (const count of counts.values()) total += count;
  return total;
}

function withResolvers() {
  const parts = {};
  parts.promise = new Promise((resolve) => {
    parts.resolve = resolve;
  });
  return parts;
}
