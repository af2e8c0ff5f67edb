/**
 * Encrypted key files: one private key, one JSON file, one purpose.
 *
 * | field | meaning |
 * |---|---|
 * | `format` | `loopledger-key-v0` |
 * | `purpose` | what the key may be used for |
 * | `publicKey` | did:key |
 * | `kdf` | scrypt with N, r, p, and a salt of 32 bytes; `weakForDevnet: true` marks N = 2^10 |
 * | `cipher` | aes-256-gcm: nonce of 12 bytes, tag of 16 bytes |
 * | `ciphertext` | the encrypted seed of 32 bytes |
 *
 * Bytes are hexadecimal. The cipher also covers purpose, public key and kdf (as canonical JSON of
 * those three and the format), so none of them can be changed without the passphrase.
 *
 * Invariants: (1) A file is there whole or not at all, and none is ever overwritten. (2) A file
 * that others can read or write is refused before it is decrypted. (3) Nothing secret is in errors.
 * (4) Only the two stated cost settings are accepted: a file cannot make its reader work for hours.
 */
import {
  createCipheriv,
  createDecipheriv,
  randomBytes,
  type ScryptOptions,
  scrypt,
} from "node:crypto";
import { link, mkdir, open, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { z } from "zod";
import { assert } from "../base/assert.ts";
import { bytesToHex, hexToBytes, utf8 } from "../base/bytes.ts";
import { isLedgerError, LedgerError } from "../base/errors.ts";
import { type Did, didOf } from "../base/format/did.ts";
import { encodeJson, type JsonValue, parseJson } from "../base/format/json.ts";
import type { Signer } from "../base/keys.ts";
import { nativeSigner } from "./native-crypto.ts";
import { readPrivateFile } from "./private-file.ts";
import { SigningRecordFile } from "./signing-record-file.ts";
import { syncDirectory } from "./sync-directory.ts";

/** What a key is for. A key that signs votes must not also sign transactions. */
export type KeyPurpose = "validator" | "peer" | "account" | "gateway";

const hex = (bytes: number) => z.string().regex(new RegExp(`^[0-9a-f]{${2 * bytes}}$`));
const strong = z.strictObject({
  name: z.literal("scrypt"),
  N: z.literal(2 ** 17),
  r: z.literal(8),
  p: z.literal(1),
  salt: hex(32),
});
const weak = strong.extend({ N: z.literal(2 ** 10), weakForDevnet: z.literal(true) });

const KeyFile = z.strictObject({
  format: z.literal("loopledger-key-v0"),
  purpose: z.enum(["validator", "peer", "account", "gateway"]),
  publicKey: z.string(),
  kdf: z.union([strong, weak]),
  cipher: z.strictObject({ name: z.literal("aes-256-gcm"), nonce: hex(12), tag: hex(16) }),
  ciphertext: hex(32),
});

/** The content of a key file. All of it may be shown, but it helps who guesses passphrases. */
export type KeyFile = z.infer<typeof KeyFile>;

type Sealed = Pick<KeyFile, "purpose" | "publicKey" | "kdf">;

/** A private key in memory. */
export type OpenedKey = {
  readonly did: Did;
  readonly purpose: KeyPurpose;
  /** True when the file has the weak setting, which is worth a warning at start. */
  readonly weak: boolean;
  readonly signer: Signer;
  /** The 32 secret bytes, for a library that signs by itself. Overwrite after use. */
  readonly seed: Uint8Array;
};

/** A real key file is under 1 KiB. */
const fileBytesMax = 4096;
/** Shortest passphrase of a key file that is not marked weak. */
const passphraseCharsMin = 8;

/** Returns where the signing record of a validator key is, unless configured otherwise (D15). */
export function signingRecordPath(keyFile: string): string {
  return `${keyFile}.signed`;
}

/**
 * Makes a key file with mode 0600; missing directories are made with mode 0700. A new validator
 * key gets its empty signing record beside it.
 *
 * @param options.seed - 32 bytes for a key that exists already; else a new random key.
 * @throws {LedgerError} KEY_FILE_EXISTS or KEY_PASSPHRASE_SHORT.
 */
export async function createKeyFile(options: {
  readonly file: string;
  readonly purpose: KeyPurpose;
  readonly passphrase: string;
  readonly weakForDevnet?: boolean;
  readonly seed?: Uint8Array;
}): Promise<{ readonly did: Did }> {
  const { file, purpose, passphrase, weakForDevnet = false } = options;
  if (!weakForDevnet && [...passphrase].length < passphraseCharsMin)
    throw new LedgerError("KEY_PASSPHRASE_SHORT", { charsMin: passphraseCharsMin });
  const seed = options.seed ?? randomBytes(32);
  const publicKey = didOf(nativeSigner(seed).publicKey);
  const salt = randomBytes(32).toString("hex");
  const cost = { name: "scrypt", r: 8, p: 1, salt } as const;
  const kdf = weakForDevnet
    ? { ...cost, N: 1024 as const, weakForDevnet: true as const }
    : { ...cost, N: 131_072 as const };
  const content = await seal({ purpose, publicKey, kdf }, seed, passphrase);
  await writeNewFile(file, `${JSON.stringify(content, undefined, 2)}\n`);
  // Only of a key made here is it known that nothing was signed with it yet.
  if (purpose === "validator" && options.seed === undefined)
    await SigningRecordFile.create(signingRecordPath(file));
  return { did: publicKey };
}

/**
 * Reads the public part of a key file. Nothing is proven: only `openKeyFile` shows that the file
 * holds the key it names.
 *
 * @throws {LedgerError} FILE_UNREADABLE, KEY_FILE_MODE or KEY_FILE_INVALID.
 */
export async function readKeyFile(file: string): Promise<KeyFile> {
  const text = await readPrivateFile(file, fileBytesMax);
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (cause) {
    if (!isLedgerError(cause, "JSON_INVALID")) throw cause;
    throw new LedgerError("KEY_FILE_INVALID", { file, reason: "not JSON" }, { cause });
  }
  const parsed = KeyFile.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const reason = `${issue?.path.join(".")}: ${issue?.message}`;
  throw new LedgerError("KEY_FILE_INVALID", { file, reason });
}

/**
 * Opens a key file. Takes about half a second and 128 MiB unless the file is marked weak.
 *
 * @param options.purpose - What the key is needed for.
 * @throws {LedgerError} KEY_FILE_PURPOSE, KEY_FILE_PASSPHRASE_WRONG and those of `readKeyFile`.
 */
export async function openKeyFile(options: {
  readonly file: string;
  readonly passphrase: string;
  readonly purpose?: KeyPurpose;
}): Promise<OpenedKey> {
  const { file, passphrase, purpose } = options;
  const content = await readKeyFile(file);
  if (purpose !== undefined && purpose !== content.purpose)
    throw new LedgerError("KEY_FILE_PURPOSE", { file, expected: purpose, actual: content.purpose });
  const seed = await unseal(content, passphrase);
  if (seed === undefined) throw new LedgerError("KEY_FILE_PASSPHRASE_WRONG", { file });
  const signer = nativeSigner(seed);
  const did = didOf(signer.publicKey);
  if (did !== content.publicKey)
    throw new LedgerError("KEY_FILE_INVALID", { file, reason: "it holds another key" });
  return { did, purpose: content.purpose, weak: "weakForDevnet" in content.kdf, signer, seed };
}

/** What the cipher covers beside the seed. */
function sealedFields({ purpose, publicKey, kdf }: Sealed): Uint8Array {
  const fields: JsonValue = { format: "loopledger-key-v0", purpose, publicKey, kdf };
  return utf8(encodeJson(fields));
}

async function seal(fields: Sealed, seed: Uint8Array, passphrase: string): Promise<KeyFile> {
  const key = await deriveKey(fields.kdf, passphrase);
  const nonce = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(sealedFields(fields));
  const ciphertext = Buffer.concat([cipher.update(seed), cipher.final()]).toString("hex");
  key.fill(0);
  const tag = cipher.getAuthTag().toString("hex");
  return {
    format: "loopledger-key-v0",
    ...fields,
    cipher: { name: "aes-256-gcm", nonce: bytesToHex(nonce), tag },
    ciphertext,
  };
}

async function unseal(content: KeyFile, passphrase: string): Promise<Uint8Array | undefined> {
  const key = await deriveKey(content.kdf, passphrase);
  const { nonce, tag } = content.cipher;
  const decipher = createDecipheriv("aes-256-gcm", key, hexToBytes(nonce), { authTagLength: 16 })
    .setAAD(sealedFields(content))
    .setAuthTag(hexToBytes(tag));
  key.fill(0);
  const seed = decipher.update(hexToBytes(content.ciphertext));
  try {
    decipher.final();
  } catch {
    // The only failure there is: the tag does not fit. Its error says nothing more.
    seed.fill(0);
    return undefined;
  }
  assert(seed.length === 32, "a seed has 32 bytes");
  return new Uint8Array(seed);
}

function deriveKey({ N, r, p, salt }: KeyFile["kdf"], passphrase: string): Promise<Buffer> {
  // One passphrase has several forms in Unicode, and keyboards of two systems may give two of them.
  const secret = passphrase.normalize("NFC");
  // Node refuses more than 32 MiB unless told; 128 N r is needed, and some more.
  const options: ScryptOptions = { N, r, p, maxmem: 2 * 128 * N * r };
  return new Promise((resolve, reject) => {
    scrypt(secret, hexToBytes(salt), 32, options, (error, key) =>
      error === null ? resolve(key) : reject(error),
    );
  });
}

/** Writes beside the target and links: the name appears with the whole content, or not at all. */
async function writeNewFile(file: string, text: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  const draft = `${file}.${randomBytes(6).toString("hex")}.new`;
  const handle = await open(draft, "wx", 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
    await handle.close();
    await link(draft, file);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "EEXIST") throw cause;
    throw new LedgerError("KEY_FILE_EXISTS", { file }, { cause });
  } finally {
    await handle.close();
    await unlink(draft);
  }
  await syncDirectory(dirname(file));
}
