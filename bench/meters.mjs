/** What benchmarks send: readings of one meter a gateway, one a minute, all registers rising. */
import { didOf } from "../dist/base/format/did.js";
import { post } from "./load.mjs";

/** The meters of a devnet's gateways. */
export class Meters {
  #devnet;
  #nextReading;

  constructor(devnet) {
    this.#devnet = devnet;
    this.#nextReading = new Array(devnet.gateways.length).fill(0);
  }

  /** Registers all of them; returns when that is final. */
  async register(feed) {
    const { gateways, nodes, signOperator } = this.#devnet;
    const all = gateways.map(({ publicKey }, index) => {
      const args = { meter: `m-${index}`, kind: "heat", gateway: didOf(publicKey) };
      const { id, bytes } = signOperator("registerMeter", args);
      return new Promise((resolve, reject) => {
        feed.expect(id, resolve);
        post(nodes[0].url, undefined, bytes).then(
          (code) => code !== undefined && reject(new Error(code)),
          reject,
        );
      });
    });
    await Promise.all(all);
  }

  /** Signs transactions of so many readings each, the gateways in turn. */
  prepare(transactionCount, readingCount) {
    const { gateways, sign } = this.#devnet;
    return Array.from({ length: transactionCount }, (_, index) => {
      const gateway = index % gateways.length;
      const readings = this.#readings(gateway, readingCount);
      return sign(gateways[gateway], "report", { readings });
    });
  }

  #readings(gateway, count) {
    const from = this.#nextReading[gateway];
    this.#nextReading[gateway] += count;
    return Array.from({ length: count }, (_, offset) => {
      const index = from + offset;
      const instantMs = Date.UTC(2019, 0, 1) + index * 60_000;
      return [`m-${gateway}`, instantMs, index * 100, index * 3, index * 180, index * 90];
    });
  }
}
