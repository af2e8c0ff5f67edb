/**
 * Changes of the validators in end-to-end tests, under a load of readings that are followed until
 * they are proven final by one who has the genesis only.
 */
import { existsSync, readFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import { expect } from "vitest";
import { parse } from "yaml";
import { administratorRole } from "../../src/base/format/genesis.ts";
import type { JsonValue } from "../../src/base/format/json.ts";
import type { ValidatorChange } from "../../src/base/format/validator-change.ts";
import type { Signer } from "../../src/base/keys.ts";
import { limits } from "../../src/base/limits.ts";
import { quorumSize } from "../../src/base/proof/certificate.ts";
import { devnetKeyFile } from "../../src/cli/devnet/layout.ts";
import { LedgerClient } from "../../src/client/client.ts";
import { trustOf } from "../../src/client/finality.ts";
import { openKeyFile, readKeyFile } from "../../src/node/key-file.ts";
import { nativeVerifier } from "../../src/node/native-crypto.ts";
import { type TestDevnet, type TestNode, until as untilSoon } from "../helpers/devnet.ts";
import { readingOf, registerMeter, TestSender, untilFinal } from "./sender.ts";

const meter = "m-1";

/** Many nodes on a busy machine are slow; what is claimed here is that they get there. */
export function until(what: string, condition: () => Promise<boolean>): Promise<void> {
  return untilSoon(what, condition, 120_000);
}

/** A devnet with one founder whose set of validators changes. */
export class Growth {
  readonly #devnet: TestDevnet;
  readonly #administrators: readonly Signer[];
  #isLoaded = true;
  #sent = 0;
  #load: Promise<void> = Promise.resolve();

  /** Starts the founder and the load. */
  static async start(devnet: TestDevnet): Promise<Growth> {
    const [founder] = devnet.nodes as readonly [TestNode];
    founder.start();
    await founder.ready();
    const administrators = await administratorsOf(devnet);
    await registerMeter(devnet, meter);
    const growth = new Growth(devnet, administrators);
    growth.#load = growth.#report();
    // Whoever ends the load hears of its failure; until then it is no unhandled one.
    growth.#load.catch(() => undefined);
    return growth;
  }

  private constructor(devnet: TestDevnet, administrators: readonly Signer[]) {
    this.#devnet = devnet;
    this.#administrators = administrators;
  }

  get up(): readonly TestNode[] {
    return this.#devnet.nodes.filter((node) => node.isRunning);
  }

  /** Has a change approved by a quorum of the administrators: fewer change nothing. */
  async approve(change: ValidatorChange): Promise<void> {
    const before = await this.knownIds();
    const quorum = this.#administrators.slice(0, quorumSize(this.#administrators.length));
    for (const [index, signer] of quorum.entries()) {
      if (index > 0) expect(await this.knownIds()).toEqual(before);
      await this.#approveAs(signer, change);
    }
    await until("the change has taken effect", async () => {
      return !isDeepStrictEqual(await this.knownIds(), before);
    });
  }

  /** Ids of members and of candidates. */
  async knownIds() {
    const { members, candidates } = await this.#client().members();
    return { members: members.map(({ id }) => id), candidates: candidates.map(({ id }) => id) };
  }

  async #approveAs(signer: Signer, change: ValidatorChange): Promise<void> {
    const { trust } = this.#devnet;
    const args = { change: change as unknown as JsonValue };
    const call = { contract: "system", method: "approveChange", args };
    const { receipt } = await this.#client().submitAndWait(call, {
      signer,
      trust,
      gasLimit: limits.callGasMin,
      timeoutMs: 120_000,
    });
    expect(receipt.outcome).toBe("ok");
  }

  /** Starts nodes, has them admitted, waits for their word, and has them added at once. */
  async grow(...indexes: readonly number[]): Promise<void> {
    const joining = indexes.map((index) => this.#devnet.node(index));
    for (const node of joining) node.start();
    for (const node of joining) {
      const candidate = await candidateOf(node);
      await this.approve({ kind: "admit", candidate });
    }
    const [first] = this.up as readonly [TestNode];
    await until("the candidates said that they are ready", async () => {
      const { candidates } = await first.client.members();
      const areReady = candidates.every(({ ready }) => ready !== null);
      return candidates.length === joining.length && areReady;
    });
    await this.approve({ kind: "add", ids: joining.map(({ name }) => name).sort() });
  }

  /** Has members removed. Their nodes run on. */
  async remove(...indexes: readonly number[]): Promise<readonly TestNode[]> {
    const leaving = indexes.map((index) => this.#devnet.node(index));
    await this.approve({ kind: "remove", ids: leaving.map(({ name }) => name).sort() });
    return leaving;
  }

  /** Waits until all that run know a set of so many validators, and that it decides. */
  async decidesWith(count: number): Promise<void> {
    await until(`all nodes know ${count} validators`, async () => {
      const all = await Promise.all(this.up.map((node) => node.status()));
      return all.every((status) => status?.validators.length === count && status.ready);
    });
    // More blocks than validators: each of them proposed, or was passed over once.
    const { client } = this.up[0] as TestNode;
    const { height } = await client.status();
    await until("the new set decides", async () => (await client.status()).height > height + count);
  }

  /** Ends the load and checks that nothing was lost and nothing done twice. */
  async finish(changes: number): Promise<void> {
    this.#isLoaded = false;
    await this.#load;
    const { genesis, nodes } = this.#devnet;
    const { client } = this.up[0] as TestNode;
    const trust = trustOf(genesis, nativeVerifier);
    expect(await client.followValidators(trust)).toBe(changes);
    const key = `metering/meter/${meter}`;
    expect((await client.provenState(key, trust)).text).toBeDefined();
    const { entries } = await client.stateHistory(key, { limit: 1_000 });
    // Registered once, then written by each report.
    expect(entries.length).toBe(this.#sent + 1);
    for (const { files, name } of nodes)
      expect(existsSync(`${files.ledgerDirectory}.crashes`), name).toBe(false);
  }

  /** Ends the load without a look, when a test failed. */
  abandon(): void {
    this.#isLoaded = false;
  }

  #client(): LedgerClient {
    return new LedgerClient({ nodes: this.up.map(({ url }) => url), timeoutMs: 20_000 });
  }

  async #report(): Promise<void> {
    const gateway = new TestSender(this.#devnet, this.#devnet.signers.gateway);
    while (this.#isLoaded) {
      const readings = [readingOf(meter, this.#sent)];
      const transaction = gateway.sign("metering", "report", { readings });
      const { trust } = this.#devnet;
      const { receipt } = await untilFinal(this.#client(), transaction, { trust });
      expect(receipt.outcome).toBe("ok");
      this.#sent += 1;
    }
  }
}

/** Opens the keys of the administrators that the genesis names. */
function administratorsOf({ directory, genesis }: TestDevnet): Promise<Signer[]> {
  const folder = `${directory}/devnet`;
  const passphrase = readFileSync(`${folder}/passphrase`, "utf8").trim();
  const administrators = genesis.accounts.filter(({ roles }) => roles.includes(administratorRole));
  return Promise.all(
    administrators.map(async ({ name }) => {
      const file = devnetKeyFile(folder, name);
      return (await openKeyFile({ file, passphrase })).signer;
    }),
  );
}

/** What an administrator writes of a node, from its files. */
export async function candidateOf(node: TestNode) {
  const { directory, configFile } = node.files;
  const key = async (name: string) => (await readKeyFile(`${directory}/${name}.json`)).publicKey;
  const config = parse(readFileSync(configFile, "utf8")) as { p2p: { listen: string[] } };
  return {
    id: node.name,
    name: node.name,
    validatorKey: await key("validator"),
    peerKey: await key("peer"),
    address: config.p2p.listen[0],
  };
}
