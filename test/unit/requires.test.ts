/** Claims about tests that a machine cannot run: they never pass over it in silence. */
import { describe, expect, it } from "vitest";
import { requires } from "../helpers/requires.ts";

function ask(isThere: boolean, required: string) {
  const said: string[] = [];
  const say = (text: string) => said.push(text);
  const tests = "the tests of a full disk";
  return { may: requires("mount", { isThere, tests }, { required, say }), said };
}

describe("a test that needs something of the machine", () => {
  it("runs where it is there", () => {
    expect(ask(true, "all")).toEqual({ may: true, said: [] });
  });

  it("says why it does not run", () => {
    const said = [expect.stringMatching(/no mount.*tests of a full disk/)];
    expect(ask(false, "python3")).toEqual({ may: false, said });
  });

  it.each(["all", "mount", "python3,mount"])("fails where it is demanded by %s", (required) => {
    expect(() => ask(false, required)).toThrow("tests of a full disk");
  });
});
