/** The table of what the JSON scanner accepts, refuses and rewrites (attack surface, row 10). */
import { describe, expect, it } from "vitest";
import { isLedgerError } from "../../../../src/base/errors.ts";
import { canonicalJson, encodeJson, parseJson } from "../../../../src/base/format/json.ts";

const nested = (depth: number) => "[".repeat(depth) + "]".repeat(depth);

const canonical = [
  "null",
  "true",
  "false",
  "0",
  "-1",
  "9007199254740991",
  "-9007199254740991",
  '""',
  '"a"',
  "[]",
  "{}",
  "[1,2,3]",
  '{"a":1,"b":[{"c":null}]}',
  '{"":0,"a":1}',
  '{"1":1,"10":2,"2":3}',
  '{"A":1,"a":2}',
  '{"a":1,"aa":2,"ab":3}',
  '"\u00e4\u{1f600}\u2028\u007f"',
  '"\\"\\\\\\b\\f\\n\\r\\t\\u0000\\u001f\\u000b"',
  '"/"',
  '{"constructor":1,"toString":2}',
  '"__proto__"',
  nested(16),
];

const rewritten: [string, string][] = [
  [' { "b" : 1 ,\t"a"\r\n: [ 1 , 2 ] } ', '{"a":[1,2],"b":1}'],
  ['{"10":1,"2":2,"1":3}', '{"1":3,"10":1,"2":2}'],
  ['"\\u0041\\/\\u00e4"', '"A/\u00e4"'],
  ['"\\u001F\\u000A\\u007f"', '"\\u001f\\n\u007f"'],
  ['"\\u001F"', '"\\u001f"'],
  ['"\\u0009"', '"\\t"'],
  ['"\\u0020"', '" "'],
  ['"\\ud83d\\uDE00"', '"\u{1f600}"'],
  // RFC 8785 sorts by UTF-16 units: U+1F600 (d83d de00) goes before U+FB33.
  ['{"\ufb33":1,"\u{1f600}":2}', '{"\u{1f600}":2,"\ufb33":1}'],
  // Order and uniqueness are those of the unescaped keys.
  ['{"\\u0062":1,"a":2}', '{"a":2,"b":1}'],
  ['{"b":{"d":1,"c":2},"a":3}', '{"a":3,"b":{"c":2,"d":1}}'],
  ["[ ]", "[]"],
  ["{ }", "{}"],
];

const refused: [text: string, reason: string, offset: number][] = [
  ["", "end of the text", 0],
  ["  ", "end of the text", 2],
  ["nul", "a value", 0],
  ["NaN", "a value", 0],
  ["undefined", "a value", 0],
  ["'a'", "a value", 0],
  ["\ufeff1", "a value", 0],
  ["1 2", "the end", 2],
  ["{}{}", "the end", 2],
  ["[1,]", "a value", 3],
  ["[1 2]", '","', 3],
  ["[1}", '","', 2],
  ["[", "end of the text", 1],
  ['{"a":1,}', "a key", 7],
  ["{a:1}", "a key", 1],
  ['{"a" 1}', '":"', 5],
  ['{"a":1', "end of the text", 6],
  // numbers
  ["1e400", "integer", 0],
  ["1e2", "integer", 0],
  ["1E2", "integer", 0],
  ["1.0", "integer", 0],
  [".5", "a value", 0],
  ["+1", "a value", 0],
  ["-", "a digit", 1],
  ["-a", "a digit", 1],
  ["-0", "minus zero", 0],
  ["-0.0", "integer", 0],
  ["[-0]", "minus zero", 1],
  ["01", "leading zero", 0],
  ["-01", "leading zero", 1],
  ["00", "leading zero", 0],
  ["9007199254740992", "beyond", 0],
  ["-9007199254740992", "beyond", 0],
  ["9".repeat(400), "beyond", 0],
  ["0x10", "the end", 1],
  // strings
  ['"a', "ends within", 2],
  ['"a\\', "escape", 2],
  ['"\\"', "ends within", 3],
  ['"\\x41"', "escape", 1],
  ['"\\u12"', "hexadecimal", 1],
  ['"\\u12G4"', "hexadecimal", 1],
  ['"\n"', "control", 1],
  ['"\u0000"', "control", 1],
  // surrogates
  ['"\ud800"', "surrogate", 1],
  ['"\udc00"', "surrogate", 1],
  ['"\ude00\ud83d"', "surrogate", 1],
  ['"\\ud800"', "surrogate", 1],
  ['"\\udc00"', "surrogate", 1],
  ['"\\ud83d\\ud83d"', "surrogate", 1],
  ['"\\ud83d\\n"', "surrogate", 1],
  ['"\ud83d\\ude00"', "surrogate", 1],
  ['"\\ud83d\ude00"', "surrogate", 1],
  ['{"\\ud800":1}', "surrogate", 2],
  // keys
  ['{"a":1,"a":2}', "twice", 7],
  ['{"a":1,"b":0,"a":2}', "twice", 13],
  ['{"a":1,"\\u0061":2}', "twice", 7],
  ['{"x":[{"b":1,"a":1,"b":2}]}', "twice", 19],
  ['{"":1,"":2}', "twice", 6],
  ['{"__proto__":1}', "__proto__", 1],
  ['{"\\u005f_proto_\\u005f":1}', "__proto__", 1],
  ['[{"a":{"__proto__":{}}}]', "__proto__", 7],
  // depth
  [nested(17), "deeper", 16],
  [`${'{"a":'.repeat(17)}1`, "deeper", 80],
  ["[".repeat(1_000_000), "deeper", 16],
];

function refusal(parse: () => unknown) {
  try {
    parse();
  } catch (error) {
    if (isLedgerError(error, "JSON_INVALID")) return error.facts;
    throw error;
  }
  return undefined;
}

describe("the JSON scanner", () => {
  it.each(canonical)("returns canonical text %# unchanged", (text) => {
    expect(canonicalJson(text)).toBe(text);
    expect(parseJson(text)).toEqual(JSON.parse(text));
  });

  it.each(rewritten)("brings %j to its RFC 8785 form", (text, expected) => {
    expect(canonicalJson(text)).toBe(expected);
    expect(parseJson(text)).toEqual(JSON.parse(expected));
  });

  it.each(refused)("refuses text %# for the reason %s %s", (text, reason, offset) => {
    for (const parse of [canonicalJson, parseJson]) {
      const facts = refusal(() => parse(text));
      expect(facts?.reason).toContain(reason);
      expect(facts?.offset).toBe(offset);
    }
  });

  it("takes time linear in the text", () => {
    const keys = Array.from({ length: 20_000 }, (_, index) => `"k${20_000 - index}":${index}`);
    const started = performance.now();
    expect(canonicalJson(`{${keys.join(",")}}`)).toHaveLength(keys.join(",").length + 2);
    expect(refusal(() => canonicalJson(`"${"\\n".repeat(500_000)}`))).toBeDefined();
    expect(performance.now() - started).toBeLessThan(2_000);
  });

  it("encodes values and refuses what has no permitted form", () => {
    expect(encodeJson({ b: [1, "x"], a: null })).toBe('{"a":null,"b":[1,"x"]}');
    expect(refusal(() => encodeJson(1.5))).toBeDefined();
    expect(refusal(() => encodeJson(undefined as never))).toBeDefined();
    expect(refusal(() => encodeJson("\ud800"))?.reason).toContain("surrogate");
  });
});
