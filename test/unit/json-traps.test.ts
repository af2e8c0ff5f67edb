/**
 * JSON that parsers read differently is refused, or read as one value, by every way in (attack
 * surface, row 10): arguments at the HTTP API, on the command line, in a signed transaction and at
 * the sandbox; values, events and results of a contract; genesis and evidence files. When one
 * fails, a person, a node and a contract may see different numbers in one text.
 *
 * Shown able to fail: `JSON.parse` for `parseJson` in `tx submit` or `query`; no `canonicalJson` in
 * `host.set`, `host.emit`, `readOutput` or `Ledger.view`; files read as UTF-8 without `fatal`.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hexToBytes } from "../../src/base/bytes.ts";
import { isLedgerError } from "../../src/base/errors.ts";
import { encode } from "../../src/base/format/codec.ts";
import { decodeEvidence } from "../../src/base/format/evidence.ts";
import { parseGenesis } from "../../src/base/format/genesis.ts";
import { canonicalJson } from "../../src/base/format/json.ts";
import { decodeTransaction } from "../../src/base/format/transaction.ts";
import { zeroHash } from "../../src/base/hash.ts";
import { ContractRuntime } from "../../src/contracts/runtime.ts";
import type { Ledger } from "../../src/ledger/ledger.ts";
import { runCli } from "../helpers/run-cli.ts";
import { ask, type Served, serve, stopAll } from "./api/http.ts";
import { bundle, options, request, stateOf } from "./contracts/bundle.ts";
import { openNode } from "./ledger/execution-fixture.ts";

const refused: [name: string, text: string][] = [
  ["__proto__", '{"__proto__":{"admin":true}}'],
  ["an escaped __proto__", '{"\\u005f_proto__":1}'],
  ["a __proto__ deep inside", '{"a":[{"__proto__":1}]}'],
  ["a key twice", '{"a":1,"a":2}'],
  ["a key twice, once escaped", '{"a":1,"\\u0061":2}'],
  ["1e400", "1e400"],
  ["an exponent", "1e3"],
  ["a fraction", "1.0"],
  ["a lone high surrogate", '"\\ud800"'],
  ["a lone low surrogate", '"\\udc00"'],
  ["a lone surrogate as a key", '{"\\ud800":1}'],
  ["minus zero", "-0"],
  ["2^53", "9007199254740992"],
  ["-2^53", "-9007199254740992"],
  ["an integer that rounds to itself as a double", "9007199254740994"],
  ["17 levels", "[".repeat(17) + "]".repeat(17)],
  ["a comma too many", "[1,]"],
  ["a comment", "/**/1"],
  ["NaN", "NaN"],
  ["a byte order mark", "\ufeff1"],
];

const accepted: [name: string, text: string][] = [
  ["the largest integers", "[9007199254740991,-9007199254740991]"],
  ["keys that look like places of a list", '{"10":1,"2":2,"1":3}'],
  ["names that objects inherit", '{"constructor":1,"toString":2,"hasOwnProperty":3}'],
  ["keys beyond the basic plane", '{"\ufb33":1,"\u{1f600}":2}'],
  ["escapes that are not needed", '"\\u0041\\/\\u00e4\\ud83d\\ude00"'],
  ["16 levels", "[".repeat(16) + "]".repeat(16)],
  ["white space", ' { "b" : [ 1 ] , "a" : null } '],
];

let served: Served;
let runtime: ContractRuntime;
let ledger: Ledger;
const directory = mkdtempSync(join(tmpdir(), "loopledger-json-"));
beforeAll(async () => {
  served = await serve();
  ({ ledger } = await openNode());
  runtime = await ContractRuntime.create(options);
  const given = `JSON.parse(host.get("traps/in"))`;
  const source = bundle("traps", {
    echo: `host.set("traps/echo", JSON.stringify(args)); return args;`,
    set: `host.set("traps/out", ${given});`,
    emit: `host.emit("topic", ${given});`,
    result: "",
  });
  // The result is the one text that `bundle` would make well-formed before the host sees it.
  const raw = `const wrapped = globalThis.contractEntry.call;
    globalThis.contractEntry.call = (text) => JSON.parse(text).method === "result"
      ? '{"ok":' + ${given} + "}" : wrapped(text);`;
  await runtime.install("traps", `${source}\n${raw}`);
});
afterAll(async () => {
  await stopAll();
  rmSync(directory, { recursive: true });
});

function codeOf(run: () => unknown): string {
  try {
    run();
    return "none";
  } catch (error) {
    if (isLedgerError(error)) return error.code;
    throw error;
  }
}

const view = async (text: string) =>
  (await ask(served.url, `/v1/contracts/toy/views/echo?args=${encodeURIComponent(text)}`)).json;

/** Arguments are read before anything else a command needs, so no node is there. */
async function commandLine(text: string, ...command: string[]): Promise<string> {
  const { code, err } = await runCli(...command, "--args", text, "--dir", directory, "--json");
  expect(code).toBe(1);
  return JSON.parse(err).error.code;
}
const txSubmit = ["tx", "submit", "--contract", "traps", "--method", "echo"];

function signedBytes(argsJson: string): Uint8Array {
  const who = [hexToBytes(zeroHash), hexToBytes(zeroHash)];
  return encode([encode([0, ...who, 1, 1, "traps", "echo", argsJson, 1]), new Uint8Array(64)]);
}

/** Lets a contract pass a text that it found in the state to the host, unread. */
function fromContract(method: "set" | "emit" | "result", text: string) {
  const state = stateOf({ "traps/in": JSON.stringify(text) });
  return runtime.call(request("traps", method), state);
}

describe("a text", () => {
  it.each(refused)("is refused everywhere: %s", async (_, text) => {
    expect((await view(text)).code).toBe("JSON_INVALID");
    expect(await commandLine(text, ...txSubmit)).toBe("JSON_INVALID");
    expect(await commandLine(text, "query", "toy", "echo")).toBe("JSON_INVALID");
    const file = join(directory, "args.json");
    writeFileSync(file, text);
    expect(await commandLine(`@${file}`, ...txSubmit)).toBe("JSON_INVALID");
    expect(codeOf(() => decodeTransaction(signedBytes(text)))).toBe("JSON_INVALID");
    const asked = ledger.view({ contract: "notes", method: "read", argsJson: text });
    await expect(asked).rejects.toMatchObject({ code: "JSON_INVALID" });
    expect(codeOf(() => parseGenesis(`{"name":${text}}`))).toBe("GENESIS_INVALID");
    expect(codeOf(() => decodeEvidence(`{"format":${text}}`))).toBe("EVIDENCE_INVALID");
    const called = await runtime.call(request("traps", "echo", { argsJson: text }), stateOf());
    expect(called.outcome).toBe("CONTRACT_ARGUMENTS_INVALID");
    expect(await fromContract("set", text)).toMatchObject({
      outcome: "CONTRACT_STATE_VALUE_INVALID",
      changes: [],
    });
    expect(await fromContract("emit", text)).toMatchObject({
      outcome: "CONTRACT_EVENT_INVALID",
      events: [],
    });
    expect((await fromContract("result", text)).outcome).toBe("CONTRACT_OUTPUT_INVALID");
  });

  it.each(accepted)("is one value everywhere: %s", async (_, text) => {
    const canonical = canonicalJson(text);
    expect((await view(text)).result.args).toEqual(JSON.parse(text));
    for (const command of [txSubmit, ["query", "toy", "echo"]])
      expect(await commandLine(text, ...command)).not.toBe("JSON_INVALID");
    const signed = codeOf(() => decodeTransaction(signedBytes(text)));
    expect(signed).toBe(text === canonical ? "none" : "CODEC_INVALID");
    expect(decodeTransaction(signedBytes(canonical)).argsJson).toBe(canonical);
    // The result nests once more, so only what is one level flatter fits.
    const isDeep = text.startsWith("[".repeat(16));
    const called = await runtime.call(request("traps", "echo", { argsJson: text }), stateOf());
    if (!isDeep) expect(called).toMatchObject({ outcome: "ok", resultJson: canonical });
    if (!isDeep) expect(called.changes).toEqual([["traps/echo", canonical]]);
    expect((await fromContract("set", text)).changes).toEqual([["traps/out", canonical]]);
    expect((await fromContract("emit", text)).events).toMatchObject([{ json: canonical }]);
    if (!isDeep) expect((await fromContract("result", text)).resultJson).toBe(canonical);
  });
});

it("bytes that are not UTF-8 are refused, not read as replacement characters", async () => {
  const file = join(directory, "latin1.json");
  writeFileSync(file, Buffer.from('{"a":"\xe4"}', "latin1"));
  expect(await commandLine(`@${file}`, ...txSubmit)).toBe("FILE_UNREADABLE");
  const reply = await ask(served.url, "/v1/contracts/toy/views/echo?args=%22%e4%22");
  expect([reply.status, reply.json.result]).toEqual([400, undefined]);
});
