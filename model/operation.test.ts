import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readCsv } from './csv.ts';
import { type DeviceFields, deviceFromJson, deviceToJson, sameDevice } from './device.ts';
import { readDeviceList } from './device-list.ts';
import { ALARM_ACTIONS, decodeOperation, encodeOperation, type Operation } from './operation.ts';

const word = fc.stringMatching(/^[\p{L}\p{N} _.:"',;\\-]{0,20}$/u);
const name = fc.oneof(
  fc.constantFrom('__proto__', 'constructor', '1', 'line'),
  word.filter((w) => w !== ''),
);
const id = fc.stringMatching(/^[\p{L}\p{N}_.: "',;-]{1,20}$/u);
const sorted = <T>(pairs: [string, T][]) => new Map(pairs.sort(([a], [b]) => (a < b ? -1 : 1)));
const uniquely = { selector: ([key]: [string, unknown]) => key, maxLength: 5 };

const fields: fc.Arbitrary<DeviceFields> = fc.record({
  id,
  name: word,
  site: word,
  model: word,
  tags: fc.uniqueArray(fc.tuple(name, word), uniquely).map(sorted),
  thresholds: fc
    .uniqueArray(
      fc.tuple(
        name,
        fc.double({ noNaN: true, noDefaultInfinity: true }).map((n) => n + 0),
      ),
      uniquely,
    )
    .map(sorted),
});

const asked = { id: name, atMs: fc.integer({ min: 0, max: 7e12 }), by: word };
const operation: fc.Arbitrary<Operation> = fc.oneof(
  fc
    .record({
      kind: fc.constant('device' as const),
      ...asked,
      entry: fields,
      removes: fc.boolean(),
      version: fc.integer({ min: 0, max: 2 ** 52 }),
      expects: fc.option(fc.integer({ min: 0, max: 2 ** 52 })),
      source: fc.constantFrom('config' as const, 'file' as const, 'http' as const),
    })
    .map(({ removes, entry, ...rest }) => ({ ...rest, device: entry.id, entry: removes ? null : entry })),
  fc.record({
    kind: fc.constant('maintenance' as const),
    ...asked,
    window: word,
    removed: fc.boolean(),
    fromMs: fc.integer({ min: 0, max: 7e12 }),
    untilMs: fc.integer({ min: 0, max: 7e12 }),
    sites: fc.array(word),
    devices: fc.array(word),
    rules: fc.array(word),
    text: word,
  }),
);

describe('an operation', () => {
  it('reads as it was written', () => {
    fc.assert(
      fc.property(operation, (op) => {
        const again = decodeOperation(encodeOperation(op));
        expect(again).toEqual(op);
        if (op.kind === 'device' && op.entry !== null && again.kind === 'device') {
          expect(sameDevice(op.entry, again.entry as DeviceFields)).toBe(true);
        }
      }),
    );
  });

  it('is refused, and nothing worse, when a member is of another kind', () => {
    const alarm = { kind: 'alarm', id: 'x', atMs: 1, by: '', action: ALARM_ACTIONS[0], device: 'd', text: '' };
    const good = JSON.stringify(alarm);
    expect(decodeOperation(Buffer.from(good))).toMatchObject({ kind: 'alarm', rule: null, untilMs: null });
    fc.assert(
      fc.property(fc.constantFrom(...Object.keys(alarm)), fc.jsonValue(), (member, value) => {
        const bytes = Buffer.from(JSON.stringify({ ...alarm, [member]: value }));
        try {
          decodeOperation(bytes);
        } catch (error) {
          expect(error).toMatchObject({ code: 'INPUT_INVALID' });
        }
      }),
    );
    expect(() => decodeOperation(Buffer.from(good.replace('"id":"x"', '"id":""')))).toThrow(/`id`/);
    expect(() => decodeOperation(Buffer.from(good.replace('"d"', '"a/b"')))).toThrow(/`device`/);
  });
});

const cell = (text: string) => `"${text.replaceAll('"', '""')}"`;

describe('a list of devices', () => {
  it('says the same as CSV and as JSON', () => {
    const trimmed = fields.map((f) => ({
      ...f,
      ...{ id: `d${f.id.trim()}`, name: f.name.trim(), site: f.site.trim(), model: f.model.trim() },
      tags: sorted([...f.tags].filter(([k, v]) => k.trim() === k && v.trim() !== '').map(([k, v]) => [k, v.trim()])),
      thresholds: sorted([...f.thresholds].filter(([k]) => k.trim() === k)),
    }));
    const list = fc.uniqueArray(trimmed, { selector: (f) => f.id, maxLength: 6 });
    fc.assert(
      fc.property(list, fc.constantFrom('\n', '\r\n'), (devices, end) => {
        const tags = [...new Set(devices.flatMap((d) => [...d.tags.keys()]))];
        const limits = [...new Set(devices.flatMap((d) => [...d.thresholds.keys()]))];
        const head = [
          'id',
          'name',
          'site',
          'model',
          ...tags.map((t) => `tag:${t}`),
          ...limits.map((t) => `threshold:${t}`),
        ];
        const lines = devices.map((d) => [
          ...[d.id, d.name, d.site, d.model, ...tags.map((t) => d.tags.get(t) ?? '')],
          ...limits.map((t) => String(d.thresholds.get(t) ?? '')),
        ]);
        const csv = [head, ...lines].map((line) => line.map(cell).join(',')).join(end);
        const json = JSON.stringify({ devices: devices.map(deviceToJson) });
        for (const read of [readDeviceList(csv, 'csv'), readDeviceList(json, 'json')]) {
          expect(read.problems).toEqual([]);
          expect(read.devices.map((d) => deviceToJson(d.fields))).toEqual(devices.map(deviceToJson));
        }
      }),
    );
  });

  it('tells each problem where it is, and gives the devices that are right', () => {
    const csv = 'id;site;threshold:max\npump 1;"n;""o""";7\npump/2;x;1\npump3;x\npump4;"a\nb";high\npump 1;z;2\n';
    const read = readDeviceList(csv, 'csv');
    expect(read.devices.map(({ fields: { id, site }, line }) => [id, site, line])).toEqual([['pump 1', 'n;"o"', 2]]);
    expect(read.problems.map(({ line, column, message }) => `${line}:${column} ${message}`)).toEqual([
      '3:1 id: an id is 1 to 256 bytes of text without /, + and #',
      '4:7 there are 2 cells, and the header has 3',
      '5:7 site: the text has characters that are no text',
      '5:4 thresholds.max: a threshold is a number',
      '7:1 id: pump 1 is in line 2 already',
    ]);
  });

  it('tells where an element of a JSON array is wrong', () => {
    const read = readDeviceList('[\n  {"id": "a"},\n  {"id": "b", "sites": 1}, {"id": "a"}\n]', 'json');
    expect(read.problems.map(({ line, column }) => [line, column])).toEqual([
      [3, 3],
      [3, 28],
    ]);
    expect(readDeviceList('[{"id": "a"},', 'json').problems).toHaveLength(1);
    expect(readDeviceList('7', 'json').problems).toHaveLength(1);
  });

  it('never throws, whatever it is given', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.constantFrom('csv' as const, 'json' as const), (text, format) => {
        readDeviceList(`id,name\n${text}`, format);
        readDeviceList(text, format);
        readCsv(text);
      }),
      { numRuns: 30 },
    );
    expect(() => deviceFromJson({ id: 'x', tags: [] })).toThrow(/tags/);
  });
});
