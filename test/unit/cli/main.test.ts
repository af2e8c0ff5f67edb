/**
 * Claims about the manners all commands share: exit codes, and errors that say what to do.
 *
 * Shown able to fail: with `return 1` for usage errors in main.ts the rows of exit code 2 fail.
 */
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { genesis } from "../../helpers/evidence-chain.ts";
import { runCli } from "../../helpers/run-cli.ts";

const empty = mkdtempSync(join(tmpdir(), "loopledger-cli-"));
afterAll(() => rmSync(empty, { recursive: true }));

describe("the command line", () => {
  it.each([
    ["an unknown command", ["bogus"]],
    ["an unknown command of a group", ["devnet", "bogus"]],
    ["an unknown option", ["devnet", "up", "--bogus"]],
    ["a missing argument", ["tx", "show"]],
    ["one argument too many", ["tx", "show", "0".repeat(64), "more"]],
    ["no command at all", []],
    ["a count that is none", ["devnet", "up", "--nodes", "four", "--dir", empty]],
    ["a count out of range", ["devnet", "up", "--nodes", "0", "--dir", empty]],
    ["a fraction", ["devnet", "up", "--nodes", "1.5", "--dir", empty]],
    ["an address that is none", ["node", "status", "--url", "localhost"]],
    ["a missing option", ["node", "start"]],
    ["a hash that is none", ["tx", "show", "xyz"]],
    ["a cursor that is none", ["events", "follow", "--from", "soon"]],
    ["a checkpoint that is none", ["evidence", "verify", "x", "--checkpoint", "12"]],
  ])("ends with 2 for %s", async (_, argv) => {
    const { code, out, err } = await runCli(...argv);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).not.toBe("");
  });

  it("gives what the parser refuses a code, too, and JSON when JSON is asked for", async () => {
    const { err } = await runCli("devnet", "up", "--noods", "3");
    expect(err).toContain("error CLI_COMMAND_LINE_INVALID");
    expect(err).toContain(
      "reason: unknown option '--noods' (Did you mean one of --node, --nodes?)",
    );
    expect(err).toContain("next: ");
    const asJson = await runCli("devnet", "upp", "--json");
    expect(asJson.code).toBe(2);
    expect(JSON.parse(asJson.err).error.code).toBe("CLI_COMMAND_LINE_INVALID");
  });

  it("says which file cannot be written, without a stack trace", async () => {
    const out = join(empty, "not-a-directory", "key.json");
    writeFileSync(join(empty, "not-a-directory"), "");
    const passphrase = join(empty, "passphrase");
    writeFileSync(passphrase, "correct horse\n", { mode: 0o600 });
    const options = ["--passphrase-file", passphrase, "--weak-for-devnet", "--json"];
    const words = ["key", "new", "--purpose", "account", "--out", out];
    const { code, err } = await runCli(...words, ...options);
    expect(code).toBe(1);
    const { error } = JSON.parse(err);
    expect(error.code).toBe("CLI_FILE_UNUSABLE");
    expect(error.facts.reason).toMatch(/^E[A-Z]+$/);
  });

  it("tells of a key file that is not there before it asks for a passphrase", async () => {
    const genesisFile = join(empty, "genesis.json");
    writeFileSync(genesisFile, JSON.stringify(genesis));
    const { code, err } = await runCli(
      ...["tx", "submit", "--contract", "metering", "--method", "report", "--genesis", genesisFile],
      ...["--key", join(empty, "none.json"), "--url", "http://127.0.0.1:9"],
    );
    expect(code).toBe(1);
    expect(err).toContain("error FILE_UNREADABLE");
    expect(err).toContain("none.json");
  });

  it("makes no devnet for a single node that was asked for, nor on ports in use", async () => {
    const dir = join(empty, "none");
    const single = await runCli("devnet", "up", "--node", "municipality", "--dir", dir);
    expect(single.err).toContain("CLI_DEVNET_MISSING");
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const taken = await runCli("devnet", "up", "--base-port", `${port}`, "--dir", dir);
    server.close();
    expect(taken.err).toContain("CLI_PORT_IN_USE");
    expect(existsSync(dir)).toBe(false);
  });

  it("names option, the expected and the found when the usage is wrong", async () => {
    const { err } = await runCli("devnet", "up", "--base-port", "high", "--dir", empty);
    expect(err).toContain("error CLI_USAGE_INVALID");
    expect(err).toContain("option: base-port");
    expect(err).toContain("expected: a whole number from 1024 to 65000");
    expect(err).toContain("got: high");
    expect(err).toContain("next: ");
  });

  it("ends with 1 and says what to do when it is refused", async () => {
    const { code, out, err } = await runCli("devnet", "status", "--dir", empty);
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expect(err).toContain("error CLI_DEVNET_MISSING");
    expect(err).toContain(`directory: ${empty}`);
    expect(err).toContain("next: Make one with `loopledger devnet up`");
  });

  it("prints errors as one JSON object when JSON is asked for", async () => {
    const { code, out, err } = await runCli("devnet", "status", "--dir", empty, "--json");
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expect(JSON.parse(err).error).toMatchObject({
      code: "CLI_DEVNET_MISSING",
      facts: { directory: empty },
    });
  });

  it("ends with 1 when no node answers", async () => {
    const { code, err } = await runCli("node", "status", "--url", "http://127.0.0.1:9");
    expect(code).toBe(1);
    expect(err).toContain("CLIENT_UNREACHABLE");
  });

  it("shows help on stdout with exit code 0", async () => {
    for (const argv of [["--help"], ["help"], ["devnet", "--help"], ["tx", "submit", "--help"]]) {
      const { code, out, err } = await runCli(...argv);
      expect({ code, err }).toEqual({ code: 0, err: "" });
      expect(out).toContain("Usage: loopledger");
    }
  });
});
