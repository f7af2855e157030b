import { type CsvCell, readCsv } from './csv.ts';
import { type DeviceFields, readDevice } from './device.ts';

export type DeviceListFormat = 'csv' | 'json';

/** Something that is wrong in a list of devices, and where (both count from 1; 0 where nothing tells). */
export interface ListProblem {
  line: number;
  column: number;
  message: string;
}

export interface ListedDevice {
  fields: DeviceFields;
  line: number;
}

export interface DeviceList {
  /** Those that are right. Nobody should use them while there are problems, unless told to. */
  devices: ListedDevice[];
  problems: ListProblem[];
}

/**
 * Reads a list of devices (model/device.ts):
 *
 * - CSV with a header: `id`, and any of `name`, `site`, `model`, `tag:NAME`, `threshold:NAME`. An empty cell says nothing.
 * - JSON: an array of devices, or `{ "devices": [ … ] }`.
 *
 * A device that is named twice is a problem. Never throws.
 */
export function readDeviceList(text: string, format: DeviceListFormat): DeviceList {
  const list: DeviceList = { devices: [], problems: [] };
  const lines = new Map<string, number>();
  const add = (value: unknown, line: number, columnOf: (field: string) => number): void => {
    const fields = readDevice(value, ({ field, message }) => {
      list.problems.push({ line, column: columnOf(field), message: field === '' ? message : `${field}: ${message}` });
    });
    if (fields === null) return;
    const before = lines.get(fields.id);
    if (before !== undefined) {
      const message = `id: ${fields.id} is in line ${before} already`;
      list.problems.push({ line, column: columnOf('id'), message });
      return;
    }
    lines.set(fields.id, line);
    list.devices.push({ fields, line });
  };
  if (format === 'csv') fromCsv(text, list, add);
  else fromJson(text, list, add);
  return list;
}

type Add = (value: unknown, line: number, columnOf: (field: string) => number) => void;

const PLAIN = new Set(['id', 'name', 'site', 'model']);

function fromCsv(text: string, list: DeviceList, add: Add): void {
  const { rows, problems } = readCsv(text);
  list.problems.push(...problems);
  const [head, ...body] = rows;
  if (head === undefined) {
    list.problems.push({ line: 1, column: 1, message: 'there is no header; it begins with id' });
    return;
  }
  const fields = head.map((cell) => fieldOf(cell, list));
  const names = fields.filter((field) => field !== '');
  if (!names.includes('id')) {
    list.problems.push({ line: head[0].line, column: 1, message: 'the header has no column id' });
    return;
  }
  const twice = names.find((field, i) => names.indexOf(field) !== i);
  if (twice !== undefined) {
    const column = head[fields.lastIndexOf(twice)].column;
    list.problems.push({ line: head[0].line, column, message: `the header has ${twice} twice` });
    return;
  }
  for (const row of body) {
    if (row.length !== head.length) {
      const message = `there are ${row.length} cells, and the header has ${head.length}`;
      list.problems.push({ line: row[0].line, column: row[row.length - 1].column, message });
      continue;
    }
    const cells = new Map(fields.map((field, i) => [field, row[i]]));
    add(fromCells(cells), row[0].line, (field) => (cells.get(field) ?? cells.get(grouped(field)) ?? row[0]).column);
  }
}

/** The field that a column of the header stands for; empty when it stands for none. */
function fieldOf({ text, line, column }: CsvCell, list: DeviceList): string {
  const name = text.trim();
  if (PLAIN.has(name) || /^(tag|threshold):./s.test(name)) return name;
  const message = `a column ${JSON.stringify(name)} is not known; there are id, name, site, model, tag:NAME and threshold:NAME`;
  list.problems.push({ line, column, message });
  return '';
}

/** `tags.line` is the column `tag:line`. */
function grouped(field: string): string {
  return field.replace(/^tags\./, 'tag:').replace(/^thresholds\./, 'threshold:');
}

function fromCells(cells: Map<string, CsvCell>): Record<string, unknown> {
  const tags: [string, string][] = [];
  const thresholds: [string, unknown][] = [];
  const plain: [string, string][] = [];
  for (const [field, cell] of cells) {
    const text = cell.text.trim();
    if (PLAIN.has(field)) plain.push([field, text]);
    else if (text === '') continue;
    else if (field.startsWith('tag:')) tags.push([field.slice(4), text]);
    else if (field.startsWith('threshold:'))
      thresholds.push([field.slice(10), NUMBER.test(text) ? Number(text) : text]);
  }
  return { ...Object.fromEntries(plain), tags: Object.fromEntries(tags), thresholds: Object.fromEntries(thresholds) };
}

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;

function fromJson(source: string, list: DeviceList, add: Add): void {
  const text = source.startsWith('\uFEFF') ? source.slice(1) : source;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const what = (error as Error).message;
    const at = /position (\d+)/.exec(what);
    const place = at === null ? { line: 0, column: 0 } : placeOf(text, Number(at[1]));
    list.problems.push({ ...place, message: `this is not JSON: ${what}` });
    return;
  }
  const isWrapped = typeof value === 'object' && value !== null && !Array.isArray(value);
  const devices = isWrapped ? new Map(Object.entries(value as object)).get('devices') : value;
  if (!Array.isArray(devices)) {
    const message = 'a list of devices is an array, or an object with the array `devices`';
    list.problems.push({ line: 1, column: 1, message });
    return;
  }
  const places = elementPlaces(text, isWrapped ? 2 : 1);
  // With other members in the object the places are not those of the devices; then nothing tells.
  const known = places.length === devices.length;
  for (const [i, device] of devices.entries()) {
    const { line, column } = known ? places[i] : { line: 0, column: 0 };
    add(device, line, () => column);
  }
}

/** Where the elements of the arrays at this depth of nesting begin. */
function elementPlaces(text: string, depth: number): { line: number; column: number }[] {
  const places: { line: number; column: number }[] = [];
  let open = 0;
  let expected = false;
  let line = 1;
  let lineStart = 0;
  for (let at = 0; at < text.length; at++) {
    const c = text[at];
    if (c === '\n') {
      line++;
      lineStart = at + 1;
    }
    if (/\s/.test(c)) continue;
    if (expected && c !== ']') places.push({ line, column: at - lineStart + 1 });
    expected = false;
    if (c === '"') {
      at++;
      while (text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
    } else if (c === '[' || c === '{') {
      open++;
      expected = c === '[' && open === depth;
    } else if (c === ']' || c === '}') open--;
    else if (c === ',') expected = open === depth && (depth === 1 || places.length > 0);
  }
  return places;
}

function placeOf(text: string, offset: number): { line: number; column: number } {
  const before = text.slice(0, offset);
  return { line: before.split('\n').length, column: before.length - before.lastIndexOf('\n') };
}
