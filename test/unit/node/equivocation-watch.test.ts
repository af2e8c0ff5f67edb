/** What is noticed when a validator contradicts itself, and that nothing else is. */
import { expect, it } from "vitest";
import { claimOf } from "../../../src/base/format/equivocation.ts";
import { claimMessage, encodeMessage, type Vote } from "../../../src/base/format/message.ts";
import { zeroHash } from "../../../src/base/hash.ts";
import { limits } from "../../../src/base/limits.ts";
import { EquivocationWatch } from "../../../src/node/equivocation-watch.ts";
import { blockBy, preparedBy, proposalOf, roundChangeOf, voteOf } from "../../sim/probe.ts";
import { chainId, drive, sorted, until } from "./driver-fixture.ts";

const x = blockBy(0, "x");
const y = blockBy(0, "y");
/** No claim that came unchecked is asked for here. */
const nothing = () => {
  throw new Error("nothing came unchecked");
};
const voteFor = (block: typeof x, round = 0) => voteOf("commit", 1, { round, block });

it("finds the second claim for one place, once, and keeps no blocks", () => {
  const watch = new EquivocationWatch();
  const [first, second] = [proposalOf(1, 1, x), proposalOf(1, 1, y)];
  expect(watch.note(first, nothing)).toEqual([]);
  expect(watch.contradicts(first)).toBe(false);
  expect(watch.contradicts(second)).toBe(true);
  expect(watch.note(second, nothing)).toEqual([[claimOf(first), claimOf(second)]]);
  expect(watch.contradicts(second)).toBe(false);
  expect(watch.note(second, nothing)).toEqual([]);
});

it("finds nothing in what honest validators do", () => {
  const watch = new EquivocationWatch();
  const messages = [
    proposalOf(1, 1, x),
    voteOf("prepare", 1, { round: 1, block: x }),
    voteFor(x, 1),
    voteFor(y, 2),
    voteOf("commit", 2, { round: 1, block: y }),
    roundChangeOf(1, 2, preparedBy([0, 1, 2], 1, x)),
    voteFor(x, 1),
  ];
  expect(messages.flatMap((message) => watch.note(message, nothing))).toEqual([]);
});

it("finds claims that are only shown inside other messages", () => {
  const watch = new EquivocationWatch();
  watch.note(voteOf("prepare", 1, { round: 0, block: y }), nothing);
  watch.note(roundChangeOf(3, 1), nothing);
  const roundChanges = [roundChangeOf(2, 1), roundChangeOf(3, 1, preparedBy([0, 1, 2], 0, x))];
  const prepares = preparedBy([0, 1, 2], 0, x).prepares;
  const found = watch.note(proposalOf(1, 1, x, { roundChanges, prepares }), nothing);
  expect(found.map(([{ validator, kind }]) => [validator.slice(0, 2), kind])).toEqual([
    ["12", "prepare"],
    ["14", "roundChange"],
  ]);
});

it("keeps no more of one validator than the limit, and the others are not touched", () => {
  const watch = new EquivocationWatch();
  watch.note(voteOf("commit", 2, { round: 0, block: x }), nothing);
  for (let round = 0; round <= limits.watchedClaimsMax; round += 1)
    watch.note(voteFor(x, round), nothing);
  expect(watch.contradicts(voteFor(y, 0))).toBe(false);
  expect(watch.contradicts(voteFor(y, 1))).toBe(true);
  expect(watch.contradicts(voteOf("commit", 2, { round: 0, block: y }))).toBe(true);
});

it("compares what came unchecked, without taking it for proven", () => {
  const watch = new EquivocationWatch();
  expect(watch.compare(voteFor(x))).toBeUndefined();
  expect(watch.compare(voteFor(x))).toBeUndefined();
  expect(watch.contradicts(voteFor(y))).toBe(false);
  expect(watch.compare(voteFor(y))).toEqual(claimOf(voteFor(x)));
  // Both may be forged: whoever comes next is not compared with either.
  expect(watch.compare(voteFor(y))).toBeUndefined();
  const resigned = { ...voteFor(y), signature: new Uint8Array(64).fill(7) };
  expect(watch.compare(resigned)).toEqual(claimOf(voteFor(y)));
  watch.note(voteFor(x, 1), nothing);
  expect(watch.compare(voteFor(y, 1))).toBeUndefined();
});

it("has what came unchecked before a verified claim checked, if they differ", () => {
  const watch = new EquivocationWatch();
  const asked: unknown[] = [];
  const answering = (answer: boolean) => (claim: unknown) => {
    asked.push(claim);
    return answer;
  };
  for (const round of [0, 1, 2]) watch.compare(voteFor(x, round));
  expect(watch.note(voteFor(x, 0), answering(true))).toEqual([]);
  expect(asked).toEqual([]);
  expect(watch.note(voteFor(y, 1), answering(false))).toEqual([]);
  expect(watch.note(voteFor(y, 2), answering(true))).toEqual([
    [claimOf(voteFor(y, 2)), claimOf(voteFor(x, 2))],
  ]);
  expect(asked).toEqual([claimOf(voteFor(x, 1)), claimOf(voteFor(x, 2))]);
});

it("keeps no more that is unchecked than the limit, either", () => {
  const watch = new EquivocationWatch();
  for (let round = 0; round <= limits.watchedClaimsMax; round += 1)
    watch.compare(voteFor(x, round));
  expect(watch.compare(voteFor(y, 1))).toEqual(claimOf(voteFor(x, 1)));
  expect(watch.compare(voteFor(y, 0))).toBeUndefined();
});

it("the driver reports what two verified messages prove, and nothing for a forged one", async () => {
  const { driver, equivocations } = drive();
  const other = sorted[1] as (typeof sorted)[0];
  const send = (blockHash: string, signer = other) => {
    const claim: Vote = { kind: "commit", height: 1, round: 0, blockHash };
    const signature = signer.sign(claimMessage(claim, chainId));
    driver.receive(encodeMessage({ ...claim, validator: other.publicKey, signature }));
  };
  send(zeroHash);
  expect(() => send("22".repeat(32), sorted[2])).toThrow("CONSENSUS_SIGNATURE_INVALID");
  expect(equivocations).toEqual([]);
  send("33".repeat(32));
  await until(() => equivocations.length === 1);
  const [height, votes] = [1, driver.status.validators.map(({ votedHeight }) => votedHeight)];
  expect(votes).toEqual([undefined, height, undefined, undefined]);
  await driver.stop();
});
