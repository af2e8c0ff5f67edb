/** Lines that no test can reach are marked with a reason, and docs/TESTING.md lists each of them. */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const folders = ["src/consensus", "src/base/format", "src/base/proof"];
const page = readFileSync(`${root}docs/TESTING.md`, "utf8");

/** Every mark in the folders that are covered whole, as `path: reason`. */
const marks = folders.flatMap((folder) =>
  readdirSync(root + folder)
    .filter((name) => name.endsWith(".ts"))
    .flatMap((name) => {
      const text = readFileSync(`${root}${folder}/${name}`, "utf8");
      return [...text.matchAll(/(?:v8|c8|istanbul) ignore(.*)/g)].map(
        ([, rest = ""]) => `${folder}/${name}: ${/ -- (.+?) \*\//.exec(rest)?.[1] ?? "no reason"}`,
      );
    }),
);

it("are counted in docs/TESTING.md", () => {
  const [, count] = /Lines marked unreachable: (\d+)\./.exec(page) ?? [];
  expect(Number(count)).toBe(marks.length);
});

it("are listed there with their reasons", () => {
  expect(marks.filter((mark) => mark.endsWith(": no reason"))).toEqual([]);
  expect(marks.filter((mark) => !page.includes(mark))).toEqual([]);
});
