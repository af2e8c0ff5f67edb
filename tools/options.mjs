/**
 * The options of this project's own commands (`npm run sim`, `npm run bench`, ...). Who mistypes one
 * is told so in a line, with exit code 2: a run of no seeds would look like a run without failures.
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

/** With `--help` among the arguments: prints the comment at the head of the script, and ends. */
export function helpIfAsked(scriptUrl) {
  if (!process.argv.includes("--help")) return;
  const [, comment] = readFileSync(fileURLToPath(scriptUrl), "utf8").split(/^\/\*\*|^ \*\//m);
  console.log(comment.replaceAll(/^ ?\* ?/gm, "").trim());
  process.exit(0);
}

/** Says in a line what is wrong with the options, and ends. */
export function refuseOptions(message) {
  console.error(`${message.split("\n")[0]}\n--help shows the options`);
  process.exit(2);
}

/**
 * The values of the arguments. Of each option: `type` "text", "flag" or "count" (a whole number, of
 * at least `min`), `choices` for texts, `default`.
 */
export function readOptions(options) {
  try {
    const names = Object.entries(options);
    const known = names.map(([name, { type }]) => [
      name,
      { type: type === "flag" ? "boolean" : "string" },
    ]);
    const { values } = parseArgs({ options: Object.fromEntries(known) });
    return Object.fromEntries(
      names.map(([name, option]) => [name, valueFor(name, values[name], option)]),
    );
  } catch (error) {
    return refuseOptions(error.message);
  }
}

function valueFor(name, value, option) {
  if (option.type === "flag") return value ?? false;
  if (value === undefined) return option.default;
  if (option.type === "count") return countOf(name, value, option.min ?? 0);
  if (option.choices !== undefined && !option.choices.includes(value))
    throw new Error(`--${name} ${value}: expected one of ${option.choices.join(", ")}`);
  return value;
}

function countOf(name, value, min) {
  const count = Number(value);
  if (!/^\d+$/.test(value) || !Number.isSafeInteger(count) || count < min)
    throw new Error(`--${name} ${value}: expected a whole number from ${min} on`);
  return count;
}
