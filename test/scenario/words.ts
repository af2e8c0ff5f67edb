/** Reading a line of a script: words, sections begun by keywords, slots such as `1/0`. */

/** Height and round as a script writes them; `*` is any. */
export type SlotPattern = { readonly height: number | "*"; readonly round: number | "*" };

/** Words of a command: those before the first keyword under `""`, then each keyword's. */
export type Sections = ReadonlyMap<string, readonly string[]>;

/** Splits words at keywords. @throws {Error} when a keyword comes twice. */
export function sectionsOf(words: readonly string[], keywords: readonly string[]): Sections {
  const sections = new Map<string, string[]>([["", []]]);
  let open = "";
  for (const word of words) {
    if (!keywords.includes(word)) {
      sections.get(open)?.push(word);
      continue;
    }
    if (sections.has(word)) throw new Error(`"${word}" twice`);
    sections.set(word, []);
    open = word;
  }
  return sections;
}

/** Reads a whole number. @throws {Error} on anything else. */
export function numberOf(word: string | undefined): number {
  const number = Number(word);
  if (word === undefined || word === "" || !Number.isSafeInteger(number))
    throw new Error(`expected a whole number, got "${word}"`);
  return number;
}

/** Reads node numbers; `none` is the empty list. */
export function nodesOf(words: readonly string[]): number[] {
  return words.join() === "none" ? [] : words.map(numberOf);
}

/** Reads `1/0`, `1/*` or `*` + `/0`. */
export function slotPatternOf(word = ""): SlotPattern {
  const [height, round] = word.split("/");
  const part = (text: string | undefined) => (text === "*" ? "*" : numberOf(text));
  return { height: part(height), round: part(round) };
}

/** Reads `1/0`. */
export function slotOf(word = ""): { readonly height: number; readonly round: number } {
  const [height, round] = word.split("/");
  return { height: numberOf(height), round: numberOf(round) };
}
