/**
 * The client runs in a browser: all that it imports, however far, is free of Node's own modules
 * and of native packages. When this fails, a page can no longer verify anything itself.
 */
import { build } from "esbuild";
import { expect, it } from "vitest";

it("bundles for a browser without anything of Node", async () => {
  const result = await build({
    entryPoints: ["src/client/client.ts", "src/client/finality.ts", "src/base/verifier.ts"],
    absWorkingDir: new URL("../../..", import.meta.url).pathname,
    outdir: "unused",
    bundle: true,
    write: false,
    platform: "browser",
    format: "esm",
    metafile: true,
    logLevel: "silent",
  });
  expect(result.errors).toEqual([]);
  const inputs = Object.keys(result.metafile.inputs);
  expect(inputs.filter((path) => /sodium|node:|src\/(?!client|base)/.test(path))).toEqual([]);
  const text = result.outputFiles.map((file) => file.text).join("\n");
  expect(
    /\b(Buffer|process)\b\.|require\(/.test(text.replace(/typeof (Buffer|process)/g, "")),
  ).toBe(false);
});
