/**
 * Members and candidates as the ledger names them at this moment, for those parts of the node that
 * must follow: who may be connected, where they listen, whose vote is whose. It decides nothing.
 */
import { publicKeyOf } from "../base/format/did.ts";
import type { PublicKey } from "../base/keys.ts";
import { limits } from "../base/limits.ts";
import type { Ledger } from "../ledger/ledger.ts";
import { type FormerEntry, readTable } from "../ledger/system/tables.ts";
import type { StateReader } from "../ledger/types.ts";

/** A member or candidate as consensus and network know it. */
export type MemberKeys = {
  readonly id: string;
  readonly name: string;
  readonly validator: PublicKey;
  readonly peer: PublicKey;
  /** Where its node listens, if the ledger says so. */
  readonly address: string | undefined;
};

/** Where a peer listens. */
type PeerAddress = { readonly peerKey: PublicKey; readonly address: string };

type FormerPeer = { readonly peer: PublicKey; readonly removedAtMs: number };

type Picture = {
  readonly members: readonly MemberKeys[];
  readonly candidates: readonly MemberKeys[];
  readonly former: readonly FormerPeer[];
};

/** Former members that are remembered here; those removed long ago are of no account. */
const formerMax = 1_024;
const tables = ["system/member/", "system/candidate/", "system/former/"];

/** Follows the ledger's tables of members. */
export class Membership {
  readonly #ledger: Ledger;
  readonly #listeners: (() => void)[] = [];
  #picture: Picture;

  constructor(ledger: Ledger) {
    this.#ledger = ledger;
    this.#picture = readPicture(ledger.state);
    ledger.onAppend(({ receipts }) => {
      const isChanged = receipts.some(({ changes }) =>
        changes.some(({ key }) => tables.some((table) => key.startsWith(table))),
      );
      if (!isChanged) return;
      this.#picture = readPicture(this.#ledger.state);
      for (const listener of this.#listeners) listener();
    });
  }

  /** Members: their keys are the validators of the next height. */
  members(): readonly MemberKeys[] {
    return this.#picture.members;
  }

  /** Candidates: they follow and do not vote. */
  candidates(): readonly MemberKeys[] {
    return this.#picture.candidates;
  }

  /** Calls the listener whenever members or candidates changed. */
  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /**
   * Returns who may be connected: members, candidates, and for a while who was removed, so that it
   * can fetch the blocks that say so.
   *
   * @param nowMs - UTC milliseconds, compared with block times.
   */
  allowedPeers(nowMs: number): PublicKey[] {
    const { members, candidates, former } = this.#picture;
    const leaving = former.filter(
      ({ removedAtMs }) => removedAtMs + limits.formerMemberMsMax > nowMs,
    );
    return [...new Set([...members, ...candidates, ...leaving].map(({ peer }) => peer))];
  }

  /** Tells whether a peer was a member and is neither that nor a candidate now. */
  isFormer(peer: PublicKey): boolean {
    const { members, candidates, former } = this.#picture;
    const isPresent = [...members, ...candidates].some((one) => one.peer === peer);
    return !isPresent && former.some((one) => one.peer === peer);
  }

  /** Where members and candidates listen, as far as the ledger says. */
  addresses(): PeerAddress[] {
    const { members, candidates } = this.#picture;
    return [...members, ...candidates].flatMap(({ peer: peerKey, address }) =>
      address === undefined ? [] : [{ peerKey, address }],
    );
  }
}

function readPicture(state: StateReader): Picture {
  return {
    members: readTable(state, "member").map(keysOf),
    candidates: readTable(state, "candidate").map(keysOf),
    former: readFormer(state),
  };
}

type Row = {
  readonly name: string;
  readonly validatorKey: string;
  readonly peerKey: string;
  readonly address?: string | undefined;
};

function keysOf([id, row]: readonly [string, Row]): MemberKeys {
  const { name, validatorKey, peerKey, address } = row;
  return { id, name, validator: publicKeyOf(validatorKey), peer: publicKeyOf(peerKey), address };
}

function readFormer(state: StateReader): FormerPeer[] {
  const rows = state.range({
    from: "system/former/",
    to: "system/former0",
    reverse: false,
    limit: formerMax,
  });
  return rows.map(([, text]) => {
    const { peerKey, removedAtMs } = JSON.parse(text) as FormerEntry;
    return { peer: publicKeyOf(peerKey), removedAtMs };
  });
}
