/**
 * The table of errors: form of every row, and docs/ERRORS.md against it both ways.
 * `UPDATE_DOCS=1` writes the page anew.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { caughtAs, errorTable, isLedgerError, LedgerError } from "../../../src/base/errors.ts";
import { errorsPage } from "../../helpers/errors-page.ts";

const pagePath = fileURLToPath(new URL("../../../docs/ERRORS.md", import.meta.url));

describe("docs/ERRORS.md", () => {
  if (process.env.UPDATE_DOCS === "1") writeFileSync(pagePath, errorsPage());

  it("names every code of the table and no other", () => {
    const page = readFileSync(pagePath, "utf8");
    const codes = [...page.matchAll(/^### `([^`]+)`$/gm)].map(([, code]) => code);
    expect(codes).toEqual(Object.keys(errorTable).sort());
  });

  it("says what the table says (else run this test with UPDATE_DOCS=1)", () => {
    expect(readFileSync(pagePath, "utf8")).toBe(errorsPage());
  });
});

describe("the table of errors", () => {
  it.each(Object.entries(errorTable))("has a complete row for %s", (code, row) => {
    expect(code).toMatch(/^[A-Z][A-Z0-9_]{2,63}$/);
    expect(Number.isInteger(row.httpStatus)).toBe(true);
    expect(row.httpStatus).toBeGreaterThanOrEqual(400);
    expect(row.httpStatus).toBeLessThan(600);
    expect(new Set(row.facts).size).toBe(row.facts.length);
    for (const sentence of [row.meaning, row.next]) expect(sentence).toMatch(/^[^a-z].*[.?]$/s);
    for (const fact of row.facts) expect(fact).toMatch(/^[a-z][a-zA-Z]*$/);
  });
});

describe("a LedgerError", () => {
  it("carries code, facts and cause, and says both in its message", () => {
    const cause = new Error("why");
    const error = new LedgerError("KEY_INVALID", { key: "x", reason: "y" }, { cause });
    expect(error.message).toBe('KEY_INVALID {"key":"x","reason":"y"}');
    expect(error.cause).toBe(cause);
    expect(isLedgerError(error)).toBe(true);
    expect(isLedgerError(error, "KEY_INVALID")).toBe(true);
    expect(isLedgerError(error, "JSON_INVALID")).toBe(false);
    expect(isLedgerError(cause)).toBe(false);
  });

  it("of one code is taken out of what was caught, and all else is thrown on", () => {
    const error = new LedgerError("KEY_INVALID", { key: "x", reason: "y" });
    expect(caughtAs(error, "KEY_INVALID").facts.reason).toBe("y");
    expect(() => caughtAs(error, "JSON_INVALID")).toThrow(error);
    const bug = new TypeError("a bug");
    expect(() => caughtAs(bug, "KEY_INVALID")).toThrow(bug);
  });
});
