/**
 * Contracts verify signatures as nodes do, and take no key that could not be enrolled (D6): the
 * table of edge vectors, a known answer of RFC 8032 and changed signatures go through `host.verify`
 * of the sandbox, with the verifier that a node gives it (attack surface, row 13).
 *
 * Shown able to fail: `nativeVerifier` for `nativeStrictVerifier` in open-contracts.ts; the check
 * of the key after a signature that does not hold.
 */
import { beforeAll, describe, expect, it } from "vitest";
import { bytesToHex, hexToBytes } from "../../../src/base/bytes.ts";
import { didOf } from "../../../src/base/format/did.ts";
import { checkPublicKey, portableVerifier } from "../../../src/base/verifier.ts";
import type { ContractRuntime } from "../../../src/contracts/runtime.ts";
import { makeGenesis } from "../../../src/node/genesis-maker.ts";
import { nativeSigner } from "../../../src/node/native-crypto.ts";
import { openContracts } from "../../../src/node/open-contracts.ts";
import table from "../../golden/ed25519-edge.json" with { type: "json" };
import { Random } from "../../sim/random.ts";
import { bundle, request, stateOf } from "./bundle.ts";

type Row = { readonly publicKey: string; readonly signature: string; readonly message: string };

let runtime: ContractRuntime;
beforeAll(async () => {
  const body = "return host.verify(args.publicKey, args.signature, args.message);";
  const did = (seed: number) => didOf(nativeSigner(new Uint8Array(32).fill(seed)).publicKey);
  const member = { id: "one", name: "One", validatorKey: did(1), peerKey: did(2) };
  const plan = { name: "test", timestampMs: 0, members: [member], accounts: [], devices: [] };
  const source = bundle("checker", {}, { verify: body });
  runtime = await openContracts(await makeGenesis(plan, [{ name: "checker", source }]));
});

async function verdictOf({ publicKey, signature, message }: Row): Promise<string> {
  const argsJson = JSON.stringify({ message, publicKey, signature });
  const asked = request("checker", "verify", { kind: "view", argsJson });
  const { outcome, resultJson } = await runtime.call(asked, stateOf());
  return resultJson ?? outcome;
}

function isEnrollable(publicKey: string): boolean {
  try {
    checkPublicKey(publicKey);
    return true;
  } catch {
    return false;
  }
}

describe("host.verify", () => {
  it("gives the stated verdict on every edge vector, and false for keys nobody may enrol", async () => {
    const isHex = ({ publicKey, signature }: Row) => /^([0-9a-f]{2})*$/.test(publicKey + signature);
    const expected = table.signatures.map((row) => {
      const verdict = `${row.valid && isEnrollable(row.publicKey)}`;
      return [row.name, isHex(row) ? verdict : "CONTRACT_HOST_ARGUMENT_INVALID"];
    });
    const actual: [string, string][] = [];
    for (const row of table.signatures) actual.push([row.name, await verdictOf(row)]);
    expect(actual).toEqual(expected);
    // Signatures that hold for a key with a torsion part are what tells both verifiers apart.
    const apart = table.signatures.filter((row) => row.valid && !isEnrollable(row.publicKey));
    expect(apart.length).toBeGreaterThan(10);
  });

  it("gives the known answer of RFC 8032 for the empty message", async () => {
    const row = {
      publicKey: "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
      signature:
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
      message: "",
    };
    expect(await verdictOf(row)).toBe("true");
    expect(await verdictOf({ ...row, message: "00" })).toBe("false");
  });

  it("agrees with the portable verifier on changed keys, signatures and messages", async () => {
    const random = new Random(8032);
    const signer = nativeSigner(new Uint8Array(32).fill(9));
    const counts = { true: 0, false: 0 };
    for (let run = 0; run < 60; run += 1) {
      const message = Uint8Array.of(run);
      const parts = [hexToBytes(signer.publicKey), signer.sign(message), message];
      // Every fourth stays as it is.
      const part = parts[run % 4];
      const place = random.below(part?.length ?? 1);
      if (part !== undefined) part[place] = (part[place] as number) ^ (1 << random.below(8));
      const [key, signature] = parts as [Uint8Array, Uint8Array];
      const publicKey = bytesToHex(key);
      const row = { publicKey, signature: bytesToHex(signature), message: bytesToHex(message) };
      const holds = portableVerifier.verify(message, signature, publicKey);
      const verdict = `${holds && isEnrollable(publicKey)}` as const;
      counts[verdict] += 1;
      expect(await verdictOf(row)).toBe(verdict);
    }
    expect(counts).toEqual({ true: 15, false: 45 });
  });
});
