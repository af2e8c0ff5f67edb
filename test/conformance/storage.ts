/**
 * What the ledger store promises, run on every database it is used with: LevelDB on disk and the
 * one in memory that other tests use. Quotes the invariants of src/ledger/store.ts by number.
 */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { blockOf, decodeBlock, encodeBlock } from "../../src/base/format/block.ts";
import { encodeCertificate } from "../../src/base/format/message.ts";
import { valueHashOf } from "../../src/base/hash.ts";
import { limits } from "../../src/base/limits.ts";
import { silentLog } from "../../src/base/log.ts";
import { verifyInclusion } from "../../src/base/proof/state-proof.ts";
import type { Database } from "../../src/ledger/database.ts";
import { LedgerStore } from "../../src/ledger/store.ts";
import type { AppendInput } from "../../src/ledger/types.ts";
import { TestChain, testGenesis } from "../helpers/chain.ts";

/** A place for one store, empty at first. */
export type Place = {
  /** Opens the database in it, again after it was closed. */
  readonly open: () => Promise<Database>;
  readonly remove: () => Promise<void>;
};

/** Declares the suite for one kind of database. */
export function describeStorage(name: string, makePlace: () => Promise<Place>): void {
  describe(`ledger store on ${name}`, () => {
    let place: Place;
    let chain: TestChain;
    let store: LedgerStore;

    const open = async () =>
      LedgerStore.open({ database: await place.open(), genesis: chain.genesis, log: silentLog });
    const reopen = async () => {
      await store.close();
      store = await open();
    };

    beforeEach(async () => {
      place = await makePlace();
      chain = new TestChain();
      store = await open();
    });
    afterEach(async () => {
      await store.close();
      await place.remove();
    });

    it("begins with the genesis", async () => {
      const { chainId, header, state } = chain.genesis;
      expect(store.chainId).toBe(chainId);
      expect(store.tip).toEqual({ height: 0, hash: chainId, header });
      expect(store.stateTree.root).toBe(header.stateRoot);
      expect((await store.stateTreeAt(0))?.root).toBe(header.stateRoot);
      for (const [key, value] of state) expect(store.state.get(key)).toBe(value);
      expect(await store.readBlock(0)).toEqual({
        block: blockOf(header, []),
        certificate: undefined,
      });
      expect(await store.readReceipts(0)).toEqual([]);
    });

    it("(1, 3) gives back all that was appended, also after it was opened again", async () => {
      const inputs = await chain.blocks(5);
      for (const input of inputs) await store.append(input);
      for (let round = 0; round < 2; round += 1) {
        expect(store.tip.hash).toBe(chain.tip.hash);
        for (const { block, certificate, receipts, transactionIds } of inputs) {
          const { height } = block.header;
          expect(await store.readBlock(height)).toEqual({ block, certificate });
          const bytes = await store.readBlockBytes(height);
          expect(bytes?.block).toEqual(encodeBlock(block));
          expect(bytes?.certificate).toEqual(encodeCertificate(certificate));
          expect(decodeBlock(bytes?.block ?? new Uint8Array()).hash).toBe(block.hash);
          expect(await store.readReceipts(height)).toEqual(receipts);
          for (const [index, id] of transactionIds.entries())
            expect(await store.findTransaction(id)).toEqual({ height, index });
        }
        for (const [key, value] of chain.state) expect(store.state.get(key)).toBe(value);
        expect(store.stateTree.root).toBe(chain.tree.root);
        await reopen();
      }
    });

    it("answers undefined above the tip and for what nobody wrote", async () => {
      expect(await store.readBlock(1)).toBeUndefined();
      expect(await store.readBlockBytes(1)).toBeUndefined();
      expect(await store.readReceipts(1)).toEqual([]);
      expect(await store.findTransaction("00".repeat(32))).toBeUndefined();
      expect(store.state.get("toy/none")).toBeUndefined();
      expect(await store.stateTreeAt(1)).toBeUndefined();
      expect(await store.readValueAt("toy/none", 9)).toBeUndefined();
      expect(await store.history("toy/none")).toEqual([]);
    });

    it("(2) runs appends one after the other and refuses any but the next height", async () => {
      const [one, two, three] = await chain.blocks(3);
      const appends = [one, two, three].map((input) => store.append(input as never));
      await Promise.all(appends);
      expect(store.tip.height).toBe(3);
      await expect(store.append(three as never)).rejects.toThrow("LEDGER_HEIGHT_GAP");
      const beyond = (await chain.blocks(2))[1];
      await expect(store.append(beyond as never)).rejects.toThrow("LEDGER_HEIGHT_GAP");
      expect(store.tip.height).toBe(3);
    });

    it("writes nothing when the changes do not lead to the header's state root", async () => {
      const [input] = await chain.blocks(1);
      const changes = [["toy/a", "2"]] as const;
      const wrong = store.append({ ...(input as AppendInput), changes });
      await expect(wrong).rejects.toThrow("LEDGER_ROOT_DIFFERS");
      await reopen();
      expect(store.tip.height).toBe(0);
      await store.append(input as never);
      expect(store.state.get("toy/a")).toBe("1");
    });

    it("answers from the tree that the executor hands over as from its own", async () => {
      const [input] = await chain.blocks(1);
      await store.append({ ...(input as AppendInput), stateTree: chain.tree });
      expect(store.stateTree).toBe(chain.tree);
      await reopen();
      expect(store.stateTree.root).toBe(chain.tree.root);
    });

    it("lists ranges in the order of UTF-8 bytes, from both ends", async () => {
      const keys = { "toy/b": 2, "toy/a": 1, "toy/\u{1f525}": 4, "toy/\uff5e": 3 };
      await store.append(await chain.next([keys]));
      const range = { from: "toy/", to: "toy0", reverse: false, limit: 10 };
      const entries = [
        ["toy/a", "1"],
        ["toy/b", "2"],
        ["toy/\uff5e", "3"],
        ["toy/\u{1f525}", "4"],
      ];
      expect(store.state.range(range)).toEqual(entries);
      const reverse = { ...range, reverse: true, limit: 2 };
      expect(store.state.range(reverse)).toEqual(entries.toReversed().slice(0, 2));
    });

    it("keeps the history of every key by height, deletions too", async () => {
      const values = [{ "toy/a": 1 }, { "toy/b": 1 }, { "toy/a": null }, { "toy/a": 3 }];
      for (const value of values) await store.append(await chain.next([value]));
      for (let round = 0; round < 2; round += 1) {
        expect(await store.history("toy/a")).toEqual([
          { height: 1, value: "1" },
          { height: 3, value: undefined },
          { height: 4, value: "3" },
        ]);
        const page = await store.history("toy/a", { from: 2, limit: 1 });
        expect(page).toEqual([{ height: 3, value: undefined }]);
        expect(await store.readValueAt("toy/a", 0)).toBeUndefined();
        expect(await store.readValueAt("toy/a", 2)).toEqual({ value: "1", writtenAt: 1 });
        expect(await store.readValueAt("toy/a", 3)).toEqual({ value: undefined, writtenAt: 3 });
        expect(await store.readValueAt("toy/a", 9)).toEqual({ value: "3", writtenAt: 4 });
        const [key, value] = chain.genesis.state[0] as [string, string];
        expect(await store.readValueAt(key, 4)).toEqual({ value, writtenAt: 0 });
        await reopen();
      }
    });

    it("keeps apart keys of which one begins another", async () => {
      const digits = "000000000001";
      const keys = { "toy/a": 1, "toy/a/": 2, [`toy/a/${digits}`]: 3, [`toy/a/${digits}/`]: 4 };
      await store.append(await chain.next([keys]));
      for (const [key, value] of Object.entries(keys))
        expect(await store.history(key)).toEqual([{ height: 1, value: String(value) }]);
    });

    it("proves against the trees of the last heights, also after it was opened again", async () => {
      const roots = [chain.tree.root];
      const last = limits.stateHistoryBlocks + 3;
      for (let height = 1; height <= last; height += 1) {
        const toys = { "toy/a": height, [`toy/${height % 7}`]: height % 3 === 0 ? null : height };
        await store.append(await chain.next([toys]));
        roots.push(chain.tree.root);
      }
      for (let round = 0; round < 2; round += 1) {
        for (const [height, root] of roots.entries()) {
          const tree = await store.stateTreeAt(height);
          const isKept = height > last - limits.stateHistoryBlocks;
          expect(tree?.root).toBe(isKept ? root : undefined);
        }
        const height = last - 100;
        const tree = await store.stateTreeAt(height);
        const leaf = { key: "toy/a", valueHash: valueHashOf(String(height)) };
        const proof = tree?.proveInclusion("toy/a");
        expect(verifyInclusion(proof as never, leaf, roots[height] as string)).toBe(true);
        await reopen();
      }
    });

    it("answers a view for its own height while later blocks are appended", async () => {
      await store.append(await chain.next([{ "toy/a": 1, "toy/b": 1 }]));
      const view = store.state;
      const appending = store.append(await chain.next([{ "toy/a": 2, "toy/c": 2 }]));
      // The batch is under way: neither the old view nor the tip may show half of it.
      await Promise.resolve();
      expect(store.state.get("toy/a")).toBe("1");
      await appending;
      await store.append(await chain.next([{ "toy/a": null, "toy/b": 3 }]));
      expect([view.get("toy/a"), view.get("toy/b"), view.get("toy/c")]).toEqual([
        "1",
        "1",
        undefined,
      ]);
      const range = { from: "toy/", to: "toy0", reverse: false, limit: 10 };
      expect(view.range(range)).toEqual([
        ["toy/a", "1"],
        ["toy/b", "1"],
      ]);
      expect(store.state.get("toy/a")).toBeUndefined();
      expect(store.state.get("toy/b")).toBe("3");
      expect(store.state.get("toy/c")).toBe("2");
    });

    it("refuses the store of another chain and leaves it as it is", async () => {
      await store.append((await chain.blocks(1))[0] as never);
      await store.close();
      const genesis = testGenesis("another");
      const database = await place.open();
      const opening = LedgerStore.open({ database, genesis, log: silentLog });
      await expect(opening).rejects.toThrow("LEDGER_CHAIN_MISMATCH");
      await database.close();
      store = await open();
      expect(store.tip.height).toBe(1);
    });
  });
}
