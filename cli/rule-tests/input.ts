import type { Path } from '../../config/problem.ts';
import { describe } from '../../config/quantity.ts';
import { TICK_TOPIC } from '../../model/frame.ts';
import { telemetryTopic } from '../../model/topics.ts';
import { isOperation, readOperation } from './operations.ts';
import { readSeries } from './series.ts';
import type { YamlReader } from './yaml-reader.ts';

/** A message of a test, on its way to the door. What has no device is the door's own. */
export interface TestMessage {
  arrivedMs: number;
  device: string;
  topic: string;
  payload: string;
}

const MESSAGE = ['device', 'topic', 'at', 'received', 'delay', 'values', 'payload'];
const SERIES = ['device', 'topic', 'from', 'every', 'to', 'times', 'delay', 'values'];
const MESSAGES_MAX = 5_000_000;
const DAY_MS = 86_400_000;

/** The messages of an `input` list, in the order of their arrival; of those of one moment in the order of the list. */
export function readInput(reader: YamlReader, value: unknown, path: Path, dateMs: number): TestMessage[] {
  const items = reader.list(value, path, 'write the messages one below the other, each after "- "') ?? [];
  const messages: TestMessage[] = [];
  items.forEach((item, i) => {
    const at = [...path, i];
    const map = reader.anyMapping(item, at, `write { ${MESSAGE.join(', ')} } or { ${SERIES.join(', ')} }`);
    if (map === null) return;
    if (isOperation(map)) {
      const operation = readOperation(reader, map, at, dateMs, i);
      if (operation !== null) messages.push(operation);
    } else if (map.has('tick')) readTick(reader, item, at, dateMs, messages);
    else if (map.has('every') || map.has('from')) readSeriesItem(reader, item, at, dateMs, messages);
    else readMessage(reader, item, at, dateMs, messages);
    if (messages.length > MESSAGES_MAX) {
      reader.wrong(at, `more than ${MESSAGES_MAX} messages`, 'shorten the series, or use `sluice backtest`');
      messages.length = 0;
    }
  });
  const timed = messages.filter(({ arrivedMs }) => !Number.isNaN(arrivedMs));
  const firstMs = timed.reduce((first, { arrivedMs }) => Math.min(first, arrivedMs), dateMs + DAY_MS);
  for (const message of messages) if (Number.isNaN(message.arrivedMs)) message.arrivedMs = firstMs - 1;
  return messages.sort((a, b) => a.arrivedMs - b.arrivedMs);
}

function readTick(reader: YamlReader, item: unknown, path: Path, dateMs: number, out: TestMessage[]): void {
  const map = reader.mapping(item, path, ['tick']);
  const arrivedMs = reader.time(map?.get('tick'), [...path, 'tick'], dateMs);
  if (arrivedMs !== null) out.push({ arrivedMs, device: '', topic: TICK_TOPIC, payload: '' });
}

function readMessage(reader: YamlReader, item: unknown, path: Path, dateMs: number, out: TestMessage[]): void {
  const map = reader.mapping(item, path, MESSAGE);
  if (map === null) return;
  const devices = readDevices(reader, map, path);
  const time = (key: string): number | null =>
    map.has(key) ? reader.time(map.get(key), [...path, key], dateMs) : null;
  const atMs = time('at');
  const receivedMs = time('received');
  const delayMs = readDelay(reader, map, path);
  if (!map.has('at') && !map.has('received')) {
    reader.wrong(path, 'has no time', 'add `at`: the time that the device gives; or `received`: when it arrives');
    return;
  }
  if (map.has('received') && map.has('delay')) {
    reader.wrong([...path, 'delay'], 'is given beside `received`', 'keep one of them');
  }
  const arrivedMs = receivedMs ?? (atMs === null ? null : atMs + delayMs);
  const payload = readPayload(reader, map, path, atMs);
  const topicOf = readTopic(reader, map, path);
  if (arrivedMs === null || payload === null) return;
  for (const device of devices) out.push({ arrivedMs, device, topic: topicOf(device), payload });
}

function readPayload(reader: YamlReader, map: Map<string, unknown>, path: Path, atMs: number | null): string | null {
  if (map.has('values') === map.has('payload')) {
    const remedy = 'write `values: {temperature: 21.5}`, or `payload` with the message as it is sent';
    return reader.wrong(
      path,
      map.has('values') ? 'has values and a payload' : 'has neither values nor a payload',
      remedy,
    );
  }
  if (map.has('payload')) {
    const payload = map.get('payload');
    return typeof payload === 'string' ? payload : JSON.stringify(payload);
  }
  const values = reader.anyMapping(map.get('values'), [...path, 'values'], 'write {temperature: 21.5}');
  if (values === null) return null;
  for (const [name, value] of values) {
    if (Array.isArray(value)) {
      reader.wrong([...path, 'values', name], 'a list in a single message', 'add `from` and `every` for a series');
    }
  }
  return payloadOf(atMs, values);
}

/** The payload that the README describes; without `ts` when the device gives no time. */
export function payloadOf(tsMs: number | null, values: ReadonlyMap<string, unknown>): string {
  const named = Object.fromEntries(values);
  return JSON.stringify(tsMs === null ? { values: named } : { ts: tsMs, values: named });
}

function readSeriesItem(reader: YamlReader, item: unknown, path: Path, dateMs: number, out: TestMessage[]): void {
  const map = reader.mapping(item, path, SERIES);
  if (map === null) return;
  const devices = readDevices(reader, map, path);
  const delayMs = readDelay(reader, map, path);
  const topicOf = readTopic(reader, map, path);
  const steps = readSeries(reader, map, path, dateMs);
  if (steps === null) return;
  for (const { tsMs, values } of steps) {
    if (values.size === 0) continue;
    const payload = payloadOf(tsMs, values);
    for (const device of devices) out.push({ arrivedMs: tsMs + delayMs, device, topic: topicOf(device), payload });
  }
}

function readDevices(reader: YamlReader, map: Map<string, unknown>, path: Path): string[] {
  const at = [...path, 'device'];
  const given = map.get('device');
  if (!map.has('device')) {
    reader.wrong(path, 'has no device', 'add `device`: its id, or a list of ids');
    return [];
  }
  if (!Array.isArray(given)) return [reader.text(given, at) ?? ''];
  if (given.length === 0) reader.wrong(at, `${describe(given)} without devices`, 'write their ids');
  return given.map((id, i) => reader.text(id, [...at, i]) ?? '');
}

/** On which topic a device's message comes: the one that is given, for messages of other producers, or its own. */
function readTopic(reader: YamlReader, map: Map<string, unknown>, path: Path): (device: string) => string {
  if (!map.has('topic')) return telemetryTopic;
  const topic = reader.text(map.get('topic'), [...path, 'topic']) ?? '';
  return () => topic;
}

function readDelay(reader: YamlReader, map: Map<string, unknown>, path: Path): number {
  return map.has('delay') ? (reader.duration(map.get('delay'), [...path, 'delay']) ?? 0) : 0;
}
