/** `genesis new`: makes the genesis file from what the founders decided. */
import { writeFile } from "node:fs/promises";
import { stringify } from "yaml";
import { z } from "zod";
import { LedgerError } from "../base/errors.ts";
import { Genesis, genesisBlock } from "../base/format/genesis.ts";
import { checkedConfig, readText } from "../node/config.ts";
import { makeGenesis, standardContracts } from "../node/genesis-maker.ts";
import { command, text } from "./command.ts";

const { name, members, accounts, devices, roles, parameters } = Genesis.shape;

/** What founders decide; the form of the plan file. */
const GenesisPlan = z.strictObject({
  name,
  /** Time of the genesis; no block is older. Default: now. */
  time: z.iso.datetime({ error: "expected a UTC time such as 2026-01-01T00:00:00Z" }).optional(),
  members,
  accounts: accounts.default([]),
  devices: devices.default([]),
  roles: roles.optional(),
  parameters: parameters.partial().optional(),
});

const examplePlan = stringify({
  name: "district-1",
  members: [
    { id: "utility", name: "Utility", validatorKey: "did:key:z6Mk...", peerKey: "did:key:z6Mk..." },
  ],
  accounts: [
    { did: "did:key:z6Mk...", member: "utility", name: "Desk", roles: ["operator", "biller"] },
    { did: "did:key:z6Mk...", member: "utility", name: "Board", roles: ["administrator"] },
  ],
  devices: [{ did: "did:key:z6Mk...", member: "utility", name: "Gateway 1", roles: ["gateway"] }],
  parameters: { heartbeatMs: 60000 },
});

/** The command. */
export const genesisNew = command({
  name: "genesis new",
  summary: "Makes a genesis file from a plan of members, accounts, devices and parameters.",
  details:
    "All nodes must hold the very same file. It holds the standard contracts of this program. " +
    "Accounts with the role administrator approve later changes of the members, by a quorum of " +
    "those in this file: give one to each member. " +
    `The plan is YAML:\n\n${examplePlan.trimEnd()}`,
  options: [
    ["--plan <file>", "plan to read (YAML)"],
    ["--out <file>", "genesis file to write; it must not exist"],
  ],
  examples: ["loopledger genesis new --plan plan.yaml --out genesis.json"],
  input: z.strictObject({ plan: text, out: text }),
  async run({ plan: planFile, out }, terminal) {
    const {
      time,
      parameters: chosen,
      roles: further,
      ...plan
    } = checkedConfig(GenesisPlan, readText(planFile));
    const genesis = await makeGenesis(
      {
        ...plan,
        timestampMs: time === undefined ? Date.now() : Date.parse(time),
        ...(further && { roles: further }),
        ...(chosen && { parameters: withoutAbsent(chosen) }),
      },
      standardContracts(),
    );
    await writeNew(out, `${JSON.stringify(genesis, undefined, 2)}\n`);
    const { chainId } = genesisBlock(genesis);
    const value = { file: out, chainId, members: genesis.members.length };
    terminal.result(value, `${out}\nchain ${chainId}`);
    return 0;
  },
});

function withoutAbsent<T extends object>(object: T) {
  const entries = Object.entries(object).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]: Exclude<T[K], undefined> };
}

async function writeNew(file: string, content: string): Promise<void> {
  try {
    await writeFile(file, content, { flag: "wx" });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "EEXIST") throw cause;
    throw new LedgerError("CLI_FILE_EXISTS", { file }, { cause });
  }
}
