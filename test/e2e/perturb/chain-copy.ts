/**
 * Copies what a node's API tells of its chain, for the audit. It checks nothing and uses no client
 * of the product: plain requests, plain JSON.
 */

/** A block as told. Bytes are hexadecimal text. */
export type BlockCopy = {
  readonly height: number;
  readonly hash: string;
  readonly parentHash: string;
  readonly timestampMs: number;
  readonly stateRoot: string;
  readonly headerBytes: string;
  readonly certificateBytes: string | null;
  readonly transactions: readonly {
    readonly id: string;
    readonly sender: string;
    readonly nonce: number;
    readonly outcome: string;
  }[];
};

/** A change of the state as a receipt lists it; null = deleted. */
export type ChangeCopy = { readonly key: string; readonly valueHash: string | null };

const atOnce = 8;

/** Copies all blocks from height 0 to a height. */
export function copyChain(url: string, heightMax: number): Promise<BlockCopy[]> {
  const heights = Array.from({ length: heightMax + 1 }, (_, height) => height);
  return inParallel(heights, (height) => ask<BlockCopy>(`${url}/v1/blocks/${height}`));
}

/** Copies what transactions changed, by their ids. */
export async function copyChanges(
  url: string,
  ids: readonly string[],
): Promise<Map<string, readonly ChangeCopy[]>> {
  type Answer = { readonly receipt: { readonly changes: readonly ChangeCopy[] } };
  const answers = await inParallel(ids, (id) => ask<Answer>(`${url}/v1/transactions/${id}`));
  return new Map(ids.map((id, place) => [id, (answers[place] as Answer).receipt.changes]));
}

async function ask<T>(address: string): Promise<T> {
  const response = await fetch(address, { signal: AbortSignal.timeout(10_000) });
  if (!response.ok) throw new Error(`${address}: ${response.status} ${await response.text()}`);
  return (await response.json()) as T;
}

async function inParallel<T, R>(list: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results = new Array<R>(list.length);
  let next = 0;
  const worker = async () => {
    for (let place = next++; place < list.length; place = next++)
      results[place] = await work(list[place] as T);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return results;
}
