/** The same as test/e2e/kill.test.ts, several times as long. */
import { expect, it } from "vitest";
import { killRun } from "../e2e/kill-run.ts";
import { useDevnet } from "../helpers/devnet.ts";

const devnet = useDevnet();

it("keeps all that was final through 25 kills under load", async () => {
  const { final } = await killRun(devnet(), { killCount: 25, finalMin: 101 });
  expect(final).toBeGreaterThan(100);
}, 600_000);
