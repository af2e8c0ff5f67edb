/**
 * Backup and restore with real processes (named failure 11): a backup that is taken under load is
 * whole; a damaged or forged one is refused; a node that is restored from an old one joins again
 * and signs nothing at a height where it may have signed before.
 *
 * Shown able to fail: see test/mutations.md.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { cp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { decodeSigningRecord } from "../../src/base/format/signing-record.ts";
import { takeBackup } from "../../src/node/backup.ts";
import { restoreBackup } from "../../src/node/restore.ts";
import { SigningRecordFile } from "../../src/node/signing-record-file.ts";
import { pause, programFile, until, useDevnet } from "../helpers/devnet.ts";
import { readingOf, registerMeter, TestSender, untilFinal } from "./sender.ts";

const meter = "m-backup";

type Ran = { readonly code: number; readonly output: string };

function loopledger(...args: string[]): Promise<Ran> {
  return new Promise((resolve) => {
    execFile(process.execPath, [programFile, ...args], (error, out, err) =>
      resolve({ code: error === null ? 0 : Number(error.code), output: out + err }),
    );
  });
}

describe("backup and restore of a validator", { timeout: 180_000 }, () => {
  const devnet = useDevnet();
  let gateway: TestSender;
  let count = 0;
  let isLoading = true;
  let load: Promise<void>;

  const place = (name: string) => join(devnet().directory, name);
  const node = () => devnet().node(3);
  const restore = (from: string, ...more: string[]) =>
    loopledger("node", "restore", "--from", from, "--config", node().files.configFile, ...more);
  /** As the command does it, without the cost of a process. */
  const refusal = (from: string) =>
    restoreBackup({ from, configFile: node().files.configFile, isQuick: false }).catch(String);
  const report = async () => {
    count += 1;
    const reading = readingOf(meter, count);
    const transaction = gateway.sign("metering", "report", { readings: [reading] });
    await untilFinal(devnet().client, transaction, { trust: devnet().trust });
  };

  it("takes whole backups while the node runs under load", async () => {
    gateway = new TestSender(devnet(), devnet().signers.gateway);
    await registerMeter(devnet(), meter);
    load = (async () => {
      while (isLoading) {
        await report();
        await pause(100);
      }
    })();
    const args = ["node", "backup", "--config", node().files.configFile, "--json", "--dir"];
    const { code, output } = await loopledger(...args, place("first"));
    expect({ code, output }).toMatchObject({ code: 0 });
    const { height, hash } = JSON.parse(output);
    const { blocks } = await devnet().node(0).client.blocks({ from: height, limit: 1 });
    expect(blocks[0]?.hash).toBe(hash);
    const verify = ["chain", "verify", "--dir", place("first"), "--expect", `${height}:${hash}`];
    expect(await loopledger(...verify)).toMatchObject({ code: 0 });
    const files = (await readdir(place("first"), { recursive: true })).join("\n");
    expect(files).not.toMatch(/signed|validator\.json|peer\.json/);
    expect(await loopledger(...args, place("first"))).toMatchObject({ code: 1 });
    const { configFile } = node().files;
    for (const name of ["second", "third", "fourth"])
      await takeBackup({ configFile, directory: place(name), withKeys: name === "second" });
    expect((await readdir(place("second/keys"))).sort()).toEqual(["peer.json", "validator.json"]);
    // Nothing is left beside the ledger or the backups.
    const left = [...(await readdir(node().files.directory)), ...(await readdir(place(".")))];
    expect(left.filter((name) => /partial|backup-/.test(name))).toEqual([]);
  });

  it("refuses a node with a ledger or a running one, and a damaged or forged backup", async () => {
    expect(await refusal(place("first"))).toContain("RESTORE_LEDGER_PRESENT");
    const aside = `${node().files.ledgerDirectory}.aside`;
    await rename(node().files.ledgerDirectory, aside);
    expect((await restore(place("first"))).output).toContain("NODE_KEY_IN_USE");
    await rename(aside, node().files.ledgerDirectory);
    await node().stop();
    await rename(node().files.ledgerDirectory, aside);
    const files = (await readdir(place("first/ledger"))).filter((file) => /log|ldb/.test(file));
    const file = join(place("bad/ledger"), files[0] as string);
    await cp(place("first"), place("bad"), { recursive: true });
    const bytes = await readFile(file);
    const middle = Math.floor(bytes.length / 2);
    bytes[middle] = (bytes[middle] as number) ^ 1;
    await writeFile(file, bytes);
    expect(await refusal(place("bad"))).toContain("BACKUP_DAMAGED");
    // The same, with a manifest that agrees.
    const manifest = JSON.parse(await readFile(place("bad/backup.json"), "utf8"));
    for (const each of manifest.files)
      if (file.endsWith(each.path)) each.sha256 = createHash("sha256").update(bytes).digest("hex");
    await writeFile(place("bad/backup.json"), JSON.stringify(manifest));
    expect(await refusal(place("bad"))).toMatch(/BACKUP_DAMAGED|LEDGER_/);
    for (const each of manifest.files) each.path = "../genesis.json";
    await writeFile(place("bad/backup.json"), JSON.stringify(manifest));
    expect(await refusal(place("bad"))).toContain("BACKUP_DAMAGED");
    await rm(place("bad/ledger"), { recursive: true });
    expect(await refusal(place("bad"))).toContain("BACKUP_DAMAGED");
    // What was refused left everything as it was: the node goes on with its own ledger.
    await rename(aside, node().files.ledgerDirectory);
    node().start();
    await node().ready();
    expect(await readFile(node().files.logFile, "utf8")).not.toContain("record is lost");
  });

  it("joins again from an old backup and signs nothing where it may have signed", async () => {
    await node().stop("SIGKILL");
    await node().wipeLedger();
    expect(await restore(place("first"))).toMatchObject({ code: 0 });
    const record = join(node().files.directory, "validator.json.signed");
    for (const slot of ["a", "b"])
      await cp(`${record}.${slot}.before-restore`, `${place("old")}.${slot}`);
    const old = await SigningRecordFile.open(place("old"));
    await old.file.close();
    const signedHeight = decodeSigningRecord(old.record as Uint8Array).height;
    node().start();
    const pattern = /"height":(\d+)[^\n]*votes again above height/g;
    let resumedAbove = 0;
    await until("the restored node knows where it may vote again", async () => {
      const matches = [...(await readFile(node().files.logFile, "utf8")).matchAll(pattern)];
      resumedAbove = Number(matches.at(-1)?.[1] ?? 0);
      return resumedAbove > 0;
    });
    expect(resumedAbove).toBeGreaterThan(signedHeight);
    await node().ready();
    isLoading = false;
    await load;
    // Its vote is needed now.
    await devnet().node(0).stop();
    for (let sent = 0; sent < 3; sent += 1) await report();
    devnet().node(0).start();
    await devnet().node(0).ready();
    const { height } = await devnet().settled();
    expect(height).toBeGreaterThan(resumedAbove);
    await node().stop();
    const now = await SigningRecordFile.open(record);
    await now.file.close();
    expect(decodeSigningRecord(now.record as Uint8Array).height).toBeGreaterThan(resumedAbove);
  });
});
