/**
 * What a machine must have for some tests: the right to mount, network namespaces, another
 * program. A test that cannot run says so where everybody sees it. Where all tests must run, as in
 * CI, it fails instead: `LOOPLEDGER_TESTS_REQUIRE=all`, or the names of what must be there,
 * separated by commas.
 */
import { spawnSync } from "node:child_process";

/** What may be missing. */
export type Requirement = "mount" | "namespaces" | "node-24" | "python3";

/** What one asks for, and how it was found out. */
type Question = {
  readonly isThere: boolean;
  /** What does not run without it. */
  readonly tests: string;
};

type Surroundings = {
  /** Value of LOOPLEDGER_TESTS_REQUIRE. */
  readonly required: string;
  say(text: string): void;
};

function realSurroundings(): Surroundings {
  const { LOOPLEDGER_TESTS_REQUIRE: required = "" } = process.env;
  return { required, say: (text) => console.warn(text) };
}

/**
 * Tells whether tests may run; says so when they may not.
 *
 * @throws {Error} when it is missing and LOOPLEDGER_TESTS_REQUIRE names it.
 */
export function requires(
  requirement: Requirement,
  { isThere, tests }: Question,
  { required, say }: Surroundings = realSurroundings(),
): boolean {
  if (isThere) return true;
  const names = required.split(",");
  const text = `no ${requirement} on this machine, so these tests do not run: ${tests}`;
  if (names.includes("all") || names.includes(requirement))
    throw new Error(`${text}; LOOPLEDGER_TESTS_REQUIRE=${required} demands them`);
  say(`SKIPPED: ${text}`);
  return false;
}

/** See `requires`: an interpreter of Python 3, for the checkers that share no code with the rest. */
export function requiresPython(tests: string): boolean {
  const { status } = spawnSync("python3", ["--version"], { stdio: "ignore" });
  return requires("python3", { isThere: status === 0, tests });
}
