/** JSON as it is given on a command line: as text, or in a file that is named. */
import { readText } from "../node/config.ts";

/** Returns the text itself, or with a leading `@` what is in the file of that name. */
export function jsonInput(text: string): string {
  return text.startsWith("@") ? readText(text.slice(1)) : text;
}
