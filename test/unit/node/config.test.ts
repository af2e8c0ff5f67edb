/** Claims about configuration errors: they name the key, what was expected and what came. */
import { describe, expect, it } from "vitest";
import { LedgerError } from "../../../src/base/errors.ts";
import { parseNodeConfig } from "../../../src/node/config.ts";

const did = "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp";
const valid = `
name: heat-producer
genesis: genesis.json
ledgerDirectory: ledger
validatorKeyFile: keys/validator.json
peerKeyFile: keys/peer.json
signingRecordFile: keys/signing-record
p2p:
  listen: [/ip4/127.0.0.1/tcp/7401]
  peers:
    - { peerKey: ${did}, address: /ip4/127.0.0.1/tcp/7402 }
api: { port: 7400 }
`;

function errorOf(text: string): LedgerError {
  try {
    parseNodeConfig(text, "/srv/node");
  } catch (error) {
    if (error instanceof LedgerError) return error;
  }
  throw new Error("expected a LedgerError");
}

describe("the configuration of a node", () => {
  it("makes paths absolute from the place of the file and fills in defaults", () => {
    const config = parseNodeConfig(valid, "/srv/node");
    expect(config.ledgerDirectory).toBe("/srv/node/ledger");
    expect(config.api.host).toBe("127.0.0.1");
    expect(config.log.level).toBe("info");
  });

  it.each([
    ["api.port", valid.replace("7400 }", '"eighty" }'), '"eighty"'],
    ["api.host", valid.replace("{ port", "{ host: 0.0.0.0, port"), '"0.0.0.0"'],
    [
      "p2p.listen.0",
      valid.replace("/ip4/127.0.0.1/tcp/7401", "127.0.0.1:7401"),
      '"127.0.0.1:7401"',
    ],
    ["p2p.peers.0.peerKey", valid.replace(did, "did:key:zzz"), '"did:key:zzz"'],
    ["genesis", valid.replace("genesis: genesis.json\n", ""), "nothing"],
    // As long as the first time-out, it would cost every round of this node.
    ["blockIntervalMs", `${valid}blockIntervalMs: 1000\n`, "1000"],
  ])("names %s, what was expected and what came", (key, text, got) => {
    const { code, facts } = errorOf(text);
    expect(code).toBe("CONFIG_INVALID");
    expect(facts.key).toBe(key);
    expect(facts.got).toBe(got);
    expect(String(facts.expected).length).toBeGreaterThan(5);
  });

  it("refuses a key that it does not know, for it may be a misspelt one", () => {
    expect(errorOf(`${valid}blockIntervalMS: 5\n`).facts.key).toBe("blockIntervalMS");
    // It may also be a passphrase in the wrong place, so no value is shown.
    const { facts } = errorOf(`${valid}passphrase: hunter2\n`);
    expect(facts.key).toBe("passphrase");
    expect(JSON.stringify(facts)).not.toContain("hunter2");
  });

  it("refuses text that is not YAML, and YAML that expands without end", () => {
    expect(errorOf("a: [").facts.expected).toBe("YAML");
    expect(errorOf("").facts).toEqual({ key: "(the whole file)", expected: "object", got: "null" });
    expect(errorOf("a: &a [x]\nb: *a\n").code).toBe("CONFIG_INVALID");
  });
});
