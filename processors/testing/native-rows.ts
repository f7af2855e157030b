/** Reads Native blocks back (the types that store/blocks.ts writes; see the grammar in store/native.ts), for tests. */
export type NativeRow = Record<string, string | number | null | Record<string, number>>;

export function readNative(bytes: Uint8Array): NativeRow[] {
  const reader = new NativeReader(bytes);
  const rows: NativeRow[] = [];
  while (!reader.done()) rows.push(...reader.block());
  return rows;
}

/** A reading with the table's defaults, its columns in the order of a block that has all of them. */
const READING = Object.entries({
  ...{ device: '', metric: '', ts: 0, value: 0, text: '', received: 0 },
  ...{ partition: 0, offset: 0, index: 0, arrival: 0, flags: 0 },
});

class NativeReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  done(): boolean {
    return this.#at === this.#bytes.length;
  }

  block(): NativeRow[] {
    const columns = this.#varint();
    const rows = this.#varint();
    const out: NativeRow[] = Array.from({ length: rows }, () => ({}));
    const names = new Set<string>();
    for (let c = 0; c < columns; c++) {
      const name = this.#string();
      names.add(name);
      const values = this.#column(this.#string(), rows);
      for (let r = 0; r < rows; r++) out[r][name] = values[r];
    }
    if (!names.has('received') || !names.has('value')) return out;
    // Of readings, columns that hold nothing but the table's defaults may be left out.
    return out.map((row) =>
      Object.fromEntries(READING.map(([name, byDefault]) => [name, name in row ? row[name] : byDefault])),
    );
  }

  #column(type: string, rows: number): NativeRow[string][] {
    const nullable = /^Nullable\((.*)\)$/.exec(type);
    if (nullable !== null) {
      const nulls = this.#many(rows, () => this.#bytes[this.#at++]);
      return this.#column(nullable[1], rows).map((value, r) => (nulls[r] === 1 ? null : value));
    }
    if (type === 'LowCardinality(String)') {
      this.#at += 8;
      const width = 1 << (this.#u64() & 3);
      const keys = this.#many(this.#u64(), () => this.#string());
      return this.#many(this.#u64(), () => keys[this.#unsigned(width)]);
    }
    if (type === 'Map(LowCardinality(String), Float64)') {
      this.#at += 8;
      const ends = this.#many(rows, () => this.#u64());
      const pairs = ends[rows - 1] ?? 0;
      this.#at -= 8; // there is no version before these keys, and none is read
      const keys = pairs === 0 ? [] : this.#column('LowCardinality(String)', pairs);
      const values = this.#many(pairs, () => this.#f64());
      return ends.map((end, r) => {
        const start = r === 0 ? 0 : ends[r - 1];
        return Object.fromEntries(values.slice(start, end).map((value, i) => [keys[start + i], value]));
      });
    }
    const map = /^Map\((.*), (.*)\)$/.exec(type);
    if (map !== null) {
      const ends = this.#many(rows, () => this.#u64());
      const pairs = ends.at(-1) ?? 0;
      const keys = this.#column(map[1], pairs);
      const values = this.#column(map[2], pairs);
      // As text: a row's cells are compared by their value.
      return ends.map((end, r) =>
        JSON.stringify(keys.slice(ends[r - 1] ?? 0, end).map((key, i) => [key, values[(ends[r - 1] ?? 0) + i]])),
      );
    }
    if (type === 'String') return this.#many(rows, () => this.#string());
    if (type === 'Float64') return this.#many(rows, () => this.#f64());
    if (type === 'UInt64' || type === 'DateTime64(3)') return this.#many(rows, () => this.#u64());
    if (type === 'Int32') return this.#many(rows, () => this.#unsigned(4) | 0);
    const width = /^UInt(8|16|32)$/.exec(type);
    if (width === null) throw new Error(`a column of type ${type} is not read here`);
    return this.#many(rows, () => this.#unsigned(Number(width[1]) / 8));
  }

  #many<Item>(count: number, read: () => Item): Item[] {
    return Array.from({ length: count }, read);
  }

  #unsigned(width: number): number {
    this.#at += width;
    if (width === 1) return this.#bytes[this.#at - 1];
    return width === 2 ? this.#view.getUint16(this.#at - 2, true) : this.#view.getUint32(this.#at - 4, true);
  }

  #f64(): number {
    this.#at += 8;
    return this.#view.getFloat64(this.#at - 8, true);
  }

  #u64(): number {
    this.#at += 8;
    return Number(this.#view.getBigInt64(this.#at - 8, true));
  }

  #varint(): number {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.#bytes[this.#at++];
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  }

  #string(): string {
    const length = this.#varint();
    this.#at += length;
    return Buffer.from(this.#bytes.subarray(this.#at - length, this.#at)).toString('utf8');
  }
}
