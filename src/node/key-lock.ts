/**
 * Refuses a second process with the same validator key on this machine. The lock is a socket in
 * Linux's abstract namespace: the kernel gives it back at the very moment the process dies, so a
 * killed node leaves nothing stale. Other systems have no such name; there the ledger's own lock
 * and the operator must do (said at start).
 */
import { createServer, type Server } from "node:net";
import { LedgerError } from "../base/errors.ts";
import type { PublicKey } from "../base/keys.ts";
import type { Log } from "../base/log.ts";

/** Holds the lock until `release` is called or the process ends. */
export type KeyLock = { release(): void };

/** @throws {LedgerError} NODE_KEY_IN_USE when another process votes with this key. */
export async function lockKey(publicKey: PublicKey, log: Log): Promise<KeyLock> {
  if (process.platform !== "linux") {
    log.warn({}, "no key lock on this system: never start two nodes with one key");
    return { release() {} };
  }
  const server = createServer((socket) => socket.destroy());
  await listen(server, `\0loopledger-validator-${publicKey}`, publicKey);
  server.unref();
  return { release: () => server.close() };
}

function listen(server: Server, path: string, publicKey: PublicKey): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause) =>
      reject(new LedgerError("NODE_KEY_IN_USE", { publicKey }, { cause })),
    );
    server.listen({ path }, resolve);
  });
}
