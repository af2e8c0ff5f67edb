/** A devnet of built node processes for benchmarks: many gateways, each with a meter of its own. */
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { didOf } from "../dist/base/format/did.js";
import { genesisBlock, parseGenesis } from "../dist/base/format/genesis.js";
import { signTransaction } from "../dist/base/format/transaction.js";
import { devnetKeyFile } from "../dist/cli/devnet/layout.js";
import { makeDevnet } from "../dist/cli/devnet/make.js";
import {
  checkPorts,
  runningProcess,
  startNodeProcess,
  statusOf,
  stopNodes,
  waitReady,
} from "../dist/cli/devnet/processes.js";
import { makeGenesis, standardContracts } from "../dist/node/genesis-maker.js";
import { openKeyFile } from "../dist/node/key-file.js";
import { injectNative, nativeSigner } from "../dist/node/native-crypto.js";

/** Enough for the longest call that is measured; a limit costs nothing. */
const gasLimit = 300_000_000;
const expiryMs = 3_600_000;
/** The kernel's unit of process times in /proc on every Linux there is. */
const tickMs = 10;

/** Starts a devnet and returns what benchmarks need of it. */
export async function startDevnet({ nodeCount, gatewayCount, basePort }) {
  injectNative();
  const root = mkdtempSync(join(tmpdir(), "loopledger-bench-"));
  const devnet = await makeDevnet({ directory: join(root, "devnet"), nodeCount, basePort });
  const gateways = Array.from({ length: gatewayCount }, () => nativeSigner(randomBytes(32)));
  const genesis = await withGateways(devnet, gateways);
  const { chainId } = genesisBlock(genesis);
  const operator = await operatorOf(devnet);
  await checkPorts(devnet, devnet.nodes);
  for (const node of devnet.nodes) startNodeProcess(node, { isTied: true });
  await waitReady(devnet.nodes);
  const nonces = new Map();
  const sign = (signer, method, args) => {
    const nonce = (nonces.get(signer) ?? 0) + 1;
    nonces.set(signer, nonce);
    const expiresAtMs = Date.now() + expiryMs;
    const call = { contract: "metering", method, argsJson: JSON.stringify(args) };
    return signTransaction({ chainId, nonce, expiresAtMs, gasLimit, ...call }, signer);
  };
  return {
    nodes: devnet.nodes,
    gateways,
    sign,
    signOperator: (method, args) => sign(operator, method, args),
    kill: (node) => stopNodes([node], "SIGKILL"),
    async restart(node) {
      startNodeProcess(node, { isTied: true });
      await waitReady([node]);
    },
    statuses: () => Promise.all(devnet.nodes.map(statusOf)),
    /** CPU time of the node processes so far, milliseconds. */
    cpuMs: () => devnet.nodes.reduce((sum, node) => sum + cpuMsOf(runningProcess(node)?.pid), 0),
    async stop() {
      await stopNodes(devnet.nodes);
      rmSync(root, { recursive: true, force: true });
    },
  };
}

async function withGateways(devnet, gateways) {
  const made = parseGenesis(readFileSync(devnet.genesisFile, "utf8"));
  const { name, timestampMs, members, accounts, devices } = made;
  const added = gateways.map((signer, index) => ({
    did: didOf(signer.publicKey),
    member: members[index % members.length].id,
    name: `gateway ${index}`,
    roles: ["gateway"],
  }));
  const plan = { name, timestampMs, members, accounts, devices: [...devices, ...added] };
  const genesis = await makeGenesis(plan, standardContracts());
  writeFileSync(devnet.genesisFile, JSON.stringify(genesis));
  return genesis;
}

async function operatorOf(devnet) {
  const passphrase = readFileSync(devnet.passphraseFile, "utf8").trim();
  const file = devnetKeyFile(devnet.directory, "operator");
  return (await openKeyFile({ file, passphrase })).signer;
}

function cpuMsOf(pid) {
  if (pid === undefined || process.platform !== "linux") return 0;
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * tickMs;
}
