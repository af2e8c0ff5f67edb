/**
 * Claims about what commands write: keys, genesis, devnets. Needs a build (`npm test` makes one),
 * as the standard contracts are bundled there.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { genesisBlock, parseGenesis } from "../../../src/base/format/genesis.ts";
import { findDevnet, nodeNames } from "../../../src/cli/devnet/layout.ts";
import { makeDevnet } from "../../../src/cli/devnet/make.ts";
import { readNodeConfig } from "../../../src/node/config.ts";
import { openKeyFile } from "../../../src/node/key-file.ts";
import { runCli } from "../../helpers/run-cli.ts";

const root = mkdtempSync(join(tmpdir(), "loopledger-cli-"));
afterAll(() => rmSync(root, { recursive: true }));
const passphraseFile = join(root, "passphrase");
writeFileSync(passphraseFile, "correct horse\n", { mode: 0o600 });

async function newKey(name: string, purpose: string): Promise<string> {
  const file = join(root, `${name}.json`);
  const options = ["--purpose", purpose, "--out", file, "--passphrase-file", passphraseFile];
  const { code, out } = await runCli("key", "new", ...options, "--weak-for-devnet");
  expect(code).toBe(0);
  return out.trim();
}

describe("key new and key show", () => {
  it("make a key that the passphrase opens, and show its did:key", async () => {
    const did = await newKey("account", "account");
    const file = join(root, "account.json");
    const options = ["--check", "--passphrase-file", passphraseFile, "--json"];
    const { code, out } = await runCli("key", "show", file, ...options);
    expect(code).toBe(0);
    expect(JSON.parse(out)).toEqual({ did, purpose: "account", weak: true, checked: true, file });
    expect((await runCli("key", "show", file, "--did")).out).toBe(`${did}\n`);
  });

  it("never overwrite a key", async () => {
    await newKey("precious", "account");
    const options = ["--purpose", "account", "--passphrase-file", passphraseFile];
    const { code, err } = await runCli(
      "key",
      "new",
      ...options,
      "--out",
      join(root, "precious.json"),
    );
    expect(code).toBe(1);
    expect(err).toContain("KEY_FILE_EXISTS");
  });

  it("refuse a purpose that there is not", async () => {
    const { code, err } = await runCli("key", "new", "--purpose", "all", "--out", "x");
    expect(code).toBe(2);
    expect(err).toContain("validator, peer, account or gateway");
  });
});

describe("genesis new", () => {
  const planFile = join(root, "plan.yaml");
  const out = join(root, "made-genesis.json");
  const make = () => runCli("genesis", "new", "--plan", planFile, "--out", out, "--json");

  it("makes the genesis that the plan says, with the standard contracts", async () => {
    const [validator, peer, desk] = await Promise.all([
      newKey("validator", "validator"),
      newKey("peer", "peer"),
      newKey("desk", "account"),
    ]);
    writeFileSync(
      planFile,
      `
name: district-1
time: 2026-01-01T00:00:00Z
members: [{ id: utility, name: Utility, validatorKey: "${validator}", peerKey: "${peer}" }]
accounts: [{ did: "${desk}", member: utility, name: Desk, roles: [operator, biller] }]
parameters: { heartbeatMs: 5000 }
`,
    );
    const { code, out: printed } = await make();
    expect(code).toBe(0);
    const genesis = parseGenesis(readFileSync(out, "utf8"));
    expect(genesis.timestampMs).toBe(Date.UTC(2026, 0, 1));
    expect(genesis.parameters).toMatchObject({ heartbeatMs: 5_000, clockDriftMs: 300_000 });
    expect(genesis.contracts.map(({ name }) => name)).toEqual(["billing", "metering"]);
    expect(JSON.parse(printed).chainId).toBe(genesisBlock(genesis).chainId);
  });

  it("never overwrites a file", async () => {
    const { code, err } = await make();
    expect(code).toBe(1);
    expect(err).toContain("CLI_FILE_EXISTS");
  });

  it("names the key of the plan that is wrong, the expected and the found", async () => {
    writeFileSync(planFile, "name: district-1\nmembers: []\ntime: soon\n");
    const { code, err } = await make();
    expect(code).toBe(1);
    const { facts } = JSON.parse(err).error;
    expect(facts).toEqual({
      key: "time",
      expected: "expected a UTC time such as 2026-01-01T00:00:00Z",
      got: '"soon"',
    });
  });
});

describe("a devnet on disk", () => {
  it("has configurations and keys that fit its genesis, and is found again", async () => {
    const directory = join(root, "devnet");
    const made = await makeDevnet({ directory, nodeCount: 5, basePort: 7400 });
    expect(findDevnet(directory)).toEqual(made);
    expect(made.nodes.map(({ name }) => name)).toEqual(nodeNames(5));
    expect(statSync(made.passphraseFile).mode & 0o777).toBe(0o600);
    const genesis = parseGenesis(readFileSync(made.genesisFile, "utf8"));
    const passphrase = readFileSync(made.passphraseFile, "utf8").trim();
    for (const [index, node] of made.nodes.entries()) {
      const config = readNodeConfig(node.configFile);
      expect(config).toMatchObject({ name: node.name, ledgerDirectory: node.ledgerDirectory });
      expect(config.p2p.peers).toHaveLength(4);
      expect(config.api.port).toBe(7400 + index);
      const file = config.validatorKeyFile ?? "";
      const { did, weak } = await openKeyFile({ file, passphrase, purpose: "validator" });
      expect(weak).toBe(true);
      expect(genesis.members[index]?.validatorKey).toBe(did);
    }
  });

  it("is not made where something else is, and nothing there is touched", async () => {
    const directory = join(root, "taken");
    await makeDevnet({ directory, nodeCount: 1, basePort: 7400 });
    const before = readdirSync(directory);
    rmSync(join(directory, "client.json"));
    const again = makeDevnet({ directory, nodeCount: 1, basePort: 7400 });
    await expect(again).rejects.toMatchObject({ code: "CLI_DEVNET_DIRECTORY" });
    expect(readdirSync(directory)).toEqual(before.filter((file) => file !== "client.json"));
  });

  it("is not deleted by reset unless a devnet is there", async () => {
    const directory = join(root, "taken");
    const { code, err } = await runCli("devnet", "reset", "--dir", directory);
    expect(code).toBe(1);
    expect(err).toContain("CLI_DEVNET_MISSING");
    expect(readdirSync(directory)).toContain("genesis.json");
  });
});
