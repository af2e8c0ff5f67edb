/** The first walk of the README, run as it stands there. Needs a build. */
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, expect, it } from "vitest";
import { freeBasePort, programFile } from "../../src/cli/devnet/processes.ts";

const projectRoot = fileURLToPath(new URL("../..", import.meta.url));
const root = mkdtempSync(join(tmpdir(), "loopledger-readme-"));
const run = (script: string) => promisify(execFile)("bash", ["-euc", script], { cwd: root });
afterAll(async () => {
  await run(`node ${programFile} devnet reset || true`);
  rmSync(root, { recursive: true });
});

it("leads from an empty directory to a verified bill", { timeout: 180_000 }, async () => {
  const page = readFileSync(join(projectRoot, "README.md"), "utf8");
  const walk = /^## A first walk$.*?^```sh\n(.*?)^```$/ms.exec(page)?.[1] ?? "";
  expect(walk).toContain("devnet up\n");
  symlinkSync(dirname(programFile), join(root, "bin"));
  symlinkSync(join(projectRoot, "data"), join(root, "data"));
  // The ports of the page may be taken on this machine.
  const { stdout } = await run(
    walk.replace("devnet up", `devnet up --base-port ${await freeBasePort(4)}`),
  );
  expect(stdout).toContain('"energyWh": 2792148');
  expect(stdout).toMatch(/certified: (\d+) of \1 checks hold/);
  expect(stdout).toContain("billing.bill");
  expect(stdout).toContain("stopped: heat-producer, data-centre, municipality, grid-operator");
  expect(stdout).toMatch(/valid up to \d+; cannot know whether more existed/);
});
