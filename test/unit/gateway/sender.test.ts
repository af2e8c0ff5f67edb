import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { decodeTransaction } from "../../../src/base/format/transaction.ts";
import type { Signer } from "../../../src/base/keys.ts";
import { LedgerClient } from "../../../src/client/client.ts";
import { trustOf } from "../../../src/client/finality.ts";
import { Outbox } from "../../../src/gateway/outbox.ts";
import { Sender, type SenderParts } from "../../../src/gateway/sender.ts";
import { nativeVerifier } from "../../../src/node/native-crypto.ts";
import { signerOf } from "../../helpers/evidence-chain.ts";
import { FakeLedger, FakeNode, gatewaySigner, genesis, problem, readingOf } from "./fake-ledger.ts";

let directory: string;
let outbox: Outbox;
let ledger: FakeLedger;
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "loopledger-sender-"));
  outbox = await Outbox.open(directory);
  ledger = new FakeLedger();
});
afterEach(async () => {
  vi.restoreAllMocks();
  await outbox.close();
  rmSync(directory, { recursive: true, force: true });
});

function senderOf(nodes: readonly FakeNode[], parts: Partial<SenderParts> = {}): Sender {
  return new Sender({
    outbox,
    clients: nodes.map(
      (node, index) => new LedgerClient({ nodes: [`http://node-${index}`], fetch: node.fetch }),
    ),
    trust: trustOf(genesis, nativeVerifier),
    signer: gatewaySigner,
    clock: { nowMs: () => ledger.timeMs },
    batchCount: 4,
    windowCount: 3,
    gasLimitMax: 300_000_000,
    pauseMs: 1,
    waitMs: 40,
    ...parts,
  });
}

async function accept(count: number, from = 1): Promise<void> {
  const readings = Array.from({ length: count }, (_, index) => readingOf(from + index));
  await outbox.accept(readings, { source: "s", rows: count }, 1_000);
}

const atEnd = () => true;

async function until(condition: () => boolean): Promise<void> {
  await vi.waitFor(() => expect(condition()).toBe(true), { timeout: 3_000, interval: 2 });
}

describe("the way of a reading", () => {
  it("brings every reading onto the ledger once, in batches, and forgets them", async () => {
    await accept(30);
    await senderOf([new FakeNode(ledger)]).run(atEnd);
    expect(ledger.once).toBe(30);
    expect(ledger.finalOnes).toHaveLength(8);
    expect(outbox.counts).toEqual({ queued: 0, inFlight: 0, final: 30, refused: 0 });
    expect(await outbox.live()).toEqual([]);
  });

  it("keeps no more transactions on their way than the window holds", async () => {
    ledger.isDeciding = false;
    let most = 0;
    const timer = setInterval(() => {
      most = Math.max(most, ledger.pending.size);
      ledger.decide();
    }, 25);
    ledger.judge = ([, , energyWh]) => (energyWh === 50 ? "METERING_REGISTER_MISFIT" : "ok");
    await accept(60);
    await senderOf([new FakeNode(ledger)], { windowCount: 3, waitMs: 1_000 }).run(atEnd);
    clearInterval(timer);
    expect(most).toBe(3);
    expect(ledger.once).toBe(59);
  });

  it("takes readings that come while it waits, and ends only when the source has", async () => {
    let isAtEnd = false;
    const sender = senderOf([new FakeNode(ledger)]);
    const running = sender.run(() => isAtEnd);
    for (let chunk = 0; chunk < 5; chunk += 1) {
      await accept(6, 1 + chunk * 6);
      sender.notify();
      await until(() => outbox.counts.final === (chunk + 1) * 6);
    }
    isAtEnd = true;
    sender.notify();
    await running;
    expect(ledger.once).toBe(30);
  });

  it("makes no warning of its many waits, and leaves no rejection behind", async () => {
    const warn = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    await accept(60);
    const node = new FakeNode(ledger);
    let refusals = 60;
    node.intercept = ({ method }) => {
      if (method !== "POST" || refusals === 0) return undefined;
      refusals -= 1;
      return problem("MEMPOOL_FULL");
    };
    await senderOf([node], { windowCount: 16, batchCount: 2 }).run(atEnd);
    expect(ledger.once).toBe(60);
    expect(warn).not.toHaveBeenCalled();
  });
});

describe("nodes that are away", () => {
  it("goes to the next node when one dies with transactions on their way", async () => {
    const [first, second] = [new FakeNode(ledger), new FakeNode(ledger)];
    ledger.isDeciding = false;
    await accept(20);
    const running = senderOf([first, second], { waitMs: 2_000 }).run(atEnd);
    await until(() => ledger.pending.size === 3);
    first.isAway = true;
    ledger.isDeciding = true;
    ledger.decide();
    await running;
    expect(ledger.once).toBe(20);
  });

  it("sends again what all nodes forgot", async () => {
    ledger.isDeciding = false;
    await accept(4);
    const running = senderOf([new FakeNode(ledger)], { waitMs: 2_000 }).run(atEnd);
    await until(() => ledger.pending.size === 1);
    ledger.isDeciding = true;
    ledger.forgetPending();
    await running;
    expect(ledger.finalOnes).toHaveLength(1);
    expect(ledger.once).toBe(4);
  });

  it("waits while none answers, and goes on with the very same bytes", async () => {
    const node = new FakeNode(ledger);
    await accept(4);
    ledger.isDeciding = false;
    const sender = senderOf([node]);
    const running = sender.run(atEnd);
    await until(() => ledger.pending.size === 1);
    const [sent] = [...ledger.pending.values()];
    node.isAway = true;
    ledger.forgetPending();
    await until(() => sender.lastError?.includes("CLIENT_UNREACHABLE") === true);
    ledger.isDeciding = true;
    node.isAway = false;
    await running;
    expect(ledger.finalOnes.map(({ id }) => id)).toEqual([sent?.id]);
  });

  it("stops at once at any moment, also when a node never answers, and keeps everything", async () => {
    const silent = () => new Promise<undefined>(() => {});
    for (const path of ["/v1/state", "/v1/transactions", "wait", "/proof"]) {
      const node = new FakeNode(ledger);
      let isReached = false;
      node.intercept = ({ url }) => {
        if (!url.href.includes(path)) return undefined;
        isReached = true;
        return silent();
      };
      await accept(2, outbox.counts.queued + outbox.counts.inFlight + 1);
      const sender = senderOf([node], { waitMs: 60_000, batchCount: 1 });
      const running = sender.run(atEnd);
      await until(() => isReached);
      const startMs = performance.now();
      sender.stop();
      await running;
      expect(performance.now() - startMs).toBeLessThan(1_000);
    }
    await senderOf([new FakeNode(ledger)]).run(atEnd);
    expect(outbox.counts).toMatchObject({ queued: 0, inFlight: 0, final: 8 });
    expect(ledger.once).toBe(ledger.applied.size);
  });
});

describe("nodes that lie", () => {
  it("never forgets for a certificate with too few signatures, and finds the honest node", async () => {
    const liar = new FakeNode(new FakeLedger(2));
    // It proves its state, as an honest one does, to be believed with the transactions.
    liar.intercept = ({ url }) =>
      url.pathname === "/v1/state"
        ? { status: 200, json: ledger.provenState(url.searchParams.get("key") as string) }
        : undefined;
    await accept(8);
    const alone = senderOf([liar]);
    const running = alone.run(atEnd);
    await until(() => liar.ledger.applied.size === 8 && alone.lastError !== undefined);
    expect(alone.lastError).toContain("CLIENT_PROOF_INVALID");
    alone.stop();
    await running;
    expect(outbox.counts).toMatchObject({ final: 0, inFlight: 8 });
    await senderOf([liar, new FakeNode(ledger)]).run(atEnd);
    expect(ledger.once).toBe(8);
    expect(outbox.counts).toMatchObject({ final: 8, inFlight: 0 });
  });

  it("never forgets for the proof of another transaction", async () => {
    await accept(4);
    await senderOf([new FakeNode(ledger)]).run(atEnd);
    const [other] = ledger.finalOnes;
    const liar = new FakeNode(ledger);
    liar.intercept = ({ method, url }) => {
      const id = url.pathname.split("/")[3] ?? "";
      if (url.pathname.endsWith("/proof"))
        return { status: 200, json: ledger.proof(other?.id as string) };
      const status = { ...ledger.look(other?.id as string), id };
      return method === "GET" && id.length === 64 ? { status: 200, json: status } : undefined;
    };
    ledger.isDeciding = false;
    await accept(4, 5);
    const sender = senderOf([liar]);
    const running = sender.run(atEnd);
    await until(() => sender.lastError?.includes("CLIENT_PROOF_INVALID") === true);
    sender.stop();
    await running;
    expect(outbox.counts).toMatchObject({ final: 4, inFlight: 4 });
  });

  it("signs nothing again for a claim that bytes are expired or a nonce is used", async () => {
    ledger.isDeciding = false;
    const liar = new FakeNode(ledger);
    const forged = new FakeLedger(2);
    forged.timeMs = ledger.timeMs + 1e9;
    forged.decide();
    let claims = 0;
    liar.intercept = ({ method, url }) => {
      if (url.pathname === "/v1/state" && claims > 0)
        return { status: 200, json: forged.provenState(url.searchParams.get("key") as string) };
      if (method !== "POST") return undefined;
      claims += 1;
      return problem(claims % 2 === 0 ? "TRANSACTION_EXPIRED" : "TRANSACTION_NONCE_USED");
    };
    await accept(4);
    const sender = senderOf([liar]);
    const running = sender.run(atEnd);
    await until(() => claims > 5);
    expect(outbox.nextNonce).toBe(2);
    sender.stop();
    await running;
    expect(await outbox.live()).toHaveLength(1);
  });

  it("does not stop, split or put aside for the refusal of one node among several", async () => {
    for (const code of ["TRANSACTION_SENDER_UNKNOWN", "TRANSACTION_TOO_LARGE"] as const) {
      const liar = new FakeNode(ledger);
      liar.intercept = () => problem(code);
      const before = ledger.finalOnes.length;
      await accept(4, 1 + before * 4);
      await senderOf([liar, new FakeNode(ledger)]).run(atEnd);
      expect(ledger.finalOnes.length - before).toBe(1);
    }
    expect(outbox.counts).toMatchObject({ final: 8, refused: 0 });
  });

  it("does not sign again for a node that denies what another one proves", async () => {
    await accept(4);
    ledger.isDeciding = false;
    const [honest, liar] = [new FakeNode(ledger), new FakeNode(ledger)];
    const first = senderOf([honest]);
    const running = first.run(atEnd);
    await until(() => ledger.pending.size === 1);
    first.stop();
    await running;
    ledger.decide();
    liar.intercept = ({ method, url }) => {
      if (method === "POST") return problem("TRANSACTION_NONCE_USED");
      return url.pathname === "/v1/state" ? undefined : problem("API_TRANSACTION_UNKNOWN");
    };
    await senderOf([liar, honest]).run(atEnd);
    expect(ledger.finalOnes).toHaveLength(1);
    expect(outbox.counts).toMatchObject({ final: 4, inFlight: 0 });
  });
});

it("does not take a node's silence for the proof that a used nonce was another's", async () => {
  await accept(4);
  ledger.isDeciding = false;
  const node = new FakeNode(ledger);
  const sender = senderOf([node]);
  const running = sender.run(atEnd);
  await until(() => ledger.pending.size === 1);
  let denials = 0;
  node.intercept = ({ method, url }) => {
    if (method === "POST") return problem("TRANSACTION_NONCE_USED");
    if (!url.pathname.endsWith("/proof")) return undefined;
    denials += 1;
    return problem("API_INTERNAL");
  };
  ledger.decide();
  await until(() => denials > 3);
  node.intercept = () => undefined;
  await running;
  expect(ledger.finalOnes).toHaveLength(1);
  expect(outbox.nextNonce).toBe(2);
});

describe("bytes that expire, nonces that are taken", () => {
  it("signs expired readings again only when certified time is past the expiry", async () => {
    ledger.isDeciding = false;
    const node = new FakeNode(ledger);
    await accept(4);
    const running = senderOf([node], { expiryMs: 5_000, waitMs: 15 }).run(atEnd);
    await until(() => ledger.pending.size === 1);
    const [old] = [...ledger.pending.values()];
    // The node's own clock is past the expiry, but no block is yet.
    ledger.forgetPending();
    node.intercept = ({ method }) =>
      method === "POST" ? problem("TRANSACTION_EXPIRED") : undefined;
    const seen = node.requests.length;
    await until(() => node.requests.length > seen + 6);
    expect(outbox.nextNonce).toBe(2);
    node.intercept = () => undefined;
    ledger.timeMs += 5_000;
    ledger.decide();
    ledger.isDeciding = true;
    await running;
    expect(outbox.nextNonce).toBe(3);
    expect(ledger.finalOnes.map(({ nonce }) => nonce)).toEqual([2]);
    expect(ledger.finalOnes[0]?.id).not.toBe(old?.id);
    expect(ledger.once).toBe(4);
  });

  it("does not sign again what became final before its expiry passed", async () => {
    ledger.isDeciding = false;
    const node = new FakeNode(ledger);
    await accept(4);
    const running = senderOf([node], { expiryMs: 5_000, waitMs: 15 }).run(atEnd);
    await until(() => ledger.pending.size === 1);
    node.isAway = true;
    ledger.decide();
    ledger.timeMs += 10_000;
    ledger.decide();
    node.isAway = false;
    await running;
    expect(ledger.finalOnes).toHaveLength(1);
    expect(outbox.counts).toMatchObject({ final: 4 });
  });

  it("starts behind the nonces that its key used elsewhere, also from an old copy", async () => {
    ledger.useElsewhere(500);
    await accept(4);
    await senderOf([new FakeNode(ledger)]).run(atEnd);
    // The outbox is as old as a copy now: its next nonce is used by another body.
    ledger.useElsewhere(502, 503);
    await accept(4, 5);
    await senderOf([new FakeNode(ledger)]).run(atEnd);
    expect(ledger.finalOnes.map(({ nonce }) => nonce)).toEqual([501, 504]);
  });

  it.each([
    ["took the nonce", [1], 2],
    ["left the nonce behind the window", [1_000, 2_000], 2_001],
  ])("signs again behind the highest nonce when another holder of the key %s", async (...row) => {
    const [, nonces, expected] = row;
    ledger.isDeciding = false;
    await accept(4);
    const first = senderOf([new FakeNode(ledger)]);
    const running = first.run(atEnd);
    await until(() => ledger.pending.size === 1);
    first.stop();
    await running;
    ledger.forgetPending();
    ledger.useElsewhere(...nonces);
    ledger.isDeciding = true;
    await senderOf([new FakeNode(ledger)]).run(atEnd);
    expect(ledger.finalOnes.map(({ nonce }) => nonce)).toEqual([expected]);
    expect(outbox.counts).toMatchObject({ final: 4, inFlight: 0 });
  });

  it("skips all nonces that another holder of the key used meanwhile", async () => {
    ledger.isDeciding = false;
    await accept(4);
    const running = senderOf([new FakeNode(ledger)]).run(atEnd);
    await until(() => ledger.pending.size === 1);
    ledger.isDeciding = true;
    ledger.useElsewhere(1, 2, 3, 4, 5, 900);
    await running;
    expect(ledger.finalOnes.map(({ nonce }) => nonce)).toEqual([901]);
  });

  it.each([
    ["a year slow", -365],
    ["a year fast", 365],
  ])("works with a clock that is %s", async (_name, days) => {
    await accept(8);
    const clock = { nowMs: () => ledger.timeMs + days * 86_400_000 };
    await senderOf([new FakeNode(ledger)], { clock }).run(atEnd);
    expect(ledger.finalOnes.map(({ nonce }) => nonce).sort()).toEqual([1, 2]);
  });
});

describe("what the ledger refuses", () => {
  it("halves a batch down to the bad reading, and keeps that with the code", async () => {
    ledger.judge = ([, , energyWh]) => (energyWh === 70 ? "METERING_REGISTER_MISFIT" : "ok");
    await accept(16);
    await senderOf([new FakeNode(ledger)], { batchCount: 16 }).run(atEnd);
    expect(ledger.once).toBe(15);
    expect(await outbox.refused(10)).toEqual([
      { reading: readingOf(7), code: "METERING_REGISTER_MISFIT" },
    ]);
    expect(outbox.counts).toEqual({ queued: 0, inFlight: 0, final: 15, refused: 1 });
    // 16 fail, 8 and 8, 4 and 4, 2 and 2, 1 and 1.
    expect(ledger.finalOnes).toHaveLength(9);
  });

  it("stops at an unknown sender, says why, and keeps everything for the right key", async () => {
    await accept(8);
    const stranger: Signer = signerOf(77);
    const run = senderOf([new FakeNode(ledger), new FakeNode(ledger)], { signer: stranger }).run(
      atEnd,
    );
    await expect(run).rejects.toMatchObject({
      code: "GATEWAY_SENDER_REFUSED",
      facts: { refusal: "TRANSACTION_SENDER_UNKNOWN" },
    });
    const { queued, inFlight, final, refused } = outbox.counts;
    expect([queued + inFlight, final, refused]).toEqual([8, 0, 0]);
  });

  it.each([
    "TRANSACTION_SENDER_SUSPENDED",
    "TRANSACTION_ROLE_MISSING",
    "TRANSACTION_CHAIN_MISMATCH",
  ] as const)("stops at %s although another node is away, and goes on later", async (code) => {
    const [node, away] = [new FakeNode(ledger), new FakeNode(ledger)];
    away.isAway = true;
    node.intercept = ({ method }) => (method === "POST" ? problem(code) : undefined);
    await accept(8);
    const run = senderOf([away, node]).run(atEnd);
    await expect(run).rejects.toMatchObject({ facts: { refusal: code } });
    node.intercept = () => undefined;
    await senderOf([away, node]).run(atEnd);
    expect(ledger.once).toBe(8);
  });

  it("stops at an unregistered meter, puts nothing aside, and goes on once it is there", async () => {
    ledger.judge = () => "METERING_METER_UNKNOWN";
    await accept(20);
    const run = senderOf([new FakeNode(ledger)]).run(atEnd);
    await expect(run).rejects.toMatchObject({
      facts: { refusal: "METERING_METER_UNKNOWN for m1" },
    });
    const { queued, inFlight, refused } = outbox.counts;
    expect([queued + inFlight, refused]).toEqual([20, 0]);
    ledger.judge = () => "ok";
    await senderOf([new FakeNode(ledger)]).run(atEnd);
    expect(ledger.once).toBe(20);
  });

  it("tries once more what failed for its setting before this start", async () => {
    ledger.isDeciding = false;
    await accept(12);
    const first = senderOf([new FakeNode(ledger)]);
    const running = first.run(atEnd);
    await until(() => ledger.pending.size === 3);
    first.stop();
    await running;
    ledger.judge = () => "METERING_GATEWAY_FOREIGN";
    ledger.decide();
    ledger.judge = () => "ok";
    ledger.isDeciding = true;
    await senderOf([new FakeNode(ledger)]).run(atEnd);
    expect(ledger.once).toBe(12);
  });

  it("asks for no more gas than a call of the ledger may have", async () => {
    await accept(4);
    await senderOf([new FakeNode(ledger)], { gasLimitMax: 1_000 }).run(atEnd);
    expect(ledger.finalOnes.map(({ gasLimit }) => gasLimit)).toEqual([1_000]);
  });
});

describe("a disk that fails", () => {
  it("stops, reports it, sends nothing more, and never uses a nonce for two bodies", async () => {
    const bodies = new Map<number, Set<string>>();
    const node = new FakeNode(ledger);
    node.intercept = ({ method, body }) => {
      if (method !== "POST") return undefined;
      const { nonce, id } = decodeTransaction(body);
      bodies.set(nonce, (bodies.get(nonce) ?? new Set()).add(id));
      return undefined;
    };
    await accept(40);
    // The batch is on disk, but the write says that it failed; and then it fails indeed.
    for (let run = 0; run < 6; run += 1) {
      const database = await levelPrototype();
      const { batch } = database;
      let writes = run;
      const spy = vi.spyOn(database, "batch").mockImplementation(async function (
        this: unknown,
        ...input: unknown[]
      ) {
        writes -= 1;
        if (writes >= 0 || run % 2 === 0) await Reflect.apply(batch, this, input);
        if (writes < 0) throw new Error("EIO");
      });
      const sender = senderOf([node], { batchCount: 2 });
      await expect(sender.run(atEnd)).rejects.toMatchObject({
        code: "GATEWAY_OUTBOX_WRITE_FAILED",
      });
      expect(sender.isStopped).toBe(true);
      spy.mockRestore();
      await expect(accept(1)).rejects.toMatchObject({ code: "GATEWAY_OUTBOX_WRITE_FAILED" });
      await outbox.close();
      outbox = await Outbox.open(directory);
    }
    await senderOf([node]).run(atEnd);
    expect(ledger.once).toBe(40);
    expect(outbox.counts).toEqual({ queued: 0, inFlight: 0, final: 40, refused: 0 });
    expect([...bodies.values()].every(({ size }) => size === 1)).toBe(true);
  });
});

async function levelPrototype(): Promise<{ batch: (...input: unknown[]) => Promise<unknown> }> {
  const { Level } = await import("level");
  return Level.prototype as unknown as { batch: (...input: unknown[]) => Promise<unknown> };
}
