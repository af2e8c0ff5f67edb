/**
 * The points that tests of damaged and half-written files try. Those of a smaller count are the
 * first of a larger one: nothing that is drawn depends on the count.
 */
import { seedOf } from "./seed.ts";

/** How many, of those that are cheap. */
export const diskPoints = Number(process.env.DISK_POINTS ?? 240);

/** Another one with each run, unless `SEED` says which. */
export const diskSeed = seedOf(Math.floor(Math.random() * 2 ** 31));

/** Tries the same points again. */
export const diskCommand = `npm run disk:kills -- --seed ${diskSeed} --points ${diskPoints}`;

/** Whatever goes wrong at a point names it, and the command that tries it again. */
export async function atPoint(point: string, run: () => Promise<void>): Promise<void> {
  try {
    await run();
  } catch (cause) {
    throw new Error(`${point}: ${String(cause)}\nagain: ${diskCommand}`, { cause });
  }
}
