/** Small hand-written bundles for the tests of the sandbox, against the bundle protocol only. */

import { compareUtf8 } from "../../../src/base/bytes.ts";
import { limits } from "../../../src/base/limits.ts";
import type { CallRequest, RuntimeOptions, StateReader } from "../../../src/contracts/types.ts";

/** Returns a bundle whose methods and views have the given bodies with `args` in scope. */
export function bundle(
  name: string,
  methods: Readonly<Record<string, string>>,
  views: Readonly<Record<string, string>> = {},
): string {
  const bodies = Object.entries({ ...methods, ...views }).map(
    ([method, body]) => `${JSON.stringify(method)}(args, input) { ${body} }`,
  );
  const description = {
    name,
    methods: Object.fromEntries(Object.keys(methods).map((method) => [method, { roles: [] }])),
    views: Object.keys(views),
  };
  return `const bodies = { ${bodies.join(",\n")} };
globalThis.contractEntry = {
  describe: () => ${JSON.stringify(JSON.stringify(description))},
  call(text) {
    const input = JSON.parse(text);
    const ok = bodies[input.method](input.args, input);
    return JSON.stringify({ ok: ok === undefined ? null : ok });
  },
};`;
}

/** Options of a runtime without a verifier. */
export const options: RuntimeOptions = { verifier: { verify: () => false } };

/** A request with defaults. */
export function request(
  contract: string,
  method: string,
  change: Partial<CallRequest> = {},
): CallRequest {
  return {
    contract,
    method,
    argsJson: "null",
    kind: "method",
    sender: "did:key:z6MkTest",
    roles: [],
    gasLimit: limits.callGasMax,
    height: 7,
    timeMs: 1_700_000_000_123,
    ...change,
  };
}

/** State in memory. */
export function stateOf(entries: Readonly<Record<string, string>> = {}): StateReader {
  const sorted = Object.entries(entries).sort(([a], [b]) => compareUtf8(a, b));
  return {
    get: (key) => (Object.hasOwn(entries, key) ? entries[key] : undefined),
    range: ({ from, to, reverse, limit }) => {
      const found = sorted.filter(
        ([key]) => compareUtf8(key, from) >= 0 && compareUtf8(key, to) < 0,
      );
      return (reverse ? found.reverse() : found).slice(0, limit);
    },
  };
}
