import { createReadStream, type ReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { basename } from 'node:path';
import { parse } from 'csv-parse';
import { SluiceError } from '../model/errors.ts';

/** One row of a measurement file, its cells by column. NDJSON cells keep their type, CSV cells are text. */
export interface Row {
  /** Line where the row ends, from 1. */
  line: number;
  cells: ReadonlyMap<string, unknown>;
}

export type FileFormat = 'csv' | 'ndjson';

const LINE_BYTES_MAX = 1024 * 1024;
const READ_BYTES = 256 * 1024;

/** The format that a file's name tells; throws INPUT_INVALID when it tells none. */
export function formatOf(path: string): FileFormat {
  const name = basename(path).toLowerCase();
  if (/\.(csv|tsv|txt)$/.test(name)) return 'csv';
  if (/\.(ndjson|jsonl|json)$/.test(name)) return 'ndjson';
  throw new SluiceError('INPUT_INVALID', `${path}: the name does not tell the format`, {
    remedy: "say format 'csv' or 'ndjson'",
  });
}

/**
 * Reads a file row by row, holding no more than a few hundred KB of it. The first row of a CSV names the columns; the delimiter
 * (comma, semicolon, tab or bar) is the one that this row has most of. An error says FILE:LINE and what is wrong there.
 */
export async function* readRows(path: string, format: FileFormat): AsyncGenerator<Row, void, void> {
  let stream: ReadStream | null = null;
  try {
    const delimiter = format === 'csv' ? await delimiterOf(path) : '';
    stream = createReadStream(path, { highWaterMark: READ_BYTES });
    yield* format === 'csv' ? readCsv(path, stream, delimiter) : readNdjson(path, stream);
  } catch (error) {
    throw fileError(path, error);
  } finally {
    stream?.destroy();
  }
}

async function* readCsv(path: string, stream: ReadStream, delimiter: string): AsyncGenerator<Row, void, void> {
  const parser = parse({
    bom: true,
    delimiter,
    skip_empty_lines: true,
    info: true,
    max_record_size: LINE_BYTES_MAX,
    relax_column_count: true,
    trim: true,
  });
  stream.on('error', (error) => parser.destroy(error));
  stream.pipe(parser);
  let columns: string[] | null = null;
  for await (const { record, info } of parser as AsyncIterable<{ record: string[]; info: { lines: number } }>) {
    if (columns === null) {
      columns = record;
      const double = columns.find((name, i) => columns!.indexOf(name) !== i);
      if (double !== undefined) throw wrong(path, info.lines, `the column '${double}' is there twice`, 'rename one');
      continue;
    }
    if (record.length !== columns.length) {
      const what = `${record.length} cells, the header names ${columns.length} columns`;
      throw wrong(path, info.lines, what, 'correct the line, or quote the cells that hold the delimiter');
    }
    yield { line: info.lines, cells: new Map(columns.map((name, i) => [name, record[i]])) };
  }
}

/** Of the usual delimiters the one that stands most often in the first line, outside quotes; a comma when none does. */
async function delimiterOf(path: string): Promise<string> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(64 * 1024), 0, 64 * 1024, 0);
    const header = buffer
      .toString('utf8', 0, bytesRead)
      .split('\n', 1)[0]
      .replace(/"[^"]*"/g, '');
    const often = (delimiter: string) => header.split(delimiter).length;
    return [',', ';', '\t', '|'].reduce((best, d) => (often(d) > often(best) ? d : best));
  } finally {
    await file.close();
  }
}

async function* readNdjson(path: string, stream: ReadStream): AsyncGenerator<Row, void, void> {
  let line = 0;
  for await (const bytes of linesOf(path, stream)) {
    line++;
    const text = bytes.toString('utf8').trim();
    if (text === '') continue;
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (error) {
      throw wrong(path, line, `not JSON: ${(error as Error).message}`, 'write one JSON object a line');
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw wrong(path, line, 'not an object', 'write one JSON object a line');
    }
    const cells = new Map<string, unknown>();
    flatten('', value, cells);
    yield { line, cells };
  }
}

async function* linesOf(path: string, stream: ReadStream): AsyncGenerator<Buffer, void, void> {
  let rest: Buffer = Buffer.alloc(0);
  let line = 1;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let from = 0;
    for (let end = rest.indexOf(10); end !== -1; end = rest.indexOf(10, from)) {
      yield rest.subarray(from, end);
      from = end + 1;
      line++;
    }
    rest = rest.subarray(from);
    if (rest.length > LINE_BYTES_MAX) {
      throw wrong(path, line, `a line of more than ${LINE_BYTES_MAX} bytes`, 'write one object a line');
    }
  }
  if (rest.length > 0) yield rest;
}

/** Nested objects become names with dots, as in payloads; arrays stay what they are. */
function flatten(prefix: string, value: object, into: Map<string, unknown>, depth = 0): void {
  for (const [key, cell] of Object.entries(value)) {
    const name = prefix === '' ? key : `${prefix}.${key}`;
    if (typeof cell === 'object' && cell !== null && !Array.isArray(cell) && depth < 16) {
      flatten(name, cell, into, depth + 1);
    } else into.set(name, cell);
  }
}

export function wrong(path: string, line: number, what: string, remedy: string): SluiceError {
  return new SluiceError('INPUT_INVALID', `${path}:${line}: ${what}`, { remedy, values: { file: path, line } });
}

function fileError(path: string, error: unknown): SluiceError {
  if (error instanceof SluiceError) return error;
  const { code, message, lines } = error as NodeJS.ErrnoException & { lines?: number };
  if (code === 'ENOENT') return new SluiceError('INPUT_INVALID', `${path}: there is no such file`, { cause: error });
  if (lines !== undefined) return wrong(path, lines, message, 'correct the line; quotes inside quotes are doubled');
  return new SluiceError('INPUT_INVALID', `${path}: ${message}`, { cause: error });
}
