/** What a peer is given when it connects: all that is pending, but not as often as it likes. */
import { expect, it } from "vitest";
import { startShell } from "./shell-fixture.ts";

it("a peer that connects over and over gets what is pending once in a while", async () => {
  const { shell, timers, sentTo } = startShell({ members: 4, peers: {} });
  for (let count = 0; count < 100; count += 1) {
    shell.handlers.onPeerChange("peer 1", true);
    shell.handlers.onPeerChange("peer 1", false);
    await timers.advance(100);
  }
  // Ten seconds have passed.
  expect(sentTo.length).toBeGreaterThanOrEqual(4);
  expect(sentTo.length).toBeLessThanOrEqual(6);
  shell.handlers.onPeerChange("peer 2", true);
  expect(sentTo.at(-1)).toBe("peer 2");
  await shell.stop();
});
