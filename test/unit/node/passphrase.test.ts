/** Sources of a passphrase and their order. */
import { EventEmitter } from "node:events";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readPassphrase } from "../../../src/node/passphrase.ts";

let directory: string;
let file: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "loopledger-passphrase-"));
  file = join(directory, "passphrase");
  await writeFile(file, "from file \n", { mode: 0o600 });
});
afterAll(() => rm(directory, { recursive: true }));

/** A terminal whose user types the given characters once it is in raw mode. */
class Terminal extends EventEmitter {
  readonly isTTY = true;
  readonly question = "Passphrase: ";
  readonly input = this;
  readonly rawModes: boolean[] = [];
  written = "";
  readonly #typed: readonly string[];

  constructor(...typed: string[]) {
    super();
    this.#typed = typed;
  }

  setRawMode(raw: boolean) {
    this.rawModes.push(raw);
  }

  resume() {
    for (const chunk of this.#typed) this.emit("data", Buffer.from(chunk));
  }

  pause() {}

  write(text: string) {
    this.written += text;
  }
}

describe("readPassphrase", () => {
  const environment = { LOOPLEDGER_PASSPHRASE: "from environment" };

  it("prefers the file, then the environment, then the terminal", async () => {
    const terminal = new Terminal("typed\r");
    expect(await readPassphrase({ file, environment, terminal })).toBe("from file ");
    expect(await readPassphrase({ environment, terminal })).toBe("from environment");
    expect(await readPassphrase({ environment: {}, terminal })).toBe("typed");
  });

  it("refuses a passphrase file that others can read", async () => {
    const open = join(directory, "open");
    await writeFile(open, "secret");
    await chmod(open, 0o644);
    await expect(readPassphrase({ file: open, environment })).rejects.toMatchObject({
      code: "KEY_FILE_MODE",
    });
  });

  it("refuses to go on without one", async () => {
    const empty = join(directory, "empty");
    await writeFile(empty, "\n", { mode: 0o600 });
    const cases = [
      { file: empty },
      { environment: { LOOPLEDGER_PASSPHRASE: "" } },
      { terminal: new Terminal("\r") },
      { terminal: new Terminal("abc\u0003") },
      {},
    ];
    for (const sources of cases)
      await expect(readPassphrase(sources)).rejects.toMatchObject({
        code: "KEY_PASSPHRASE_MISSING",
      });
    await expect(readPassphrase({ file: join(directory, "absent") })).rejects.toMatchObject({
      code: "FILE_UNREADABLE",
    });
  });

  it("does not echo what is typed, obeys erase, and leaves raw mode", async () => {
    const terminal = new Terminal("se", "x\u{1f600}\u007f\b", "cret", "\r");
    expect(await readPassphrase({ terminal })).toBe("secret");
    expect(terminal.written).toBe("Passphrase: \n");
    expect(terminal.rawModes).toEqual([true, false]);
    expect(terminal.listenerCount("data")).toBe(0);
  });
});
