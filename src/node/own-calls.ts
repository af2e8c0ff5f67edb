/** What the node says on the ledger by itself, and its readiness, if it is to become a validator. */
import type { Clock, Log } from "../base/log.ts";
import type { Ledger } from "../ledger/ledger.ts";
import type { FollowerStatus } from "./chain-follower.ts";
import type { Membership } from "./membership.ts";
import { NodeTransactions } from "./node-transactions.ts";
import type { NodeKeys } from "./open-keys.ts";
import { ReadyDeclarer } from "./ready-declarer.ts";
import type { Timers } from "./timers.ts";

type Parts = {
  readonly keys: Pick<NodeKeys, "validator" | "peer">;
  readonly ledger: Ledger;
  readonly membership: Membership;
  /** Admits, gossips, wakes consensus. */
  submit(bytes: Uint8Array): Promise<unknown>;
  following(): FollowerStatus;
  readonly clock: Clock;
  readonly timers?: Timers | undefined;
  readonly log: Log;
};

/** The node's own calls, running. */
export type OwnCalls = Pick<NodeTransactions, "submit" | "stop">;

/** Starts them. Only a node with a validator key can say that it is ready. */
export function startOwnCalls(parts: Parts): OwnCalls {
  const { validator, peer: signer } = parts.keys;
  const transactions = new NodeTransactions({ ...parts, signer });
  if (validator === undefined) return transactions;
  const peerKey = signer.publicKey;
  const declarer = new ReadyDeclarer({ ...parts, validator, peerKey, transactions });
  declarer.start();
  return {
    submit: (call) => transactions.submit(call),
    stop: async () => {
      declarer.stop();
      await transactions.stop();
    },
  };
}
