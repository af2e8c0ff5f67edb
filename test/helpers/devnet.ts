/**
 * Real nodes for end-to-end tests: processes of `bin/loopledger.js` on free loopback ports with
 * LevelDB in a temporary directory. Needs a build (`npm test` makes one).
 *
 * Every node is tied to the test process by its stdin, so none survives it. Waiting is by condition.
 * When a test of the file failed, directory and logs are kept and their path is printed.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, openSync, readFileSync } from "node:fs";
import { appendFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll } from "vitest";
import { parse, stringify } from "yaml";
import { didOf } from "../../src/base/format/did.ts";
import {
  administratorRole,
  type Genesis,
  genesisBlock,
  parseGenesis,
} from "../../src/base/format/genesis.ts";
import type { Signer } from "../../src/base/keys.ts";
import { type Devnet, type DevnetNode, devnetKeyFile } from "../../src/cli/devnet/layout.ts";
import { makeDevnet } from "../../src/cli/devnet/make.ts";
import { isFree } from "../../src/cli/devnet/processes.ts";
import { LedgerClient } from "../../src/client/client.ts";
import { type Trust, trustOf } from "../../src/client/finality.ts";
import type { Status } from "../../src/client/schemas.ts";
import { makeGenesis, standardContracts } from "../../src/node/genesis-maker.ts";
import { openKeyFile } from "../../src/node/key-file.ts";
import { injectNative, nativeSigner, nativeVerifier } from "../../src/node/native-crypto.ts";

/** The program of this tree. */
export const programFile = fileURLToPath(new URL("../../bin/loopledger.js", import.meta.url));

const pollMs = 50;
/** Long enough for a machine that runs other tests meanwhile. */
const readyMsMax = 60_000;
const stopMsMax = 15_000;

/** What a test may choose. */
export type DevnetOptions = {
  readonly nodeCount?: number;
  /** Bundles installed beside the standard contracts. */
  readonly contracts?: readonly { readonly name: string; readonly source: string }[];
  /** Roles of further accounts, each of its own key; see `TestDevnet.extra`. */
  readonly extraAccounts?: readonly (readonly string[])[];
  /** So many of the nodes are members of the genesis; the others are `joining`. */
  readonly founders?: number;
  /** So many of the nodes bring an administrator; default: the founders. */
  readonly administrators?: number;
  /** Ledger parameters other than the defaults. */
  readonly parameters?: Partial<Genesis["parameters"]>;
  /** Lines added to every node's configuration. */
  readonly config?: string;
  /** How a node is started, where that matters. */
  readonly launch?: (index: number) => Launch;
};

type Environment = Readonly<Record<string, string>>;

type Launch = {
  readonly program?: string;
  readonly env?: Environment;
  /** A command that becomes the node's process by running what follows it. */
  readonly command?: readonly string[];
};

/** Who signs in tests. */
export type TestSigners = {
  readonly operator: Signer;
  readonly biller: Signer;
  readonly gateway: Signer;
};

/** One node of a devnet. */
export class TestNode {
  readonly name: string;
  readonly url: string;
  readonly files: DevnetNode;
  /** Speaks to this node only. */
  readonly client: LedgerClient;
  readonly #launch: Launch;
  #child: ChildProcess | undefined;
  #isStopped = false;
  #isRetired = false;

  constructor(files: DevnetNode, launch: Launch) {
    this.name = files.name;
    this.url = files.url;
    this.files = files;
    this.client = new LedgerClient({ nodes: [files.url], timeoutMs: 20_000 });
    this.#launch = launch;
  }

  get isRunning(): boolean {
    return this.#child?.exitCode === null && this.#child.signalCode === null;
  }

  /** Starts the process; does not wait until it is ready. Not once the devnet is closed. */
  start(...options: readonly string[]): void {
    if (this.#isRetired) throw new Error(`the devnet of ${this.name} is closed`);
    if (this.isRunning) throw new Error(`${this.name} runs already`);
    const { program = programFile, env = {}, command = [] } = this.#launch;
    const log = openSync(this.files.logFile, "a");
    const args = [program, "node", "start", "--config", this.files.configFile, ...options];
    const [first, ...rest] = [...command, process.execPath, ...args, "--until-stdin-ends"];
    this.#child = spawn(first as string, rest, {
      stdio: ["pipe", log, log],
      env: { ...process.env, ...env },
    });
    closeSync(log);
    this.#isStopped = false;
  }

  /** Ends the process for good: what still goes on after a failure cannot start it again. */
  retire(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    this.#isRetired = true;
    return this.stop(signal);
  }

  /** Tells whether the process ended although nobody here ended it. */
  get hasEndedByItself(): boolean {
    return this.#child !== undefined && !this.isRunning && !this.#isStopped;
  }

  /**
   * Halts the process with SIGSTOP until the answer is called. A small process does it, and lets
   * the node go on when the test process dies: a halted node would not notice that and stay.
   */
  async pause(): Promise<() => Promise<void>> {
    const pid = this.#child?.pid;
    if (pid === undefined || !this.isRunning) throw new Error(`${this.name} does not run`);
    const script = `kill -STOP ${pid} && echo && read -r line; kill -CONT ${pid}`;
    const keeper = spawn("sh", ["-c", script], { stdio: ["pipe", "pipe", "ignore"] });
    const ended = once(keeper, "exit");
    await Promise.race([once(keeper.stdout, "data"), ended]);
    return async () => {
      keeper.stdin.end();
      await ended;
    };
  }

  /** Ends the process and waits until it is gone. */
  async stop(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<void> {
    const child = this.#child;
    if (child === undefined || !this.isRunning) return;
    this.#isStopped = true;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill(signal);
    const late = setTimeout(() => child.kill("SIGKILL"), stopMsMax);
    await ended;
    clearTimeout(late);
  }

  /** Id of the process that was started last. */
  get processId(): number | undefined {
    return this.#child?.pid;
  }

  /** Exit code of the last process; `undefined` while it runs, null when a signal ended it. */
  get exitCode(): number | null | undefined {
    return this.isRunning ? undefined : this.#child?.exitCode;
  }

  /** Its status; `undefined` when it does not answer. */
  status(): Promise<Status | undefined> {
    return this.client.status().catch(() => undefined);
  }

  /** Waits until the node says that it is ready. */
  async ready(): Promise<void> {
    await until(
      `${this.name} is ready`,
      async () => {
        if (!this.isRunning) throw new Error(`${this.name} ended: ${this.logEnd()}`);
        return (await this.status())?.ready === true;
      },
      readyMsMax,
    );
  }

  /** Wipes what may be wiped: the ledger. Keys and signing record stay. */
  async wipeLedger(): Promise<void> {
    await rm(this.files.ledgerDirectory, { recursive: true });
  }

  logEnd(lineCount = 15): string {
    if (!existsSync(this.files.logFile)) return "";
    return readFileSync(this.files.logFile, "utf8")
      .trimEnd()
      .split("\n")
      .slice(-lineCount)
      .join("\n");
  }
}

/** A devnet of real processes. */
export class TestDevnet {
  readonly directory: string;
  readonly nodes: readonly TestNode[];
  readonly genesis: Genesis;
  readonly trust: Trust;
  readonly signers: TestSigners;
  /** Signers of the extra accounts. */
  readonly extra: readonly Signer[];
  /** Asks all nodes in turn. */
  readonly client: LedgerClient;

  private constructor(
    directory: string,
    nodes: readonly TestNode[],
    keys: { genesis: Genesis; signers: TestSigners; extra: readonly Signer[] },
  ) {
    this.directory = directory;
    this.nodes = nodes;
    this.genesis = keys.genesis;
    this.signers = keys.signers;
    this.extra = keys.extra;
    this.trust = trustOf(keys.genesis, nativeVerifier);
    this.client = new LedgerClient({ nodes: nodes.map(({ url }) => url), timeoutMs: 20_000 });
  }

  /** Makes the files of a devnet; starts nothing. */
  static async make(options: DevnetOptions = {}): Promise<TestDevnet> {
    injectNative();
    const { nodeCount = 4, launch = () => ({}) } = options;
    const directory = await mkdtemp(join(tmpdir(), "loopledger-e2e-"));
    const basePort = await freeBasePort(nodeCount);
    const plan = { directory: join(directory, "devnet"), nodeCount, basePort };
    const devnet = await makeDevnet(plan);
    const { genesis, extra } = await withExtras(devnet, options);
    const signers = {
      operator: await signerOf(devnet, "operator"),
      biller: await signerOf(devnet, "biller"),
      gateway: await signerOf(devnet, "gateway"),
    };
    const nodes = devnet.nodes.map((files, index) => new TestNode(files, launch(index)));
    return new TestDevnet(directory, nodes, { genesis, signers, extra });
  }

  get genesisFile(): string {
    return join(this.directory, "devnet", "genesis.json");
  }

  node(index: number): TestNode {
    const node = this.nodes[index];
    if (node === undefined) throw new Error(`there is no node ${index}`);
    return node;
  }

  /** Starts all nodes and waits until they are ready. */
  async up(): Promise<void> {
    for (const node of this.nodes) node.start();
    await Promise.all(this.nodes.map((node) => node.ready()));
  }

  /** Waits until all nodes stand at one height with one state root. */
  async settled(timeoutMs = 30_000): Promise<{ height: number; stateRoot: string }> {
    let found: { height: number; stateRoot: string } | undefined;
    await until(
      "all nodes have one height and one state root",
      async () => {
        const all = await Promise.all(this.nodes.map((node) => node.status()));
        const [first] = all;
        const isSame = all.every(
          (status) =>
            status !== undefined &&
            status.height === first?.height &&
            status.hash === first.hash &&
            status.stateRoot === first.stateRoot &&
            status.mempool.transactions === 0,
        );
        if (isSame && first !== undefined) found = first;
        return isSame;
      },
      timeoutMs,
    );
    if (found === undefined) throw new Error("settled without a status");
    return { height: found.height, stateRoot: found.stateRoot };
  }

  /** Ends all nodes. */
  async down(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop(signal)));
  }

  /** Ends all nodes and deletes everything, unless it is to be looked at. */
  async close(options: { readonly keep: boolean }): Promise<void> {
    const signal = options.keep ? "SIGTERM" : "SIGKILL";
    await Promise.all(this.nodes.map((node) => node.retire(signal)));
    if (!options.keep) return rm(this.directory, { recursive: true, force: true });
    console.error(`devnet kept in ${this.directory}`);
    for (const node of this.nodes) console.error(`--- ${node.name}\n${node.logEnd()}`);
  }
}

/**
 * Makes a devnet for the tests of a file (call it at the top) and ends it after them. With `isDown`
 * its nodes are not started.
 *
 * @returns What gives the devnet, inside tests.
 */
export function useDevnet(options: DevnetOptions & { readonly isDown?: boolean } = {}) {
  let devnet: TestDevnet | undefined;
  let hasFailed = false;
  beforeAll(async () => {
    hasFailed = true;
    devnet = await TestDevnet.make(options);
    if (options.isDown !== true) await devnet.up();
    hasFailed = false;
  }, readyMsMax + 10_000);
  afterEach(({ task }) => {
    if (task.result?.state === "fail") hasFailed = true;
  });
  afterAll(() => devnet?.close({ keep: hasFailed }), stopMsMax + 10_000);
  return (): TestDevnet => {
    if (devnet === undefined) throw new Error("the devnet exists only inside tests");
    return devnet;
  };
}

/** Waits until a condition holds. It is asked again and again; the time-out is only for failure. */
export async function until(
  what: string,
  condition: () => Promise<boolean> | boolean,
  timeoutMs = 30_000,
): Promise<void> {
  const endMs = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > endMs) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await pause(pollMs);
  }
}

/** Waits. Only for what is to be random or must be seen not to happen. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** The keys' chain is the file's: extras need another genesis, before any node has started. */
async function withExtras(
  devnet: Devnet,
  options: DevnetOptions,
): Promise<{ genesis: Genesis; extra: Signer[] }> {
  const { contracts = [], extraAccounts = [], founders, parameters, config } = options;
  const genesis = parseGenesis(readFileSync(devnet.genesisFile, "utf8"));
  const extra = extraAccounts.map((_, index) =>
    nativeSigner(Buffer.alloc(32, `loopledger test ${index}`)),
  );
  if (config !== undefined)
    for (const { configFile } of devnet.nodes) await appendFile(configFile, `${config}\n`);
  const isAsMade = founders === undefined && parameters === undefined;
  if (contracts.length + extra.length === 0 && isAsMade) return { genesis, extra };
  const { name, timestampMs, devices } = genesis;
  const members = genesis.members.slice(0, founders);
  const member = members[0]?.id ?? "";
  const accounts = accountsOf(genesis, founders, options.administrators);
  const added = extra.map((signer, index) => ({
    did: didOf(signer.publicKey),
    member,
    name: `extra ${index}`,
    roles: [...(extraAccounts[index] ?? [])],
  }));
  const plan = { name, timestampMs, members, accounts: [...accounts, ...added], devices };
  const chosen = { ...genesis.parameters, ...parameters };
  const made = await makeGenesis({ ...plan, parameters: chosen }, [
    ...standardContracts(),
    ...contracts,
  ]);
  genesisBlock(made);
  await writeFile(devnet.genesisFile, JSON.stringify(made));
  if (founders !== undefined) await writeJoining(devnet, genesis.members, founders);
  return { genesis: made, extra };
}

/** Those of founders stay; an administrator of a node that joins is of the first founder. */
function accountsOf(
  { accounts, members }: Genesis,
  founders = members.length,
  administrators = founders,
): Genesis["accounts"] {
  const first = members[0]?.id ?? "";
  const placeOf = (id: string) => members.findIndex((one) => one.id === id);
  return accounts.flatMap((account) => {
    const place = placeOf(account.member);
    const isAdministrator = account.roles.includes(administratorRole);
    if (place >= (isAdministrator ? administrators : founders)) return [];
    return [place < founders ? account : { ...account, member: first }];
  });
}

/** Founders know each other only; who joins knows the first of them, and the ledger the rest. */
async function writeJoining(
  devnet: Devnet,
  members: Genesis["members"],
  founders: number,
): Promise<void> {
  type Config = { p2p: { peers: { peerKey: string }[] } };
  for (const [index, { configFile }] of devnet.nodes.entries()) {
    const config = parse(readFileSync(configFile, "utf8")) as Config;
    const known = members.slice(0, index < founders ? founders : 1).map(({ peerKey }) => peerKey);
    const peers = config.p2p.peers.filter(({ peerKey }) => known.includes(peerKey));
    const p2p = { ...config.p2p, peers };
    await writeFile(configFile, stringify({ ...config, p2p, joining: index >= founders }));
  }
}

async function signerOf(devnet: Devnet, name: string): Promise<Signer> {
  const passphrase = readFileSync(devnet.passphraseFile, "utf8").trim();
  const file = devnetKeyFile(devnet.directory, name);
  return (await openKeyFile({ file, passphrase })).signer;
}

/** Below the range that systems give to outgoing connections; workers of one run never meet. */
async function freeBasePort(nodeCount: number): Promise<number> {
  const slot = Number(process.env.VITEST_POOL_ID ?? 0) % 12;
  const shift = Math.floor(Math.random() * 60);
  for (let attempt = 0; attempt < 60; attempt += 1) {
    const place = (attempt + shift) % 60;
    const base = 20_000 + 1_000 * slot + 200 * Math.floor(place / 12) + 8 * (place % 12);
    const ports = Array.from({ length: nodeCount }, (_, index) => [
      base + index,
      base + 100 + index,
    ]);
    const free = await Promise.all(ports.flat().map(isFree));
    if (free.every(Boolean)) return base;
  }
  throw new Error("no free ports");
}
