/** A restart that is asked for while the node still starts, as a node without a ledger may do. */
import { describe, expect, it } from "vitest";
import { RunOrder } from "../../../src/node/run-order.ts";

/** Something that ends when the test says so. */
function held() {
  let end = () => {};
  let fail = (_error: Error) => {};
  const ended = new Promise<void>((resolve, reject) => {
    end = resolve;
    fail = reject;
  });
  return { ended, end, fail };
}

describe("the runs of a node", () => {
  it("(1) a restart waits for the start, so that it stops all that was started", async () => {
    const done: string[] = [];
    const api = held();
    const order = new RunOrder();
    const started = order.start(async () => {
      done.push("network");
      await api.ended;
      done.push("api");
      return "url";
    });
    order.restart(async () => {
      done.push("stopped");
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(done).toEqual(["network"]);
    api.end();
    expect(await started).toBe("url");
    await order.end();
    expect(done).toEqual(["network", "api", "stopped"]);
  });

  it("(1) after a start that failed there is none, and nobody waits for it", async () => {
    const api = held();
    const order = new RunOrder();
    const started = order.start(() => api.ended);
    let restarts = 0;
    order.restart(async () => {
      restarts += 1;
    });
    api.fail(new Error("the port is taken"));
    await expect(started).rejects.toThrow("taken");
    await order.end();
    expect(restarts).toBe(0);
  });

  it("(2) one at a time, and then another", async () => {
    const order = new RunOrder();
    await order.start(async () => {});
    const first = held();
    const begun: number[] = [];
    const restart = (number: number, until?: Promise<void>) =>
      order.restart(async () => {
        begun.push(number);
        await until;
      });
    restart(1, first.ended);
    await new Promise((resolve) => setImmediate(resolve));
    restart(2);
    first.end();
    await new Promise((resolve) => setImmediate(resolve));
    expect(begun).toEqual([1]);
    restart(3);
    await new Promise((resolve) => setImmediate(resolve));
    expect(begun).toEqual([1, 3]);
  });

  it("(3) none once the node is to stop, also if it was asked for before", async () => {
    const order = new RunOrder();
    const api = held();
    const started = order.start(() => api.ended);
    let restarts = 0;
    const restart = async () => {
      restarts += 1;
    };
    order.restart(restart);
    const ended = order.end();
    order.restart(restart);
    api.end();
    await Promise.all([started, ended]);
    order.restart(restart);
    await new Promise((resolve) => setImmediate(resolve));
    expect(restarts).toBe(0);
  });
});
