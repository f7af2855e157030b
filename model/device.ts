import { SluiceError } from './errors.ts';

/**
 * What people say of a device: where it stands, what it is, how it is tagged, and limits of its own. As JSON:
 *
 *     { "id": "pump-7", "name": "Pump 7", "site": "north", "model": "P200",
 *       "tags": { "line": "a" }, "thresholds": { "pressure_max": 7.5 } }
 *
 * Only `id` must be there; a text that is not said is empty. Tags and thresholds are kept in the order of their names, so that
 * two entries that say the same are written the same.
 */
export interface DeviceFields {
  id: string;
  /** For people; empty: the id stands for it. */
  name: string;
  site: string;
  model: string;
  tags: ReadonlyMap<string, string>;
  thresholds: ReadonlyMap<string, number>;
}

/** Where an entry comes from; `seen`: nobody told of the device, it appeared by its telemetry. */
export const DEVICE_SOURCES = ['config', 'file', 'http', 'seen'] as const;
export type DeviceSource = (typeof DEVICE_SOURCES)[number];

/** An entry of the registry. Of two of one device the one with the higher version holds. */
export interface DeviceEntry extends DeviceFields {
  source: DeviceSource;
  version: number;
}

/** One row of the table `devices`: a device as it stands after a frame of the log. */
export interface DeviceRow extends DeviceEntry {
  /** Time received of its first message since it is known, ms; null as long as it was not heard of. */
  firstSeenMs: number | null;
  changedMs: number;
  removed: boolean;
  /** Of rows of one device the one with the highest holds: version × 2, and one more when the device was seen. */
  revision: number;
  partition: number;
  offset: number;
}

/** Why a value cannot be an entry, and in which field. */
export interface DeviceProblem {
  field: string;
  message: string;
}

/** Longest device id, bytes of UTF-8. It is a key of the log, a level of a topic and a column of each reading. */
export const DEVICE_ID_BYTES_MAX = 256;
export const DEVICE_TEXT_BYTES_MAX = 256;
export const DEVICE_TAGS_MAX = 64;
export const DEVICE_TAG_BYTES_MAX = 512;

const utf8 = new TextEncoder();
const FIELDS = new Set(['id', 'name', 'site', 'model', 'tags', 'thresholds']);

/** A device id is one level of a topic: 1 to 256 bytes of UTF-8 without `/`, `+`, `#` and U+0000. */
export function isDeviceId(id: string): boolean {
  if (id.length === 0 || id.length > DEVICE_ID_BYTES_MAX || !isWellFormed(id)) return false;
  for (let i = 0; i < id.length; i++) {
    const code = id.charCodeAt(i);
    if (code === 0x2f || code === 0x2b || code === 0x23 || code === 0) return false;
  }
  return utf8.encode(id).length <= DEVICE_ID_BYTES_MAX;
}

/**
 * Reads what JSON, YAML or a table gave. `problem` is told of each thing that is wrong; the result is then null. Members that
 * an entry does not have are a problem, since a misspelt one would be lost in silence.
 */
export function readDevice(value: unknown, problem: (problem: DeviceProblem) => void): DeviceFields | null {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    problem({ field: '', message: 'a device is an object with an id' });
    return null;
  }
  let good = true;
  const wrong = (field: string, message: string): void => {
    good = false;
    problem({ field, message });
  };
  const members = new Map<string, unknown>(Object.entries(value));
  for (const name of members.keys()) {
    if (!FIELDS.has(name)) wrong(name, `a device has no ${JSON.stringify(name)}; it has ${[...FIELDS].join(', ')}`);
  }
  const id = members.get('id');
  if (typeof id !== 'string' || !isDeviceId(id)) {
    wrong('id', `an id is 1 to ${DEVICE_ID_BYTES_MAX} bytes of text without /, + and #`);
  }
  const fields: DeviceFields = {
    id: typeof id === 'string' ? id : '',
    name: textOf(members, 'name', wrong),
    site: textOf(members, 'site', wrong),
    model: textOf(members, 'model', wrong),
    tags: mapOf(members, 'tags', wrong, (text, field) => checkedText(text, field, DEVICE_TAG_BYTES_MAX, wrong)),
    thresholds: mapOf(members, 'thresholds', wrong, (number, field) => {
      if (typeof number === 'number' && Number.isFinite(number)) return number;
      wrong(field, 'a threshold is a number');
      return 0;
    }),
  };
  return good ? fields : null;
}

/** As JSON holds it. */
export function deviceToJson(fields: DeviceFields): Record<string, unknown> {
  const { id, name, site, model, tags, thresholds } = fields;
  // fromEntries defines members, whatever their names.
  return { id, name, site, model, tags: Object.fromEntries(tags), thresholds: Object.fromEntries(thresholds) };
}

/** Whether two entries say the same. */
export function sameDevice(a: DeviceFields, b: DeviceFields): boolean {
  return JSON.stringify(listed(a)) === JSON.stringify(listed(b));
}

/** Reads an entry that was checked before it was written. Throws INPUT_INVALID. */
export function deviceFromJson(value: unknown): DeviceFields {
  const problems: DeviceProblem[] = [];
  const fields = readDevice(value, (problem) => problems.push(problem));
  if (fields !== null) return fields;
  const what = problems.map(({ field, message }) => (field === '' ? message : `${field}: ${message}`));
  throw new SluiceError('INPUT_INVALID', `not a device: ${what.join('; ')}`);
}

function listed({ id, name, site, model, tags, thresholds }: DeviceFields): unknown[] {
  return [id, name, site, model, [...tags], [...thresholds]];
}

function textOf(members: Map<string, unknown>, field: string, wrong: (field: string, message: string) => void): string {
  const value = members.get(field);
  return value === undefined || value === null ? '' : checkedText(value, field, DEVICE_TEXT_BYTES_MAX, wrong);
}

function checkedText(
  value: unknown,
  field: string,
  bytesMax: number,
  wrong: (field: string, message: string) => void,
): string {
  if (typeof value !== 'string') {
    wrong(field, `text is wanted here, not ${value === null ? 'null' : typeof value}`);
    return '';
  }
  if (!isWellFormed(value) || CONTROL.test(value)) wrong(field, 'the text has characters that are no text');
  else if (utf8.encode(value).length > bytesMax) wrong(field, `the text is longer than ${bytesMax} bytes`);
  return value;
}

function mapOf<T>(
  members: Map<string, unknown>,
  field: string,
  wrong: (field: string, message: string) => void,
  read: (value: unknown, field: string) => T,
): ReadonlyMap<string, T> {
  const value = members.get(field);
  if (value === undefined || value === null) return new Map();
  if (typeof value !== 'object' || Array.isArray(value)) {
    wrong(field, `${field} is an object of names and values`);
    return new Map();
  }
  const entries = Object.entries(value);
  if (entries.length > DEVICE_TAGS_MAX)
    wrong(field, `there are ${entries.length}, at most ${DEVICE_TAGS_MAX} are kept`);
  const found: [string, T][] = [];
  for (const [name, item] of entries) {
    if (name === '') wrong(field, 'a name is empty');
    checkedText(name, field, DEVICE_TEXT_BYTES_MAX, wrong);
    found.push([name, read(item, `${field}.${name}`)]);
  }
  return new Map(found.sort(([a], [b]) => (a < b ? -1 : 1)));
}

function isWellFormed(text: string): boolean {
  return !LONE_SURROGATE.test(text);
}

const LONE_SURROGATE = /\p{Surrogate}/u;
const CONTROL = /\p{Cc}/u;
