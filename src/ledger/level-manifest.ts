/**
 * Which tables a LevelDB uses, read from its manifest. Others in the directory hold no data: a
 * compaction was making them when the process ended, or they were given up and not deleted yet;
 * LevelDB deletes them when it is opened next.
 *
 * A manifest is a log whose records are edits of the set of files, each a row of fields:
 *
 * | tag | field | of it |
 * |---|---|---|
 * | 1 | comparator | text |
 * | 2, 3, 4, 9 | numbers of logs, of the next file, of the last sequence | varint |
 * | 5 | compaction pointer | level (varint), key (text) |
 * | 6 | table goes | level, number (varints) |
 * | 7 | table comes | level, number, size (varints), first and last key (texts) |
 *
 * Text: length (varint), bytes. Source: LevelDB 1.20, db/version_edit.cc and doc/log_format.md.
 */
const logBlockBytes = 32 * 1024;
const headBytes = 7;
/** Kinds of fragments that end a record. */
const full = 1;
const last = 4;

/**
 * Returns the numbers of the tables in use.
 *
 * @param manifest - Whole, as `logProblem` finds.
 * @returns `undefined` when it holds something else than edits.
 */
export function liveTables(manifest: Buffer): ReadonlySet<number> | undefined {
  const live = new Set<number>();
  for (const record of recordsOf(manifest)) if (!applyEdit(record, live)) return undefined;
  return live;
}

function* recordsOf(log: Buffer): Generator<Buffer> {
  let fragments: Buffer[] = [];
  let offset = 0;
  while (offset + headBytes <= log.length) {
    const blockRest = logBlockBytes - (offset % logBlockBytes);
    if (blockRest < headBytes) {
      offset += blockRest;
      continue;
    }
    const end = offset + headBytes + log.readUInt16LE(offset + 4);
    const kind = log.readUInt8(offset + 6);
    fragments.push(log.subarray(offset + headBytes, end));
    if (kind === full || kind === last) {
      yield Buffer.concat(fragments);
      fragments = [];
    }
    offset = end;
  }
}

/** @returns Whether it could be read. */
function applyEdit(record: Buffer, live: Set<number>): boolean {
  const reader = new EditReader(record);
  while (!reader.isAtEnd) {
    switch (reader.varint()) {
      case 1:
        reader.text();
        break;
      case 2:
      case 3:
      case 4:
      case 9:
        reader.varint();
        break;
      case 5:
        reader.varint();
        reader.text();
        break;
      case 6:
        reader.varint();
        live.delete(reader.varint());
        break;
      case 7:
        reader.varint();
        live.add(reader.varint());
        reader.varint();
        reader.text();
        reader.text();
        break;
      default:
        return false;
    }
  }
  return !reader.isBeyond;
}

/** Reads fields; beyond the end everything is 0. */
class EditReader {
  readonly #bytes: Buffer;
  #offset = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#offset >= this.#bytes.length;
  }

  get isBeyond(): boolean {
    return this.#offset > this.#bytes.length;
  }

  /** Numbers of files and levels are far below 2^53; a longer one loses digits, and is no file. */
  varint(): number {
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = this.#bytes[this.#offset] ?? 0;
      this.#offset += 1;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 0x80;
    }
  }

  text(): void {
    const length = this.varint();
    this.#offset += length;
  }
}
