import type { Path } from '../../config/problem.ts';
import { describe } from '../../config/quantity.ts';
import { nearest } from '../../config/suggest.ts';
import { readDevice } from '../../model/device.ts';
import {
  ALARM_ACTIONS,
  type AlarmAction,
  encodeOperation,
  OPERATION_TOPIC,
  type Operation,
} from '../../model/operation.ts';
import type { TestMessage } from './input.ts';
import type { YamlReader } from './yaml-reader.ts';

/** What a test lets operators do, between the messages: the same operations that the HTTP API puts on the log. */

const ACTION = ['do', 'at', 'rule', 'device', 'alarm', 'by', 'text', 'until'];
const MAINTENANCE = ['maintenance', 'at', 'from', 'until', 'devices', 'sites', 'rules', 'removed', 'by', 'text'];
const REGISTER = ['register', 'at', 'by'];
const REMOVE = ['remove', 'at', 'by'];

/** Whether an item of the input is one; `at` left out means before everything else (NaN). */
export function isOperation(map: ReadonlyMap<string, unknown>): boolean {
  return ['do', 'maintenance', 'register', 'remove'].some((key) => map.has(key));
}

export function readOperation(
  reader: YamlReader,
  item: ReadonlyMap<string, unknown>,
  path: Path,
  dateMs: number,
  number: number,
): TestMessage | null {
  const atMs = item.has('at') ? reader.time(item.get('at'), [...path, 'at'], dateMs) : Number.NaN;
  const by = item.has('by') ? reader.text(item.get('by'), [...path, 'by']) : 'operator';
  if (atMs === null || by === null) return null;
  const asked = { id: `operation-${number}`, atMs: Number.isNaN(atMs) ? 0 : atMs, by };
  let operation: Operation | null;
  if (item.has('do')) operation = readAction(reader, item, path, dateMs, asked);
  else if (item.has('maintenance')) operation = readMaintenance(reader, item, path, dateMs, asked);
  else operation = readRegistration(reader, item, path, number, asked);
  if (operation === null) return null;
  const payload = Buffer.from(encodeOperation(operation)).toString('utf8');
  return { arrivedMs: atMs, device: '', topic: OPERATION_TOPIC, payload };
}

type Asked = Pick<Operation, 'id' | 'atMs' | 'by'>;

function readAction(
  reader: YamlReader,
  item: ReadonlyMap<string, unknown>,
  path: Path,
  dateMs: number,
  asked: Asked,
): Operation | null {
  reader.mapping(Object.fromEntries(item), path, ACTION);
  const text = textsOf(reader, item, path);
  const given = item.get('do');
  const action = ALARM_ACTIONS.find((one) => one === given);
  if (action === undefined) {
    const near = typeof given === 'string' ? nearest(given, ALARM_ACTIONS) : null;
    const remedy = near === null ? `write one of ${ALARM_ACTIONS.join(', ')}` : `did you mean ${near}?`;
    return reader.wrong([...path, 'do'], `${describe(given)} is nothing that one does with an alarm`, remedy);
  }
  const untilMs = item.has('until') ? reader.time(item.get('until'), [...path, 'until'], dateMs) : null;
  if (NEEDS_UNTIL.has(action) && !item.has('until')) return reader.wrong(path, 'has no end', 'add `until`');
  if (!item.has('rule') && !item.has('alarm')) return reader.wrong(path, 'says no rule', 'add `rule`, and `device`');
  const [rule, device, alarm, words] = [text('rule'), text('device'), text('alarm'), text('text')];
  return { kind: 'alarm', ...asked, action, device, rule, alarm, text: words ?? '', untilMs };
}

const NEEDS_UNTIL: ReadonlySet<AlarmAction> = new Set(['shelve']);

function readMaintenance(
  reader: YamlReader,
  item: ReadonlyMap<string, unknown>,
  path: Path,
  dateMs: number,
  asked: Asked,
): Operation | null {
  reader.mapping(Object.fromEntries(item), path, MAINTENANCE);
  const text = textsOf(reader, item, path);
  const time = (key: string): number | null =>
    item.has(key) ? reader.time(item.get(key), [...path, key], dateMs) : asked.atMs;
  const list = (key: string): string[] =>
    (reader.list(item.get(key), [...path, key], 'write a list') ?? []).map(
      (one, i) => reader.text(one, [...path, key, i]) ?? '',
    );
  const fromMs = time('from');
  const untilMs = time('until');
  const window = text('maintenance');
  if (fromMs === null || untilMs === null || window === null) return null;
  const removed = item.get('removed') === true;
  if (!removed && untilMs <= fromMs) return reader.wrong(path, 'does not last', 'write `until` after `from`');
  const named = { sites: list('sites'), devices: list('devices'), rules: list('rules') };
  return { kind: 'maintenance', ...asked, window, removed, fromMs, untilMs, ...named, text: text('text') ?? '' };
}

function readRegistration(
  reader: YamlReader,
  item: ReadonlyMap<string, unknown>,
  path: Path,
  number: number,
  asked: Asked,
): Operation | null {
  const common = {
    kind: 'device' as const,
    ...asked,
    version: asked.atMs + number + 1,
    expects: null,
    source: 'http' as const,
  };
  if (item.has('remove')) {
    reader.mapping(Object.fromEntries(item), path, REMOVE);
    const device = reader.text(item.get('remove'), [...path, 'remove']);
    return device === null ? null : { ...common, device, entry: null };
  }
  reader.mapping(Object.fromEntries(item), path, REGISTER);
  const at = [...path, 'register'];
  const entry = readDevice(item.get('register'), ({ field, message }) =>
    reader.wrong(
      field === '' ? at : [...at, ...field.split('.')],
      message,
      'write { id: pump-7, site: north, tags: { line: a } }',
    ),
  );
  return entry === null ? null : { ...common, device: entry.id, entry };
}

function textsOf(reader: YamlReader, item: ReadonlyMap<string, unknown>, path: Path): (key: string) => string | null {
  return (key) => (item.has(key) ? reader.text(item.get(key), [...path, key]) : null);
}
