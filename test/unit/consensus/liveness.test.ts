/** Small networks of every size decide, idle and go on; the twin of every safety test. */
import { expect, it } from "vitest";
import { Cluster } from "../../sim/cluster.ts";

it.each([1, 2, 3, 4, 5, 7])("%i validators decide block after block", (count) => {
  const cluster = new Cluster({ count });
  for (let height = 1; height <= 5; height += 1) {
    cluster.submit(`transaction ${height}`);
    expect(cluster.runToHeight(height, 900)).toBe(true);
  }
  expect(cluster.nodes.every(({ ledger }) => ledger.transactions.length === 5)).toBe(true);
});
