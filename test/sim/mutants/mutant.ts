/** An injected bug: one textual change of one file under src. */

/** A bug and where it goes. */
export type Mutant = {
  readonly name: string;
  /** Below src. */
  readonly file: string;
  /** Text that is there exactly once. */
  readonly replace: string;
  readonly by: string;
};

/** Returns a source with the bug in it. @throws {Error} unless it fits in exactly one place. */
export function applyMutant({ name, file, replace, by }: Mutant, source: string): string {
  const places = source.split(replace).length - 1;
  if (places !== 1)
    throw new Error(`mutant "${name}" fits ${places} places of src/${file}: update its table`);
  return source.replace(replace, () => by);
}
