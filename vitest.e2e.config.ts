import { inTwoGroups } from "./vitest.groups.ts";

const e2e = (names: readonly string[]) => names.map((name) => `test/e2e/${name}.test.ts`);

/** Tests with real processes or networks. Most take both cores, or have bounds of time: alone. */
export default inTwoGroups({
  sharing: e2e([
    ...["backup", "cli", "disk-full", "key-safety", "lost-votes", "readme", "refusals"],
    ...["replay-kill", "start-crash", "store-kill", "validators"],
    ...["perturb/audit", "perturb/links", "perturb/told"],
    ...["p2p/gate", "p2p/gossip-abuse", "p2p/gossip-limits", "p2p/muxer", "p2p/network"],
  ]),
  all: ["test/e2e/**/*.test.ts"],
});
