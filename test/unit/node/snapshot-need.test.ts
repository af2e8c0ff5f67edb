/** When a node gives up its ledger for a snapshot: proven, by enough peers, and not again and again. */
import { describe, expect, it } from "vitest";
import { AssertionError } from "../../../src/base/assert.ts";
import { LedgerError } from "../../../src/base/errors.ts";
import { silentLog } from "../../../src/base/log.ts";
import { encodeManifest } from "../../../src/ledger/snapshot-format.ts";
import { SnapshotNeed } from "../../../src/node/snapshot-need.ts";
import { testGenesis, testVerifier } from "../../helpers/chain.ts";
import { changedManifest } from "../../helpers/changed-manifest.ts";

const genesis = testGenesis("test ledger", { snapshotInterval: 16 });
const context = { genesis, verifier: testVerifier };
const log = silentLog;
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

function needOf(sync: "blocks" | "snapshot") {
  const need = new SnapshotNeed({ config: { sync }, context, log });
  let asked = 0;
  const look = (answers: Answers, height = 0, nowMs = 0) =>
    need.look(
      Object.keys(answers),
      height,
      {
        requestManifest: async (peer) => {
          asked += 1;
          return (answers[peer] as Answers[string])();
        },
      },
      nowMs,
    );
  return { need, look, asked: () => asked };
}

const four = () => ofFour;
const one = () => ofOne;
const silent = () => new Promise<Uint8Array>(() => {});
const without = () =>
  Promise.reject(new LedgerError("P2P_SYNC_PRUNED", { peer: "a", request: "manifest", height: 0 }));

describe("the need of a snapshot", () => {
  it("is there when more peers than can be faulty have pruned the next block", async () => {
    expect(await needOf("blocks").look({ a: four })).toBe("none");
    expect(await needOf("blocks").look({ a: four, b: four })).toBe("wanted");
  });

  it("(1) is measured by the validators of now, of whom there may be one of the four of the genesis", async () => {
    expect(await needOf("blocks").look({ a: one })).toBe("wanted");
  });

  it("(2) is not there for a word alone, nor for what proves nothing, nor for what is below", async () => {
    expect(await needOf("blocks").look({ a: without, b: without, c: without })).toBe("none");
    expect(await needOf("blocks").look({ a: forged, b: forged, c: forged })).toBe("none");
    expect(await needOf("blocks").look({ a: () => Uint8Array.of(1), b: without })).toBe("none");
    expect(await needOf("snapshot").look({ a: four, b: four }, 16)).toBe("none");
    expect(await needOf("snapshot").look({ a: four, b: four }, 15)).toBe("wanted");
  });

  it("is not held up by those who keep silent or lie", async () => {
    const answers = { a: silent, b: forged, c: without, d: four };
    expect(await needOf("blocks").look(answers)).toBe("wanted");
  });

  it("does not cost a node its blocks unless it is configured so", async () => {
    expect(await needOf("blocks").look({ a: four, b: four }, 7)).toBe("unwanted");
    expect(await needOf("snapshot").look({ a: four, b: four }, 7)).toBe("wanted");
  });

  it("is told seldom, and looked at seldom as long as it is not there", async () => {
    const { look, asked } = needOf("blocks");
    const found: string[] = [];
    for (const nowMs of [0, 1, 19_999, 20_001]) found.push(await look({ a: one }, 0, nowMs));
    expect(found).toEqual(["wanted", "none", "none", "wanted"]);
    expect(asked()).toBe(2);
    const idle = needOf("blocks");
    for (let nowMs = 0; nowMs < 20_000; nowMs += 1_000) await idle.look({ a: without }, 0, nowMs);
    expect(idle.asked()).toBe(4);
  });

  it("is looked at anew at once when one more says that it pruned the next block", async () => {
    const { look, asked } = needOf("blocks");
    expect(await look({ a: four }, 0, 0)).toBe("none");
    expect(await look({ a: four }, 0, 1_000)).toBe("none");
    expect(asked()).toBe(1);
    expect(await look({ a: four, b: four }, 0, 1_000)).toBe("wanted");
  });

  it("is looked at once at a time, however long a peer keeps silent", async () => {
    const { look, asked } = needOf("blocks");
    const first = look({ a: silent });
    expect(await look({ a: one }, 0, 60_000)).toBe("none");
    expect(asked()).toBe(1);
    expect(await Promise.race([first, Promise.resolve("under way")])).toBe("under way");
  });

  it("is there again soon for a node that got one and fell behind again", async () => {
    const { need, look } = needOf("snapshot");
    expect(await look({ a: one }, 0, 0)).toBe("wanted");
    expect(await look({ a: one }, 5, 5_000)).toBe("none");
    need.noteReplaced();
    expect(await look({ a: one }, 5, 10_000)).toBe("wanted");
  });

  it("does not hide a broken invariant of this node", async () => {
    const broken = () => Promise.reject(new AssertionError("broken"));
    await expect(needOf("blocks").look({ a: broken })).rejects.toThrow("broken");
  });
});
