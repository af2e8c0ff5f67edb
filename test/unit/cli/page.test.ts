/** docs/CLI.md against the commands' own help. `UPDATE_DOCS=1` writes the page anew. */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { commands } from "../../../src/cli/commands.ts";
import { cliPage } from "../../helpers/cli-page.ts";

const pagePath = fileURLToPath(new URL("../../../docs/CLI.md", import.meta.url));

describe("docs/CLI.md", () => {
  if (process.env.UPDATE_DOCS === "1") writeFileSync(pagePath, cliPage());

  it("says what --help says (else run this test with UPDATE_DOCS=1)", () => {
    expect(readFileSync(pagePath, "utf8")).toBe(cliPage());
  });

  it("has a section for every command", () => {
    const page = readFileSync(pagePath, "utf8");
    const sections = [...page.matchAll(/^## (.+)$/gm)].map(([, name]) => name);
    expect(sections.toSorted()).toEqual(commands.map(({ name }) => name).toSorted());
  });
});

describe("a command", () => {
  it.each(commands.map((command) => [command.name, command] as const))(
    "%s has a summary, and examples that begin with its own name",
    (name, { summary, examples }) => {
      expect(summary).toMatch(/^[A-Z].*\.$/);
      expect(examples.length).toBeGreaterThan(0);
      for (const example of examples)
        expect(example.replace(/^([A-Z_]+=\S+ )+/, "")).toMatch(
          new RegExp(`^loopledger ${name}\\b`),
        );
    },
  );
});
