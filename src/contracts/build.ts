/**
 * Contract build: bundles one TypeScript contract into one classic script for the sandbox.
 *
 * The script sets `globalThis.contractEntry`. The same source gives the same bytes on every
 * machine: white space is removed, and with it the comments in which the bundler names paths;
 * names stay, so that the bundle on the ledger can be read. A contract may import its own files,
 * files of other contracts and `loopledger/contract`; a package or a Node module is refused.
 *
 * The bundler is a development dependency and loaded on use: a node runs bundles, it makes none.
 */
import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { createContext, runInContext } from "node:vm";
import type { Plugin } from "esbuild";
import { LedgerError } from "../base/errors.ts";

/** The one name that a contract imports the SDK by. */
const sdkName = "loopledger/contract";
/** Always the TypeScript source, so that a built and an unbuilt tree give the same bundle. */
const sdkFile = fileURLToPath(new URL("../../src/contracts/sdk/index.ts", import.meta.url));

/** A bundled contract. */
export type ContractBundle = {
  readonly name: string;
  /** The classic script. */
  readonly source: string;
  /** What the contract says of itself, as JSON: name, methods with roles, views. */
  readonly description: string;
};

/**
 * Bundles the contract whose file exports `definition`.
 *
 * @param file - Path of the contract's TypeScript file.
 * @throws {LedgerError} CONTRACT_BUILD_FAILED when it does not bundle or describe itself.
 */
export async function buildContract(file: string): Promise<ContractBundle> {
  if (!existsSync(file)) throw failed(file, "there is no such file");
  const source = await bundle(file);
  const description = describe(file, source);
  const { name } = JSON.parse(description) as { readonly name: string };
  return { name, source, description };
}

async function bundle(file: string): Promise<string> {
  const { build } = await import("esbuild");
  const entry = `import { definition } from ${JSON.stringify(file)};
    import { entryOf } from "${sdkName}";
    globalThis.contractEntry = entryOf(definition);`;
  try {
    const { outputFiles } = await build({
      stdin: { contents: entry, loader: "ts", resolveDir: dirname(sdkFile) },
      bundle: true,
      write: false,
      format: "iife",
      platform: "neutral",
      target: "es2022",
      charset: "utf8",
      minifyWhitespace: true,
      legalComments: "none",
      logLevel: "silent",
      // Not the tsconfig of whoever builds: it could change the output.
      tsconfigRaw: { compilerOptions: { target: "es2022", useDefineForClassFields: true } },
      plugins: [onlyOwnImports(file)],
    });
    return outputFiles[0]?.text ?? "";
  } catch (cause) {
    throw failed(file, cause instanceof Error ? cause.message : String(cause), cause);
  }
}

function onlyOwnImports(contractFile: string): Plugin {
  return {
    name: "only-own-imports",
    setup({ onResolve }) {
      onResolve({ filter: /.*/ }, ({ path, importer }) => {
        if (path === sdkName) return { path: sdkFile };
        if (path === contractFile || (importer !== "" && /^\.\.?\//.test(path))) return undefined;
        return { errors: [{ text: `"${path}" is not a file of a contract` }] };
      });
    },
  };
}

/** Evaluates the bundle without a host: a contract describes itself before any call. */
function describe(file: string, source: string): string {
  try {
    const text: unknown = runInContext(
      `${source};globalThis.contractEntry.describe()`,
      createContext(Object.create(null)),
      { timeout: 1_000 },
    );
    if (typeof text === "string") return text;
  } catch (cause) {
    throw failed(file, cause instanceof Error ? cause.message : String(cause), cause);
  }
  throw failed(file, "describe() did not return text");
}

function failed(contract: string, reason: string, cause?: unknown): LedgerError {
  return new LedgerError("CONTRACT_BUILD_FAILED", { contract, reason }, { cause });
}
