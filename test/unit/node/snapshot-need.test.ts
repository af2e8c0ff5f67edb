/** When a node gives up its ledger for a snapshot: proven, by enough peers, and not again and again. */
import { describe, expect, it } from "vitest";
import { AssertionError } from "../../../src/base/assert.ts";
import { LedgerError } from "../../../src/base/errors.ts";
import type { Header } from "../../../src/base/format/block.ts";
import { silentLog } from "../../../src/base/log.ts";
import { encodeManifest } from "../../../src/ledger/snapshot-format.ts";
import { SnapshotNeed } from "../../../src/node/snapshot-need.ts";
import { testGenesis, testVerifier } from "../../helpers/chain.ts";
import { changedManifest } from "../../helpers/changed-manifest.ts";

const genesis = testGenesis("test ledger", { snapshotInterval: 16 });
const context = { genesis, verifier: testVerifier };
/** Of height 16, by as many validators. */
const shownBy = (validators: number) =>
  encodeManifest(changedManifest(genesis, validators).manifest);
const ofFour = shownBy(4);
const ofOne = shownBy(1);
const forged = () => {
  const { manifest } = changedManifest(genesis, 1);
  return encodeManifest({ ...manifest, changes: [] });
};

/** What peers answer when they are asked for their manifest. */
type Answers = Readonly<Record<string, () => Uint8Array | Promise<Uint8Array>>>;

const headerAt = (height: number, validators = 4) =>
  changedManifest(genesis, validators).manifest.headers[height] as Header;
/** A node that knows the four of the genesis. */
const at = (height: number) => ({ tip: headerAt(height), memberCount: 4 });

function needOf(sync: "blocks" | "snapshot") {
  const warnings: object[] = [];
  const warn = (facts: object, message: string) =>
    message.startsWith("peer passed over") && warnings.push(facts);
  const need = new SnapshotNeed({ config: { sync }, context, log: { ...silentLog, warn } });
  let asked = 0;
  const look = (answers: Answers, own = at(0), nowMs = 0) =>
    need.look(
      Object.keys(answers),
      own,
      {
        requestManifest: async (peer) => {
          asked += 1;
          return (answers[peer] as () => Uint8Array | Promise<Uint8Array>)();
        },
      },
      nowMs,
    );
  return { need, look, asked: () => asked, warnings };
}

const four = () => ofFour;
const one = () => ofOne;
const silent = () => new Promise<Uint8Array>(() => {});
const refusing = () =>
  Promise.reject(new LedgerError("P2P_SYNC_PRUNED", { peer: "a", request: "manifest", height: 0 }));

describe("the need of a snapshot", () => {
  it("is there when more peers than can be faulty have pruned the next block", async () => {
    expect(await needOf("blocks").look({ a: four })).toBe("none");
    expect(await needOf("blocks").look({ a: four, b: four })).toBe("wanted");
  });

  it("(1) is measured by the validators of now, of whom there may be one of the four of the genesis", async () => {
    expect(await needOf("blocks").look({ a: one })).toBe("wanted");
  });

  it("(1) is measured by those that this node knows if they are fewer", async () => {
    const own = { ...at(0), memberCount: 1 };
    expect(await needOf("blocks").look({ a: four }, own)).toBe("wanted");
  });

  it("(2) is not there for a word alone, nor for what proves nothing, nor for what is below", async () => {
    expect(await needOf("blocks").look({ a: refusing, b: refusing, c: refusing })).toBe("none");
    expect(await needOf("blocks").look({ a: forged, b: forged, c: forged })).toBe("none");
    expect(await needOf("blocks").look({ a: () => Uint8Array.of(1), b: refusing })).toBe("none");
    expect(await needOf("snapshot").look({ a: four, b: four }, at(16))).toBe("none");
    expect(await needOf("snapshot").look({ a: four, b: four }, at(15))).toBe("wanted");
  });

  it("(2) is not there for what former validators certify against those that this node knows", async () => {
    const own = { tip: headerAt(12, 1), memberCount: 1 };
    const { look, warnings } = needOf("snapshot");
    expect(await look({ a: four, b: four, c: four, d: four }, own)).toBe("none");
    expect(String(warnings.map((each) => JSON.stringify(each)))).toContain("than the ledger here");
    expect(await needOf("snapshot").look({ a: one }, own)).toBe("wanted");
  });

  it("(3) costs a wrong manifest of each peer once, and names who sent it", async () => {
    const { look, asked, warnings } = needOf("blocks");
    for (let nowMs = 0; nowMs < 3_600_000; nowMs += 60_000)
      expect(await look({ a: forged, b: forged }, at(0), nowMs)).toBe("none");
    expect(asked()).toBe(2);
    expect(warnings).toMatchObject([{ peer: "a" }, { peer: "b" }]);
    const low = needOf("snapshot");
    for (let nowMs = 0; nowMs < 120_000; nowMs += 5_000)
      expect(await low.look({ a: four, b: four }, at(16), nowMs)).toBe("none");
    expect(low.asked()).toBe(4);
    expect(low.warnings).toEqual([]);
  });

  it("is not held up by those who keep silent or lie, and asks eight at once", async () => {
    const answers = { a: silent, b: forged, c: refusing, d: four };
    expect(await needOf("blocks").look(answers)).toBe("wanted");
    const { look, asked } = needOf("blocks");
    void look(Object.fromEntries(Array.from({ length: 20 }, (_, index) => [`p${index}`, silent])));
    expect(asked()).toBe(8);
    const others = Object.fromEntries(
      Array.from({ length: 20 }, (_, index) => [`p${index}`, four]),
    );
    const early = needOf("blocks");
    expect(await early.look({ ...others })).toBe("wanted");
    await new Promise((resolve) => setImmediate(resolve));
    expect(early.asked()).toBeLessThan(17);
  });

  it("does not cost a node its blocks unless it is configured so", async () => {
    expect(await needOf("blocks").look({ a: four, b: four }, at(7))).toBe("unwanted");
    expect(await needOf("snapshot").look({ a: four, b: four }, at(7))).toBe("wanted");
  });

  it("is told seldom, and looked at seldom as long as it is not there", async () => {
    const { look, asked } = needOf("blocks");
    const found: string[] = [];
    for (const nowMs of [0, 1, 19_999, 20_001]) found.push(await look({ a: one }, at(0), nowMs));
    expect(found).toEqual(["wanted", "none", "none", "wanted"]);
    expect(asked()).toBe(2);
    const idle = needOf("blocks");
    for (let nowMs = 0; nowMs < 20_000; nowMs += 1_000)
      await idle.look({ a: refusing }, at(0), nowMs);
    expect(idle.asked()).toBe(4);
  });

  it("is looked at anew at once when one more says that it pruned the next block", async () => {
    const { look, asked } = needOf("blocks");
    expect(await look({ a: four }, at(0), 0)).toBe("none");
    expect(await look({ a: four }, at(0), 1_000)).toBe("none");
    expect(asked()).toBe(1);
    expect(await look({ a: four, b: four }, at(0), 1_000)).toBe("wanted");
  });

  it("is found by those who say so later, while one who said so first keeps silent", async () => {
    const { look } = needOf("blocks");
    const first = look({ a: silent });
    expect(await look({ a: silent, b: four, c: four }, at(0), 1)).toBe("wanted");
    expect(await Promise.race([first, Promise.resolve("under way")])).toBe("under way");
  });

  it("is told once, though two looks see it", async () => {
    const { look } = needOf("blocks");
    let answer = (_: Uint8Array) => {};
    const late = () =>
      new Promise<Uint8Array>((resolve) => {
        answer = resolve;
      });
    const first = look({ a: late });
    expect(await look({ a: one }, at(0), 5_000)).toBe("wanted");
    answer(ofOne);
    expect(await first).toBe("none");
  });

  it("is there again soon for a node that got one and fell behind again", async () => {
    const { need, look } = needOf("snapshot");
    expect(await look({ a: one }, at(0), 0)).toBe("wanted");
    expect(await look({ a: one }, at(5), 5_000)).toBe("none");
    need.noteReplaced();
    expect(await look({ a: one }, at(5), 10_000)).toBe("wanted");
  });

  it("does not hide a broken invariant of this node", async () => {
    const broken = () => Promise.reject(new AssertionError("broken"));
    await expect(needOf("blocks").look({ a: broken })).rejects.toThrow("broken");
  });
});
