/** The seed of what is drawn anew with every commit, and the same for one commit everywhere. */
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Returns a number of 32 bits made from the commit; outside of a clone always the same. */
export function commitSeed(): number {
  try {
    const commit = execFileSync("git", ["rev-parse", "HEAD"], { cwd: root, encoding: "utf8" });
    return Number.parseInt(commit.slice(0, 8), 16);
  } catch {
    return 1;
  }
}
