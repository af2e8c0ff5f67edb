/**
 * House rules that no linter knows. When one fails, change the code, not the rule; a rule that
 * proves wrong is changed here with the reason in its name.
 */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";

const root = new URL("..", import.meta.url).pathname;
const fileLinesMax = 400;

type File = { readonly path: string; readonly text: string };

function filesBelow(folder: string): string[] {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder)).flatMap((name) => {
    const path = `${folder}/${name}`;
    return statSync(join(root, path)).isDirectory() ? filesBelow(path) : [path];
  });
}

const read = (path: string): File => ({ path, text: readFileSync(join(root, path), "utf8") });
const code = ["src", "contracts", "test", "bench", "tools", "bin"]
  .flatMap(filesBelow)
  .filter((path) => /\.(ts|mjs|js|cjs)$/.test(path))
  .map(read);
const sources = code.filter(({ path }) => path.startsWith("src/"));
const withoutComments = (text: string) => text.replace(/\/\*[\s\S]*?\*\/|(^|\s)\/\/.*$/gm, "");
const paths = (found: readonly File[]) => found.map(({ path }) => path);

it("keeps the consensus core pure, or a run could not be replayed", () => {
  const impure =
    /\b(Date|performance|process|setTimeout|setInterval|queueMicrotask|async|await|console)\b|Math\.random/;
  const dirty = sources.filter(
    ({ path, text }) => path.startsWith("src/consensus/") && impure.test(withoutComments(text)),
  );
  expect(paths(dirty)).toEqual([]);
});

it("keeps files small enough to read in one sitting", () => {
  const long = code.filter(
    ({ path, text }) => !path.startsWith("test/") && text.split("\n").length > fileLinesMax + 1,
  );
  expect(paths(long)).toEqual([]);
});

it("opens every source file with a comment that says what it is for", () => {
  const silent = sources.filter(({ text }) => !/^(#!.*\n)?\/\*\*/.test(text));
  expect(paths(silent)).toEqual([]);
});

it("documents every exported declaration of the product", () => {
  const bare = sources.flatMap(({ path, text }) => {
    const lines = text.split("\n");
    return lines.flatMap((line, index) => {
      const exported = /^export (async )?(function|class|type|interface|const)\b/.test(line);
      const documented =
        /\*\/\s*$/.test(lines[index - 1] ?? "") || /^@|^\/\//.test(lines[index - 1] ?? "");
      return exported && !documented ? [`${path}:${index + 1}`] : [];
    });
  });
  expect(bare).toEqual([]);
});

it("holds no unfinished business: no TODO, FIXME or skipped test without a reason", () => {
  const unfinished = code.filter(
    ({ path, text }) =>
      path !== "test/tidy.test.ts" && /\b(TODO|FIXME|XXX)\b|\bit\.only\(/.test(text),
  );
  expect(paths(unfinished)).toEqual([]);
});

it("reads no clock, randomness or locale where nodes must agree", () => {
  const hostDependent = /\bDate\.now\b|new Date\(\)|Math\.random|toLocale|Intl\.|localeCompare/;
  const agreed = /^(src\/(consensus|base\/(format|proof))\/|src\/contracts\/sdk\/|contracts\/)/;
  const dirty = code.filter(
    ({ path, text }) =>
      agreed.test(path) && !path.includes(".test.") && hostDependent.test(withoutComments(text)),
  );
  expect(paths(dirty)).toEqual([]);
});

it("takes seeds of tests from SEED, or a failure could not be seen again", () => {
  const helper = "test/helpers/seed.ts";
  const stubborn = code
    .filter(
      ({ path }) => path.startsWith("test/") && path !== helper && path !== "test/tidy.test.ts",
    )
    .filter(({ text }) => {
      const drawsOwn = /fc\.assert\(/.test(text) && !text.includes("seedOf(");
      return drawsOwn || /env\.SEED\b|fc\.configureGlobal|\bseed: [\d_]+, numRuns/.test(text);
    });
  expect(paths(stubborn)).toEqual([]);
});

it("verifies Ed25519 signatures in one place a platform, or verifiers could disagree", () => {
  const verifying = sources.filter(({ text }) =>
    /crypto_sign_verify|ed25519\.verify|verifyAsync|createVerify/.test(withoutComments(text)),
  );
  expect(paths(verifying).filter((path) => !/native-crypto\.ts|verifier\.ts/.test(path))).toEqual(
    [],
  );
});

it("keeps folders' READMEs short", () => {
  const long = filesBelow("src")
    .filter((path) => path.endsWith("README.md"))
    .map(read)
    .filter(({ text }) => text.trimEnd().split("\n").length > 40);
  expect(paths(long)).toEqual([]);
});

it("names no download address in the lock file or the npm settings", () => {
  const lock = readFileSync(join(root, "package-lock.json"), "utf8");
  expect(/"resolved":\s*"https?:/.test(lock)).toBe(false);
  expect(/registry\s*=/.test(readFileSync(join(root, ".npmrc"), "utf8"))).toBe(false);
});

it("locks the optional packages of every platform, or installing fails on some", () => {
  const { packages } = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8"));
  const missing = Object.entries<{ optionalDependencies?: object }>(packages).flatMap(
    ([path, { optionalDependencies = {} }]) =>
      Object.keys(optionalDependencies).filter(
        (name) =>
          packages[`node_modules/${name}`] === undefined &&
          packages[`${path}/node_modules/${name}`] === undefined,
      ),
  );
  expect(missing).toEqual([]);
});

it("locks no protobufjs outside its patched lines: older ones run code from a schema", () => {
  const isPatched = (version: string): boolean => {
    const [major = 0, minor = 0, patch = 0] = version
      .split(".")
      .map((part) => Number.parseInt(part, 10));
    const least = major === 7 ? [5, 6] : major === 8 ? [0, 2] : undefined;
    if (least === undefined) return major > 8;
    return minor > (least[0] as number) || (minor === least[0] && patch >= (least[1] as number));
  };
  const examples = ["6.11.6", "7.5.5", "7.5.6", "7.6.0", "8.0.1", "8.0.2", "9.0.0"];
  expect(examples.filter(isPatched)).toEqual(["7.5.6", "7.6.0", "8.0.2", "9.0.0"]);
  const lock: { packages: Record<string, { version?: string; name?: string }> } = JSON.parse(
    readFileSync(join(root, "package-lock.json"), "utf8"),
  );
  const locked = Object.entries(lock.packages).filter(
    ([path, { name }]) => /node_modules\/protobufjs$/.test(path) || name === "protobufjs",
  );
  expect(locked.filter(([, { version = "0" }]) => !isPatched(version))).toEqual([]);
});

it("pins every package exactly", () => {
  const { dependencies, devDependencies } = JSON.parse(
    readFileSync(join(root, "package.json"), "utf8"),
  );
  const loose = Object.entries({ ...dependencies, ...devDependencies }).filter(
    ([, range]) => !/^\d+\.\d+\.\d+$/.test(String(range)),
  );
  expect(loose).toEqual([]);
});

it("says in ARCHITECTURE.md why each run-time dependency is there", () => {
  const { dependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const page = readFileSync(join(root, "docs/ARCHITECTURE.md"), "utf8");
  expect(Object.keys(dependencies).filter((name) => !page.includes(`\`${name}\``))).toEqual([]);
});

it("has no broken relative link in its documents", () => {
  const pages = ["README.md", "CHANGELOG.md", "UPGRADING.md"]
    .concat(["docs", "src", "test", "data", "contracts"].flatMap(filesBelow))
    .filter((path) => path.endsWith(".md"))
    .map(read);
  const broken = pages.flatMap(({ path, text }) =>
    [...text.matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)/g)]
      .map(([, target]) => join(path, "..", target as string))
      .filter((target) => !existsSync(join(root, target)))
      .map((target) => `${path} -> ${target}`),
  );
  expect(broken).toEqual([]);
});
