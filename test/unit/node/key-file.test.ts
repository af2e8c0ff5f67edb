/**
 * Key files: what is refused, and that nothing secret leaves them.
 *
 * Shown able to fail: without the mode check; without the additional data of the cipher.
 */
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hexToBytes } from "../../../src/base/bytes.ts";
import { type ErrorCode, isLedgerError } from "../../../src/base/errors.ts";
import { didOf, publicKeyOf } from "../../../src/base/format/did.ts";
import { portableSigner } from "../../../src/base/signer.ts";
import { createKeyFile, openKeyFile, readKeyFile } from "../../../src/node/key-file.ts";
import { nativeVerifier } from "../../../src/node/native-crypto.ts";

const passphrase = "correct horse";
const seed = hexToBytes("11".repeat(32));
let directory: string;
let count = 0;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "loopledger-key-"));
});
afterAll(() => rm(directory, { recursive: true }));

async function weakKey() {
  const file = join(directory, `${++count}.key`);
  const { did } = await createKeyFile({
    file,
    purpose: "validator",
    passphrase,
    weakForDevnet: true,
    seed,
  });
  return { file, did };
}

async function codeOf(action: Promise<unknown>): Promise<ErrorCode | "no error"> {
  try {
    await action;
    return "no error";
  } catch (error) {
    if (!isLedgerError(error)) throw error;
    for (const secret of [passphrase, "11".repeat(16)])
      expect(`${error.stack}${JSON.stringify(error)}`).not.toContain(secret);
    return error.code;
  }
}

/** Changes a field of a key file, keeping its mode. */
async function change(file: string, edit: (content: Record<string, unknown>) => unknown) {
  const content = JSON.parse(await readFile(file, "utf8")) as Record<string, unknown>;
  await writeFile(file, JSON.stringify({ ...content, ...(edit(content) as object) }));
}

describe("a key file", () => {
  it("gives back the key that was put in, with mode 0600 and no draft beside it", async () => {
    const { file, did } = await weakKey();
    const key = await openKeyFile({ file, passphrase, purpose: "validator" });
    expect(did).toBe(didOf(portableSigner(seed).publicKey));
    expect(key).toMatchObject({ did, purpose: "validator", weak: true, seed });
    const message = hexToBytes("00");
    const signature = key.signer.sign(message);
    expect(nativeVerifier.verify(message, signature, publicKeyOf(did))).toBe(true);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect((await readdir(directory)).filter((name) => name.includes(".new"))).toEqual([]);
    expect(await readFile(file, "utf8")).not.toContain("11".repeat(16));
  });

  it("has the strong setting unless marked, and another key each time", async () => {
    const file = join(directory, "deep", "strong.key");
    const { did } = await createKeyFile({ file, purpose: "account", passphrase });
    expect((await readKeyFile(file)).kdf).toMatchObject({ N: 131_072, r: 8, p: 1 });
    expect(await openKeyFile({ file, passphrase })).toMatchObject({ did, weak: false });
    const other = await createKeyFile({
      file: join(directory, "other.key"),
      purpose: "account",
      passphrase,
      weakForDevnet: true,
    });
    expect(other.did).not.toBe(did);
  });

  it("is refused when others have any right to it", async () => {
    const { file } = await weakKey();
    for (const mode of [0o640, 0o604, 0o620, 0o601, 0o666]) {
      await chmod(file, mode);
      expect(await codeOf(openKeyFile({ file, passphrase }))).toBe("KEY_FILE_MODE");
    }
    await chmod(file, 0o400);
    expect(await codeOf(openKeyFile({ file, passphrase }))).toBe("no error");
  });

  it("is never overwritten", async () => {
    const { file } = await weakKey();
    const before = await readFile(file, "utf8");
    const again = createKeyFile({ file, purpose: "peer", passphrase, weakForDevnet: true });
    expect(await codeOf(again)).toBe("KEY_FILE_EXISTS");
    expect(await readFile(file, "utf8")).toBe(before);
  });

  it("opens with its passphrase and for its purpose only", async () => {
    const { file } = await weakKey();
    expect(await codeOf(openKeyFile({ file, passphrase: "wrong horse" }))).toBe(
      "KEY_FILE_PASSPHRASE_WRONG",
    );
    expect(await codeOf(openKeyFile({ file, passphrase, purpose: "peer" }))).toBe(
      "KEY_FILE_PURPOSE",
    );
    const absent = openKeyFile({ file: `${file}.absent`, passphrase });
    expect(await codeOf(absent)).toBe("FILE_UNREADABLE");
  });

  it("opens with any Unicode form of its passphrase", async () => {
    const file = join(directory, "unicode.key");
    const composed = "Schl\u00fcssel";
    await createKeyFile({ file, purpose: "peer", passphrase: composed, weakForDevnet: true });
    expect(await codeOf(openKeyFile({ file, passphrase: composed.normalize("NFD") }))).toBe(
      "no error",
    );
  });

  it.each([
    ["purpose", () => ({ purpose: "peer" })],
    [
      "public key",
      () => ({ publicKey: didOf(portableSigner(hexToBytes("22".repeat(32))).publicKey) }),
    ],
    ["ciphertext", () => ({ ciphertext: "00".repeat(32) })],
    [
      "salt",
      ({ kdf }: Record<string, unknown>) => ({
        kdf: { ...(kdf as object), salt: "00".repeat(32) },
      }),
    ],
  ])("with another %s does not open", async (_, edit) => {
    const { file } = await weakKey();
    await change(file, edit);
    expect(await codeOf(openKeyFile({ file, passphrase }))).toBe("KEY_FILE_PASSPHRASE_WRONG");
  });

  it.each([
    ["format", () => ({ format: "x" })],
    [
      "work for hours",
      ({ kdf }: Record<string, unknown>) => ({ kdf: { ...(kdf as object), N: 2 ** 30 } }),
    ],
    [
      "unmarked weak cost",
      ({ kdf }: Record<string, unknown>) => ({
        kdf: { ...(kdf as object), weakForDevnet: undefined },
      }),
    ],
    ["short tag", () => ({ cipher: { name: "aes-256-gcm", nonce: "00".repeat(12), tag: "00" } })],
    ["unknown field", () => ({ more: 1 })],
  ])("with %s is invalid", async (_, edit) => {
    const { file } = await weakKey();
    await change(file, edit);
    expect(await codeOf(openKeyFile({ file, passphrase }))).toBe("KEY_FILE_INVALID");
  });

  it("that is not JSON, or too long, is invalid", async () => {
    const file = join(directory, "broken.key");
    for (const text of ["", "{", '{"format":1,"format":1}', " ".repeat(5_000)]) {
      await writeFile(file, text, { mode: 0o600 });
      expect(await codeOf(openKeyFile({ file, passphrase }))).toBe("KEY_FILE_INVALID");
    }
  });

  it("needs a passphrase of eight characters unless it is marked weak", async () => {
    const file = join(directory, "short.key");
    const short = createKeyFile({ file, purpose: "peer", passphrase: "sevench" });
    expect(await codeOf(short)).toBe("KEY_PASSPHRASE_SHORT");
  });
});
