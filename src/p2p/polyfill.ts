/**
 * `Promise.withResolvers` for Node 20, which libp2p needs when it runs (D20). Must be the first
 * import of every file that imports libp2p. Node 22 has its own, which is left alone.
 */

type Resolvers = {
  promise: Promise<unknown>;
  resolve: (value: unknown) => void;
  reject: (reason: unknown) => void;
};

function withResolvers(): Resolvers {
  let resolve: Resolvers["resolve"] = () => undefined;
  let reject: Resolvers["reject"] = () => undefined;
  const promise = new Promise<unknown>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}

if (!("withResolvers" in Promise)) {
  Object.defineProperty(Promise, "withResolvers", {
    value: withResolvers,
    configurable: true,
    writable: true,
  });
}
