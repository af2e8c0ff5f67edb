/**
 * A validator that lies, seen by real nodes. Needs a build.
 *
 * Claim: two contradicting messages of a validator come onto the ledger without anybody's help;
 * every node and the command line show it, and it proves itself from the state. How far the clock
 * of each validator is off is shown, too, behind or not, though none of them proposes.
 */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, expect, it } from "vitest";
import { parse } from "yaml";
import { type Did, didOf, publicKeyOf } from "../../src/base/format/did.ts";
import {
  EquivocationReport,
  equivocationOf,
  verifyEquivocation,
} from "../../src/base/format/equivocation.ts";
import type { JsonValue } from "../../src/base/format/json.ts";
import { claimMessage, encodeMessage, type Vote } from "../../src/base/format/message.ts";
import { silentLog } from "../../src/base/log.ts";
import { openKeyFile } from "../../src/node/key-file.ts";
import { nativeVerifier } from "../../src/node/native-crypto.ts";
import { directFrame } from "../../src/node/transaction-intake.ts";
import { Network } from "../../src/p2p/network.ts";
import { programFile, type TestDevnet, until, useDevnet } from "../helpers/devnet.ts";
import { registerMeter } from "./sender.ts";

const devnetOf = useDevnet();
let network: Network | undefined;
afterAll(() => network?.stop());

/** By how much the clock of the liar is behind, and how wrong that may be shown. */
const behindMs = 300_000;
const errorMsMax = 500;

it("equivocation is recorded and shown", { timeout: 60_000 }, async () => {
  const devnet = devnetOf();
  const { chainId } = devnet.trust;
  await registerMeter(devnet, "m-1");
  await devnet.node(3).stop();
  const { signer: validator } = await keyOf(devnet, "validator");
  const { height } = await devnet.client.status();
  network = await startLiar(devnet, (await keyOf(devnet, "peer")).seed);
  await until("the liar is connected", () => network?.connectedPeers().length === 3);
  for (const text of ["aa", "bb"]) {
    const claim: Vote = {
      kind: "commit",
      height: height + 1,
      round: 0,
      blockHash: text.repeat(32),
    };
    const signature = validator.sign(claimMessage(claim, chainId));
    const bytes = encodeMessage({ ...claim, validator: validator.publicKey, signature });
    network.broadcast(directFrame("consensus", bytes));
  }
  const honest = devnet.nodes.slice(0, 3);
  const liar = didOf(validator.publicKey);
  const expected = { validator: liar, kind: "commit", height: height + 1, round: 0 };
  await until("all show the equivocation", async () => {
    const all = await Promise.all(honest.map((node) => node.status()));
    return all.every((status) => status?.equivocations.length === 1);
  });
  const [shown] = (await devnet.node(0).status())?.equivocations ?? [];
  expect(shown).toMatchObject(expected);
  const place = (height + 1).toString(16).padStart(14, "0");
  const row = await devnet.client.state(`system/equivocation/${liar}/${place}/commit/0`);
  const { recordedAtHeight, recordedAtMs, reportedBy, ...report } = row.value as JsonObject;
  expect(recordedAtHeight).toBeGreaterThan(height);
  expect(recordedAtMs).toBeGreaterThan(0);
  expect(reportedBy).toMatch(/^did:key:z6Mk/);
  const pair = equivocationOf(EquivocationReport.parse(report));
  verifyEquivocation(pair, { chainId, verifier: nativeVerifier });
  const { stdout } = await promisify(execFile)(process.execPath, [
    ...[programFile, "node", "status", "--url", devnet.node(1).url],
  ]);
  expect(stdout).toContain(`EQUIVOCATION ${liar} signed two at commit ${height + 1}/0`);
  await until("the clocks of all others are shown", async () => {
    const offsets = await clockOffsets(devnet);
    return offsets.filter((offsetMs) => offsetMs !== null).length === 3;
  });
  const [own, ...others] = await clockOffsets(devnet);
  expect(own).toBeNull();
  const errorsMs = [...others.slice(0, 2), (others[2] as number) + behindMs];
  for (const errorMs of errorsMs) expect(Math.abs(errorMs as number)).toBeLessThan(errorMsMax);
});

/** What the first node shows, in the order of the devnet's nodes. */
async function clockOffsets(devnet: TestDevnet): Promise<(number | null | undefined)[]> {
  const { validators = [] } = (await devnet.node(0).status()) ?? {};
  return devnet.genesis.members.map(
    ({ validatorKey }) =>
      validators.find(({ validator }) => validator === validatorKey)?.clockOffsetMs,
  );
}

type JsonObject = { readonly [name: string]: JsonValue };

async function keyOf(devnet: TestDevnet, name: "validator" | "peer") {
  const passphrase = readFileSync(join(dirname(devnet.genesisFile), "passphrase"), "utf8").trim();
  return openKeyFile({ file: join(devnet.node(3).files.directory, `${name}.json`), passphrase });
}

/** Joins the network as the fourth member, with nothing behind it. */
function startLiar(devnet: TestDevnet, peerSeed: Uint8Array): Promise<Network> {
  const config = parse(readFileSync(devnet.node(3).files.configFile, "utf8"));
  return Network.start({
    chainId: devnet.trust.chainId,
    peerSeed,
    listen: ["/ip4/127.0.0.1/tcp/0"],
    peers: config.p2p.peers.map(({ peerKey, address }: { peerKey: Did; address: string }) => ({
      peerKey: publicKeyOf(peerKey),
      address,
    })),
    allowedPeerKeys: devnet.genesis.members.map(({ peerKey }) => publicKeyOf(peerKey)),
    log: silentLog,
    handlers: {
      onTransactions: async (_from, transactions) => transactions.map(() => "ignore" as const),
      onConsensusMessage() {},
      onPeerChange() {},
      status: () => ({
        ...{ height: 0, hash: devnet.trust.chainId, clockMs: Date.now() - behindMs },
      }),
      readBlocks: async () => [],
    },
  });
}
