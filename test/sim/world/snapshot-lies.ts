/** What a liar (trick `syncLies`) serves instead of its snapshots. */

import { isLedgerError } from "../../../src/base/errors.ts";
import { blockOf } from "../../../src/base/format/block.ts";
import {
  decodeChunk,
  decodeManifest,
  encodeChunk,
  encodeManifest,
  type SnapshotChunk,
} from "../../../src/ledger/snapshot-format.ts";
import type { SnapshotServing } from "../../../src/ledger/snapshot-source.ts";
import type { Random } from "../random.ts";

/** Returns what serves wrong manifests and chunks, and now and then the truth. */
export function lyingSnapshots(real: SnapshotServing, random: Random): SnapshotServing {
  return {
    get heights() {
      return random.chance(0.85) ? real.heights : random.chance(0.5) ? [] : [1_000_000];
    },
    manifest: async (height) => {
      const bytes = await served(() => real.manifest(real.heights[0] ?? height));
      // Who is found out here is asked for no chunk.
      return bytes === undefined || random.chance(0.8) ? bytes : wrongManifest(bytes, random);
    },
    chunk: async (height, from) => {
      const bytes = await served(() => real.chunk(height, from));
      return bytes === undefined || random.chance(0.2) ? bytes : wrongChunk(bytes, random);
    },
  };
}

/** A liar, too, may have its disk closed. */
async function served(read: () => Promise<Uint8Array | undefined>) {
  try {
    return await read();
  } catch (error) {
    if (isLedgerError(error)) return undefined;
    throw error;
  }
}

function wrongManifest(bytes: Uint8Array, random: Random): Uint8Array {
  const manifest = decodeManifest(bytes);
  const { headers, certificate } = manifest;
  const last = headers.at(-1);
  if (last === undefined) return bytes;
  switch (random.below(4)) {
    case 0: {
      // A state of its own under the certificate of the real one.
      const stateRoot = last.parentHash;
      return encodeManifest({
        ...manifest,
        headers: [...headers.slice(0, -1), { ...last, stateRoot }],
      });
    }
    case 1: {
      const { hash: blockHash } = blockOf({ ...last, stateRoot: last.parentHash }, []);
      const header = { ...last, stateRoot: last.parentHash };
      const wrong = { ...certificate, blockHash };
      return encodeManifest({
        ...manifest,
        headers: [...headers.slice(0, -1), header],
        certificate: wrong,
      });
    }
    case 2:
      return encodeManifest({ ...manifest, headers: headers.slice(1) });
    default:
      return noise(random);
  }
}

function wrongChunk(bytes: Uint8Array, random: Random): Uint8Array {
  const chunk = decodeChunk(bytes);
  const { entries } = chunk;
  const any = random.below(Math.max(1, entries.length));
  const total = entries.findIndex(([key]) => key.startsWith("sim/total/"));
  // A total is what the checks know the true value of.
  const place = total >= 0 && random.chance(0.7) ? total : any;
  const of = (fields: Partial<SnapshotChunk>) => encodeChunk({ ...chunk, ...fields });
  switch (random.below(10)) {
    case 1:
      return of({ entries: entries.filter((_, at) => at !== place) });
    case 2:
      // Says that this was all.
      return of({ to: undefined });
    case 3:
      // Longer than any key: nobody could answer for it.
      return of({ to: `${entries.at(-1)?.[0] ?? ""}${"~".repeat(300)}` });
    case 4:
      return of({ entries: [] });
    case 5:
      return noise(random);
    default:
      return of({ entries: entries.map(([key, value], at) => [key, at === place ? "7" : value]) });
  }
}

function noise(random: Random): Uint8Array {
  return Uint8Array.from({ length: random.below(300) }, () => random.below(256));
}
