/**
 * A validator that is killed a thousand times between the decision to sign and the send. Whatever
 * the moment, its record was on disk before the signature was, and no later life contradicts it.
 *
 * The driver and the file of the record are real; a kill is a life that gets no further, and within
 * a write whole sectors of the slot in their order, as a kill leaves them. Each life would propose
 * another block, and two of three come back to the round of the life before: without its record a
 * validator contradicts itself at once. Real processes are killed in test/deep/disk-kills.test.ts,
 * test/e2e/kill.test.ts and test/deep/kill.test.ts. SEED=n tries other moments.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { bytesToHex } from "../../src/base/bytes.ts";
import { blockOf } from "../../src/base/format/block.ts";
import {
  type Claim,
  claimMessage,
  decodeMessage,
  encodeMessage,
} from "../../src/base/format/message.ts";
import { decodeSigningRecord } from "../../src/base/format/signing-record.ts";
import { zeroHash } from "../../src/base/hash.ts";
import { silentLog } from "../../src/base/log.ts";
import type { nativeSigner } from "../../src/node/native-crypto.ts";
import { SigningRecordFile } from "../../src/node/signing-record-file.ts";
import { judgeRecord } from "../../src/node/votes.ts";
import { seedOf } from "../helpers/seed.ts";
import { Random } from "../sim/random.ts";
import { blockAt, chainId, drive, proposer, sorted } from "../unit/node/driver-fixture.ts";

type Signer = ReturnType<typeof nativeSigner>;

const cutCount = 1_000;
const seed = seedOf(Math.floor(Math.random() * 2 ** 31));
const moments = ["before record", "within record", "after record", "before send"] as const;
type Moment = (typeof moments)[number];
const sectorBytes = 512;

/** A kill leaves alone what the system holds of a file, so a disk below it would only be slower. */
const memory = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();
const directory = mkdtempSync(join(memory, "loopledger-cuts-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
const path = join(directory, "validator.signed");
beforeAll(() => SigningRecordFile.create(path));
const slotFiles = [`${path}.a`, `${path}.b`];
const never = new Promise<never>(() => {});

/** Messages of two others for a round: with them this validator is in it, and proposes in it. */
function roundChanges(round: number): Uint8Array[] {
  return [1, 2].map((voter) => {
    const claim = { kind: "roundChange", height: 1, round, prepared: undefined } as const;
    const { publicKey: validator, sign } = sorted[voter] as Signer;
    const signature = sign(claimMessage(claim, chainId));
    const none = { preparedBlock: undefined, prepares: [] };
    return encodeMessage({ ...claim, validator, signature, ...none });
  });
}

/** Votes of two others for what this validator said: with them it goes on to sign a commit. */
function prepares(round: number, blockHash: string): Uint8Array[] {
  return [1, 2].map((voter) => {
    const claim: Claim = { kind: "prepare", height: 1, round, blockHash };
    const { publicKey: validator, sign } = sorted[voter] as Signer;
    return encodeMessage({ ...claim, validator, signature: sign(claimMessage(claim, chainId)) });
  });
}

function slots(): Buffer[] {
  return slotFiles.map((file) => {
    try {
      return readFileSync(file);
    } catch {
      return Buffer.alloc(0);
    }
  });
}

/** Leaves of the last write what a kill in the middle leaves: some sectors of it, from the start. */
function cutWithin(before: readonly Buffer[], random: Random): void {
  for (const [index, after] of slots().entries()) {
    const former = before[index] as Buffer;
    if (after.equals(former)) continue;
    const cut = sectorBytes * random.below(Math.ceil(after.length / sectorBytes));
    const rest = former.subarray(cut);
    writeFileSync(slotFiles[index] as string, Buffer.concat([after.subarray(0, cut), rest]));
  }
}

/** What a record covers: claims by the bytes that are signed. */
function coveredBy(record: Uint8Array | undefined): Map<string, Claim> {
  const claims = record === undefined ? [] : decodeSigningRecord(record).claims;
  return new Map(claims.map((claim) => [bytesToHex(claimMessage(claim, chainId)), claim]));
}

/** Tells whether a record has a claim, or is in a later round, where that one is never signed. */
function isKept(claim: Claim, record: ReadonlyMap<string, Claim>): boolean {
  const isLater = [...record.values()].some(({ round }) => round > claim.round);
  return isLater || record.has(bytesToHex(claimMessage(claim, chainId)));
}

/** Nothing happens by time here. */
const timers = {
  nowMs: () => 0,
  every: () => () => undefined,
  after: (delayMs: number, run: () => void) => {
    if (delayMs === 0) setImmediate(run);
    return () => undefined;
  },
};

type Kill = { readonly moment: Moment; readonly at: number; readonly round: number };

/** A process: from the opening of its record to its kill, or until it has nothing more to do. */
class Life {
  readonly #number: number;
  readonly #plan: Kill;
  readonly #random: Random;
  /** What the key signed in this life, in order. */
  readonly signed: Claim[] = [];
  /** What it signed although the record on disk did not have it. */
  readonly uncovered: string[] = [];
  isDead = false;
  #passed = 0;
  #activity = 0;
  #isWriting = false;
  #covered = new Map<string, Claim>();
  #file: SigningRecordFile | undefined;
  #driver: ReturnType<typeof drive>["driver"] | undefined;

  constructor(number: number, plan: Kill, random: Random) {
    this.#number = number;
    this.#plan = plan;
    this.#random = random;
  }

  /** @returns What the record on disk covered at the start. */
  async run(): Promise<ReadonlyMap<string, Claim>> {
    const { file, ...found } = await SigningRecordFile.open(path);
    this.#file = file;
    const options = { validators: 4, acceptLostVotes: false, log: silentLog };
    const { record, loss } = judgeRecord(found, options);
    expect(loss, "the record is there and in no doubt").toBeUndefined();
    const atStart = coveredBy(record);
    this.#covered = atStart;
    this.#driver = this.#makeDriver(record);
    this.#driver.start();
    for (const bytes of roundChanges(this.#plan.round)) this.#driver.receive(bytes);
    for (let quiet = 0, seen = -1; quiet < 12 && !this.isDead; quiet += 1) {
      await new Promise((resolve) => setImmediate(resolve));
      if (seen !== this.#activity || this.#isWriting) quiet = 0;
      seen = this.#activity;
    }
    await file.close();
    return atStart;
  }

  #makeDriver(record: Uint8Array | undefined) {
    const { header } = blockAt(1, zeroHash);
    const own = blockOf({ ...header, timestampMs: 1 + this.#number }, []);
    const validators = sorted.map(({ publicKey }) => publicKey);
    const ledger = {
      ...{ chainId, tip: { height: 0, hash: zeroHash }, hasWork: () => true },
      ...{ validators: () => validators, proposers: () => validators },
      ...{ buildBlock: async () => own, checkBlock: async () => {} },
    };
    return drive({
      ...{ ledger, timers },
      record: record && decodeSigningRecord(record),
      signer: { publicKey: proposer.publicKey, sign: (bytes) => this.#sign(bytes) },
      writeRecord: (bytes) => this.#write(bytes),
      broadcast: (bytes) => this.#send(bytes),
    }).driver;
  }

  /** Tells whether the process is dead from here on. */
  #kill(moment: Moment): boolean {
    this.#activity += 1;
    if (!this.isDead && moment === this.#plan.moment) this.#passed += 1;
    this.isDead ||= moment === this.#plan.moment && this.#passed === this.#plan.at;
    return this.isDead;
  }

  async #write(bytes: Uint8Array): Promise<void> {
    if (this.#kill("before record")) return never;
    const before = slots();
    this.#isWriting = true;
    await (this.#file as SigningRecordFile).write(bytes);
    this.#isWriting = false;
    if (this.#kill("within record")) {
      cutWithin(before, this.#random);
      return never;
    }
    this.#covered = coveredBy(bytes);
    return this.#kill("after record") ? never : undefined;
  }

  #sign(bytes: Uint8Array): Uint8Array {
    const claim = this.#covered.get(bytesToHex(bytes));
    if (!this.isDead && claim !== undefined) this.signed.push(claim);
    if (!this.isDead && claim === undefined) this.uncovered.push(bytesToHex(bytes));
    return proposer.sign(bytes);
  }

  /** What is sent reaches two others, who agree: the next thing to sign is a commit. */
  #send(bytes: Uint8Array): void {
    if (this.#kill("before send")) return;
    const message = decodeMessage(bytes);
    if (message.kind !== "prepare") return;
    for (const vote of prepares(message.round, message.blockHash)) this.#driver?.receive(vote);
  }
}

it(`${cutCount} kills between the record and the send, none followed by a contradiction`, async () => {
  const random = new Random(seed);
  const said = new Map<string, string>();
  const counts = new Map<string, number>();
  let last: Claim | undefined;
  let round = 0;
  const cover = (claim: Claim) => bytesToHex(claimMessage(claim, chainId));
  for (let number = 0, kills = 0; kills < cutCount; number += 1) {
    const where = `SEED=${seed}, life ${number}`;
    expect(number, where).toBeLessThan(20 * cutCount);
    // In every fourth round this validator proposes.
    if (random.chance(0.3)) round += 4;
    const moment = moments[random.below(moments.length)] as Moment;
    const life = new Life(number, { moment, at: 1 + random.below(3), round }, random);
    const atStart = await life.run();
    expect(life.uncovered, `${where}: signed before it was on disk`).toEqual([]);
    expect(last === undefined || isKept(last, atStart), `${where} knows what was signed`).toBe(
      true,
    );
    for (const claim of life.signed) {
      const place = `${claim.kind} ${claim.height}/${claim.round}`;
      expect(said.get(place) ?? cover(claim), `${where}, ${place}`).toBe(cover(claim));
      said.set(place, cover(claim));
      counts.set(claim.kind, (counts.get(claim.kind) ?? 0) + 1);
    }
    last = life.signed.at(-1) ?? last;
    if (!life.isDead) continue;
    kills += 1;
    counts.set(moment, (counts.get(moment) ?? 0) + 1);
  }
  for (const what of [...moments, "proposal", "prepare", "commit", "roundChange"])
    expect(counts.get(what) ?? 0, `SEED=${seed}: ${what}`).toBeGreaterThan(50);
});
