/** What gossip holds of one peer while it is under validation (number of src/p2p/transactions.ts). */
import { TopicValidatorResult } from "@libp2p/gossipsub";
import { expect, it } from "vitest";
import { silentLog } from "../../../src/base/log.ts";
import { zeroCounters } from "../../../src/p2p/counters.ts";
import type { Host } from "../../../src/p2p/host.ts";
import { encodeGossipFrame, TransactionGossip } from "../../../src/p2p/transactions.ts";

type Validator = (peer: unknown, message: { data: Uint8Array }) => Promise<TopicValidatorResult>;

it("(3) drops frames unread while many of their sender wait, however small they are", async () => {
  const topicValidators = new Map<string, Validator>();
  const pubsub = { topicValidators, subscribe() {} };
  const counters = zeroCounters();
  let judge = (): void => {};
  const judged = new Promise<void>((resolve) => {
    judge = resolve;
  });
  const gossip = new TransactionGossip({
    ...{ host: { services: { pubsub } } as unknown as Host, topic: "t", counters, log: silentLog },
    async onTransactions(_from, transactions) {
      await judged;
      return transactions.map(() => "accept");
    },
  });
  gossip.start();
  const peer = (mark: number) => ({
    type: "Ed25519",
    publicKey: { raw: new Uint8Array(32).fill(mark) },
  });
  const validate = topicValidators.get("t") as Validator;
  const data = encodeGossipFrame([Uint8Array.of(1)]);
  const flood = Array.from({ length: 20_000 }, () => validate(peer(1), { data }));
  const other = validate(peer(2), { data });
  const dropped = counters.gossipFramesDropped;
  expect(20_000 - dropped).toBeGreaterThan(5_000);
  expect(20_000 - dropped).toBeLessThan(9_000);
  judge();
  expect(await other).toBe(TopicValidatorResult.Accept);
  await Promise.all(flood);
  expect(await validate(peer(1), { data })).toBe(TopicValidatorResult.Accept);
  expect(counters.gossipFramesDropped).toBe(dropped);
});
