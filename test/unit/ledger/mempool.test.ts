import { describe, expect, it } from "vitest";
import type { Transaction } from "../../../src/base/format/transaction.ts";
import { limits } from "../../../src/base/limits.ts";
import { Mempool } from "../../../src/ledger/mempool.ts";
import { codeOf, crowd, genesisMs, senders, signing, testGenesis } from "./execution-fixture.ts";

const sign = signing(testGenesis());
const { ada, ben } = senders;

/** Bytes that a pending transaction holds. */
const held = ({ bytes }: Transaction) => bytes.length + limits.mempoolEntryBytes;

const add = (mempool: Mempool, transaction: Transaction) =>
  codeOf((async () => mempool.add(transaction))());

function selected(mempool: Mempool): string[] {
  const selection = mempool.select();
  const ids: string[] = [];
  for (let next = selection.next(); next !== undefined; next = selection.next()) ids.push(next.id);
  return ids;
}

describe("mempool", () => {
  it("takes from the senders in turn, each in the order of its nonces", () => {
    const mempool = new Mempool();
    const [a1, a2, a3] = [9, 7, 8].map((nonce) => sign(ada, { nonce }));
    const [b1, b2] = [4, 5].map((nonce) => sign(ben, { nonce }));
    for (const each of [a1, a2, b2, a3, b1]) mempool.add(each as Transaction);
    expect(selected(mempool)).toEqual([a2, b1, a3, b2, a1].map((each) => each?.id));
  });

  it("goes on with the others when one sender's next does not fit", () => {
    const mempool = new Mempool();
    const a = [sign(ada), sign(ada)];
    const b = [sign(ben), sign(ben)];
    for (const each of [...a, ...b]) mempool.add(each);
    const selection = mempool.select();
    expect(selection.next()?.id).toBe(a[0]?.id);
    selection.leaveSender();
    expect(selection.next()?.id).toBe(b[0]?.id);
    expect(selection.next()?.id).toBe(b[1]?.id);
    expect(selection.next()).toBeUndefined();
  });

  it("takes a transaction once and refuses another one with its nonce", async () => {
    const mempool = new Mempool();
    const transaction = sign(ada, { nonce: 5 });
    mempool.add(transaction);
    mempool.add(transaction);
    expect(mempool.count).toBe(1);
    const other = sign(ada, { nonce: 5, args: { key: "b" } });
    expect(await add(mempool, other)).toBe("TRANSACTION_NONCE_CONFLICT");
    expect(await add(mempool, sign(ben, { nonce: 5 }))).toBe("none");
  });

  it("holds a sender to its share, to the byte", async () => {
    const first = sign(ada, { nonce: 1 });
    const second = sign(ada, { nonce: 2 });
    const bytesMax = 4 * (held(first) + held(second));
    const exact = new Mempool({ bytesMax, senderShare: 4 });
    exact.add(first);
    expect(await add(exact, second)).toBe("none");
    const short = new Mempool({ bytesMax: bytesMax - 4, senderShare: 4 });
    short.add(first);
    expect(await add(short, second)).toBe("MEMPOOL_SENDER_SHARE");
  });

  it("gives way to a light sender when heavier ones have filled it, and to no other", async () => {
    const bytes = held(sign(ada));
    const dropped: string[] = [];
    const mempool = new Mempool({
      bytesMax: bytes * 20 + 500,
      senderShare: 2,
      onDropped: (id, code) => dropped.push(`${id} ${code}`),
    });
    const early = sign(crowd[0] as (typeof crowd)[0], { nonce: 1 });
    mempool.add(early);
    const flood = [ada, ben].flatMap((signer) => Array.from({ length: 10 }, () => sign(signer)));
    const codes = [];
    for (const each of flood) codes.push(await add(mempool, each));
    expect(codes.filter((code) => code === "none").length).toBeGreaterThanOrEqual(19);
    expect(mempool.get(early.id)).toBeDefined();
    const late = sign(crowd[1] as (typeof crowd)[0], { nonce: 1 });
    expect(await add(mempool, late)).toBe("none");
    expect(dropped).toHaveLength(1);
    const [lostId] = (dropped[0] as string).split(" ");
    expect(mempool.droppedCode(lostId as string)).toBe("MEMPOOL_FULL");
    expect(mempool.get(early.id)).toBeDefined();
    expect(await add(mempool, sign(ada))).toMatch(/^MEMPOOL_/);
    expect(mempool.bytes).toBeLessThanOrEqual(bytes * 20 + 500);
  });

  it("keeps a flooded mempool open to everybody else: one in, one out of the flood", async () => {
    const bytes = held(sign(ada));
    const mempool = new Mempool({ bytesMax: bytes * 16 + 500, senderShare: 1 });
    while ((await add(mempool, sign(ada))) === "none");
    const light = crowd.map((signer) => sign(signer, { nonce: 1 }));
    for (const each of light) expect(await add(mempool, each)).toBe("none");
    for (const each of light) expect(mempool.get(each.id)).toBeDefined();
    expect(selected(mempool).slice(0, 13)).toEqual(
      expect.arrayContaining(light.map(({ id }) => id)),
    );
  });

  it("drops what expired, remembers why, and forgets that when it comes again", () => {
    const mempool = new Mempool();
    const short = sign(ada, { expiresAtMs: genesisMs + 10 });
    const long = sign(ada, { expiresAtMs: genesisMs + 20 });
    mempool.add(short);
    mempool.add(long);
    mempool.expire(genesisMs + 9);
    expect(mempool.count).toBe(2);
    mempool.expire(genesisMs + 10);
    expect([mempool.count, mempool.droppedCode(short.id)]).toEqual([1, "TRANSACTION_EXPIRED"]);
    mempool.add(short);
    expect(mempool.droppedCode(short.id)).toBeUndefined();
    mempool.expire(genesisMs + 20);
    expect([mempool.count, mempool.bytes]).toEqual([0, 0]);
  });

  it("accounts for everything it removes", () => {
    const mempool = new Mempool();
    const list = [sign(ada), sign(ada), sign(ben)];
    for (const each of list) mempool.add(each);
    expect(mempool.bytes).toBe(list.reduce((sum, each) => sum + held(each), 0));
    for (const { id } of list) mempool.remove(id);
    expect([mempool.bytes, mempool.count, [...mempool.senders()]]).toEqual([0, 0, []]);
  });
});
