/**
 * Seeds of tests that draw. `SEED=n` with the command of the test's file runs it with that seed:
 * again with the one that a failure printed, or with another one.
 */

/** Returns the number in `SEED`, or the test's own. */
export function seedOf(byDefault: number): number {
  const text = process.env.SEED ?? "";
  if (text === "") return byDefault;
  const seed = Number(text);
  if (!Number.isSafeInteger(seed)) throw new Error(`SEED=${text}: expected a whole number`);
  return seed;
}

/** Runs a test with the seeds 0 to `count` - 1, or with `SEED` alone. What fails names its seed. */
export function withSeeds(count: number, run: (seed: number) => void): void {
  const seeds = isOneSeed() ? [seedOf(0)] : Array.from({ length: count }, (_, seed) => seed);
  for (const seed of seeds) withSeed(seed, run);
}

/** Whether `SEED` is set: what holds over many seeds need not hold for this one. */
export function isOneSeed(): boolean {
  return (process.env.SEED ?? "") !== "";
}

/** Runs a test; what fails names the seed. */
export function withSeed(seed: number, run: (seed: number) => void): void {
  try {
    run(seed);
  } catch (cause) {
    throw new Error(`SEED=${seed}: ${String(cause)}`, { cause });
  }
}
