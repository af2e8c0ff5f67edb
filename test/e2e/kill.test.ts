/**
 * SIGKILL at random moments never loses a final transaction nor needs repair by hand. 25 kills are
 * in test/deep. See kill-run.ts for the method and for how to run a seed again.
 */
import { expect, it } from "vitest";
import { useDevnet } from "../helpers/devnet.ts";
import { killRun } from "./kill-run.ts";

const devnet = useDevnet();

it("keeps all that was final through 10 kills under load", async () => {
  const { final } = await killRun(devnet(), { killCount: 10, finalMin: 21 });
  expect(final).toBeGreaterThan(20);
}, 180_000);
