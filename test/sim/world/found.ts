/** How tests of the checkers look at what these find. */
import { Violation } from "./checkers.ts";

/** Returns what a check finds, as "checker: message"; nothing when all is as it must be. */
export function found(check: () => void): string | undefined {
  try {
    check();
  } catch (error) {
    if (error instanceof Violation) return error.message;
    throw error;
  }
  return undefined;
}

/** The same of a check that takes time. */
export async function foundLater(check: () => Promise<void>): Promise<string | undefined> {
  return check().then(
    () => undefined,
    (error) =>
      found(() => {
        throw error;
      }),
  );
}
