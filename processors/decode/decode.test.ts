import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DECODE_LIMITS, type DeviceMemory, MessageReadings } from './decoder.ts';
import { JsonDecoder } from './json.ts';
import { SkeletonDecoder, splitAtNumbers } from './skeleton.ts';
import { isoToMs, numberToMs, TS_INVALID, TS_OUT_OF_RANGE } from './time.ts';

const RECEIVED = 1_760_000_000_000;
const limits = { ...DECODE_LIMITS, depthMax: 4, metricsPerMessageMax: 50, metricNameBytesMax: 20, textBytesMax: 40 };

type Row = { metric: string; tsMs: number; value: number; text: string; untimed: boolean };

function rows(out: MessageReadings): Row[] {
  return Array.from({ length: out.count }, (_, i) => ({
    metric: out.metricAt(i),
    tsMs: out.tsMs[i],
    value: out.value[i],
    text: out.textAt(i),
    untimed: out.untimed[i] === 1,
  }));
}

const newMemory = (): DeviceMemory => ({ shapes: null, misses: 0 });
const plain = new JsonDecoder(limits);

/** The rows of a payload, or the code of its rejection. */
function decode(
  payload: string | Uint8Array,
  decoder: JsonDecoder | SkeletonDecoder = plain,
  memory = newMemory(),
): Row[] | string {
  const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload;
  const out = new MessageReadings();
  // Something in front and behind, which must not be read.
  const around = Buffer.concat([Buffer.from('9'), bytes, Buffer.from('9')]);
  const rejection = decoder.decode(around, 1, 1 + bytes.length, RECEIVED, memory, out);
  return rejection === null ? rows(out) : rejection.code;
}

const reading = (metric: string, value: number, tsMs = RECEIVED, untimed = tsMs === RECEIVED): Row => ({
  metric,
  tsMs,
  value,
  text: '',
  untimed,
});

describe('times', () => {
  it('tells the unit by the magnitude', () => {
    for (const x of [1_700_000_000, 1_700_000_000_000, 1_700_000_000_000_000, 1_700_000_000_000_000_000]) {
      expect(numberToMs(x)).toBe(1_700_000_000_000);
    }
    expect(numberToMs(1_700_000_000.123)).toBe(1_700_000_000_123);
    expect(numberToMs(1_700_000_000_123.9)).toBe(1_700_000_000_123);
    expect(numberToMs(0)).toBe(0);
    expect(Object.is(numberToMs(-0), 0)).toBe(true);
  });

  it('takes the year 9999 for what it is in every unit, and refuses it', () => {
    for (const unit of [1, 1e3, 1e6, 1e9]) expect(numberToMs(253_402_300_799 * unit)).toBe(TS_OUT_OF_RANGE);
    for (const x of [-1, -1e300, 1e300, Number.MAX_VALUE, -0.0001, 7_258_118_400]) {
      expect(numberToMs(x), String(x)).toBe(TS_OUT_OF_RANGE);
    }
    expect(numberToMs(7_258_118_399)).toBe(7_258_118_399_000);
  });

  it('reads ISO 8601, in UTC where no zone is given', () => {
    const noon = Date.UTC(2025, 2, 1, 12, 0, 0);
    for (const text of [
      '2025-03-01T12:00:00Z',
      '2025-03-01T12:00:00',
      '2025-03-01 12:00:00.000',
      '2025-03-01T12:00Z',
      '2025-03-01T13:00:00+01:00',
      '2025-03-01T06:30:00-0530',
      '2025-03-01T14:00:00+02',
      '2025-03-01t12:00:00.000999999z',
    ]) {
      expect(isoToMs(text), text).toBe(noon);
    }
    expect(isoToMs('2025-03-01')).toBe(Date.UTC(2025, 2, 1));
    expect(isoToMs('2024-02-29T00:00:00.5Z')).toBe(Date.UTC(2024, 1, 29) + 500);
    for (const text of [
      '',
      'yesterday',
      '1700000000000',
      'March 7',
      '2025-02-29T00:00:00Z',
      '2025-13-01',
      '2025-03-01T24:00:00Z',
      '2025-03-01T12:60:00Z',
      '2025-03-01T12:00:00Zjunk',
      `2025-03-01T12:00:00.${'1'.repeat(200)}Z`,
    ]) {
      expect(isoToMs(text), text).toBe(TS_INVALID);
    }
    for (const text of ['1969-12-31T23:59:59Z', '9999-12-31', '0001-01-01', '2200-01-01', '1970-01-01T00:00+01:00']) {
      expect(isoToMs(text), text).toBe(TS_OUT_OF_RANGE);
    }
  });

  it('agrees with Date on every time that it prints', () => {
    fc.assert(
      fc.property(
        fc.date({ min: new Date(0), max: new Date('2199-12-31T23:59:59.999Z'), noInvalidDate: true }),
        (d) => {
          expect(isoToMs(d.toISOString())).toBe(d.getTime());
        },
      ),
    );
  });
});

describe('JSON', () => {
  it('takes every shape of the documentation', () => {
    expect(decode('{"temperature":21.5}')).toEqual([reading('temperature', 21.5)]);
    expect(decode('{"ts":1700000000000,"temperature":21.5}')).toEqual([
      reading('temperature', 21.5, 1_700_000_000_000),
    ]);
    expect(decode('{"ts":1700000000,"values":{"a":1,"b":-0.5}}')).toEqual([
      reading('a', 1, 1_700_000_000_000),
      reading('b', -0.5, 1_700_000_000_000),
    ]);
    expect(decode('[{"ts":1700000000000,"a":1},{"ts":1700000001000,"values":{"a":2}},{"b":3}]')).toEqual([
      reading('a', 1, 1_700_000_000_000),
      reading('a', 2, 1_700_000_001_000),
      reading('b', 3),
    ]);
    expect(decode('\ufeff {"a": 1}\n')).toEqual([reading('a', 1)]);
  });

  it('takes numbers, booleans, text, nested objects, and skips null', () => {
    expect(decode('{"on":true,"off":false,"s":"open","n":null,"e":"","o":{"x":1,"p":{"y":2}}}')).toEqual([
      reading('on', 1),
      reading('off', 0),
      { ...reading('s', Number.NaN), text: 'open' },
      { ...reading('e', Number.NaN), text: '' },
      reading('o.x', 1),
      reading('o.p.y', 2),
    ]);
    expect(decode('{"ts":null,"a":1}')).toEqual([reading('a', 1)]);
    expect(decode('{"values":7}')).toEqual([reading('values', 7)]);
    expect(decode('{"values":{"ts":5,"values":{"z":1}},"seq":9}')).toEqual([
      reading('ts', 5),
      reading('values.z', 1),
      reading('seq', 9),
    ]);
    expect(decode('{"o":{"ts":5}}')).toEqual([reading('o.ts', 5)]);
    expect(decode('{"a":1,"a":2}')).toEqual([reading('a', 2)]);
  });

  it('keeps names that objects of JavaScript know', () => {
    expect(decode('{"__proto__":1,"constructor":2,"toString":3,"hasOwnProperty":4}')).toEqual([
      reading('__proto__', 1),
      reading('constructor', 2),
      reading('toString', 3),
      reading('hasOwnProperty', 4),
    ]);
    expect(decode('{"__proto__":{"x":1}}')).toEqual([reading('__proto__.x', 1)]);
    expect(({} as Record<string, unknown>).x).toBeUndefined();
  });

  it('has a defined end for every bad input', () => {
    const deep = (n: number) => `${'{"a":'.repeat(n)}1${'}'.repeat(n)}`;
    const bad: [string | Uint8Array, string][] = [
      ['', 'not_json'],
      ['{"a":', 'not_json'],
      ['{"a":NaN}', 'not_json'],
      ['{"a":Infinity}', 'not_json'],
      ['{"a":01}', 'not_json'],
      ['{"a":1}{"a":2}', 'not_json'],
      ['null', 'not_object'],
      ['5', 'not_object'],
      ['"text"', 'not_object'],
      ['[1]', 'not_object'],
      ['[[{"a":1}]]', 'not_object'],
      ['[{"a":1},null]', 'not_object'],
      ['{}', 'no_readings'],
      ['[]', 'no_readings'],
      ['[{}]', 'no_readings'],
      ['{"ts":1700000000}', 'no_readings'],
      ['{"a":null}', 'no_readings'],
      ['{"a":{}}', 'no_readings'],
      ['{"ts":true,"a":1}', 'ts_invalid'],
      ['{"ts":{},"a":1}', 'ts_invalid'],
      ['{"ts":"soon","a":1}', 'ts_invalid'],
      ['{"ts":-1,"a":1}', 'ts_range'],
      ['{"ts":253402300799000,"a":1}', 'ts_range'],
      ['{"ts":"9999-12-31T23:59:59Z","a":1}', 'ts_range'],
      ['{"ts":1e999,"a":1}', 'ts_range'],
      ['{"a":1e999}', 'number_range'],
      ['{"a":-1e999}', 'number_range'],
      ['{"a":[1,2]}', 'array_value'],
      ['{"ok":1,"a":[]}', 'array_value'],
      ['{"":1}', 'metric_name'],
      ['{"a":{"":1}}', 'metric_name'],
      [`{"${'n'.repeat(21)}":1}`, 'metric_name'],
      [`{"${'é'.repeat(11)}":1}`, 'metric_name'],
      [deep(5), 'too_deep'],
      [deep(100), 'too_deep'],
      [deep(100_000), 'too_many_values'],
      ['['.repeat(100_000) + ']'.repeat(100_000), 'not_object'],
      [`{"a":"${'x'.repeat(1_000_000)}"}`, 'text_too_long'],
      [`{"a":"${'é'.repeat(21)}"}`, 'text_too_long'],
      [`{${Array.from({ length: 1_000_000 }, (_, i) => `"k${i}":1`).join(',')}}`, 'too_many_values'],
      [Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), 'not_utf8'],
      [Buffer.from([0xc0, 0x80]), 'not_utf8'],
    ];
    const fast = new SkeletonDecoder(plain);
    const memory = newMemory();
    for (const [payload, code] of bad) {
      const name = String(payload).slice(0, 60);
      expect(decode(payload), name).toBe(code);
      for (let again = 0; again < 2; again++) expect(decode(payload, fast, memory), name).toBe(code);
    }
    expect(decode(deep(4))).toEqual([reading('a.a.a.a', 1)]);
  });
});

/** JSON values that are mostly right, and now and then wrong. */
const numberText = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: -100_000, max: 100_000 }).map((n) => String(n / 100)) },
  { weight: 2, arbitrary: fc.double({ noNaN: true, noDefaultInfinity: true }).map((n) => JSON.stringify(n)) },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      ...[
        '0',
        '-0',
        '0.0',
        '-0.0',
        '1e3',
        '1E-2',
        '01',
        '-',
        '1.',
        '.5',
        '1e999',
        '123456789012345',
        '0.12345678901234',
      ],
      ...[
        '1234567890123456',
        '9007199254740993',
        '0.1234567890123456',
        '00',
        '--1',
        '+1',
        '1e',
        '99999999999999.9',
        '0.30000000000000004',
      ],
    ),
  },
);
const tsText = fc.constantFrom(
  ...[
    '1700000000000',
    '1700000000',
    '1700000000.25',
    '1700000000000000',
    '1700000000000000000',
    '-1',
    '0',
    '-0',
    '1e12',
  ],
  ...['253402300799000', '"2025-01-01T00:00:00Z"', '"no"', 'null', 'true', '1700000000001', '999999999999.5'],
);
const valueText = fc.oneof(
  { weight: 8, arbitrary: numberText },
  {
    weight: 2,
    arbitrary: fc.constantFrom('true', 'false', 'null', '"on"', '"a\\"1,2"', '"é"', '"12"', '[]', '{}', '[1]'),
  },
);
const keyText = fc.constantFrom(
  '"a"',
  '"b"',
  '"c 1"',
  '"1"',
  '"2"',
  '"x\\"7"',
  '"__proto__"',
  '"values"',
  '"é"',
  '"a.b"',
);
const objectText = fc
  .record({
    ts: fc.option(tsText),
    first: fc.boolean(),
    values: fc.boolean(),
    nested: fc.option(fc.tuple(keyText, valueText)),
    members: fc.array(fc.tuple(keyText, valueText), { maxLength: 4 }),
    space: fc.constantFrom('', ' ', '\n\t'),
  })
  .map(({ ts, first, values, nested, members, space }) => {
    const parts = members.map(([k, v]) => `${k}${space}:${space}${v}`);
    if (nested) parts.push(`"n":{${nested[0]}:${nested[1]}}`);
    const body = values ? [`"values":{${parts.join(',')}}`] : parts;
    if (ts !== null) first ? body.unshift(`"ts":${ts}`) : body.push(`"ts":${space}${ts}`);
    return `{${body.join(`,${space}`)}}`;
  });
const messageText = fc.oneof(
  { weight: 3, arbitrary: objectText },
  { weight: 1, arbitrary: fc.array(objectText, { maxLength: 3 }).map((all) => `[${all.join(',')}]`) },
);

describe('the skeleton path', () => {
  it('splits at the numbers outside of strings', () => {
    expect(splitAtNumbers('{"a1":-1.5e3,"s":"x\\"9","b":[0]}')).toEqual(['{"a1":', ',"s":"x\\"9","b":[', ']}']);
  });

  it('gives what the plain decoder gives, also for texts it has learned', () => {
    fc.assert(
      fc.property(
        fc.array(messageText, { minLength: 1, maxLength: 4 }),
        fc.array(fc.tuple(fc.nat(), fc.nat(), numberText), { maxLength: 20 }),
        (texts, edits) => {
          const fast = new SkeletonDecoder(plain);
          const memory = newMemory();
          const check = (text: string) => expect(decode(text, fast, memory), text).toEqual(decode(text));
          for (const text of texts) check(text);
          for (const text of texts) check(text);
          // The same skeletons with other numbers, right and wrong.
          for (const [which, slot, number] of edits) {
            const literals = splitAtNumbers(texts[which % texts.length]);
            const at = literals.length < 2 ? 0 : 1 + (slot % (literals.length - 1));
            check(literals.map((l, i) => (i === 0 ? l : (i === at ? number : '1700000000007') + l)).join(''));
          }
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('gives what the plain decoder gives when bytes are changed at random', () => {
    fc.assert(
      fc.property(
        messageText,
        fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 3 }),
        (text, flips) => {
          const fast = new SkeletonDecoder(plain);
          const memory = newMemory();
          decode(text, fast, memory);
          const bytes = Buffer.from(text);
          for (const [at, byte] of flips) if (bytes.length > 0) bytes[at % bytes.length] = byte;
          expect(decode(bytes, fast, memory)).toEqual(decode(bytes));
          expect(decode(bytes, fast, memory)).toEqual(decode(bytes));
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('reads every number of up to 15 digits exactly as JSON.parse does', () => {
    const fast = new SkeletonDecoder(plain);
    const memory = newMemory();
    decode('{"a":1}', fast, memory);
    const number = fc
      .tuple(fc.boolean(), fc.stringMatching(/^(0|[1-9][0-9]{0,14})$/), fc.stringMatching(/^[0-9]{0,15}$/))
      .map(([minus, whole, fraction]) => `${minus ? '-' : ''}${whole}${fraction === '' ? '' : `.${fraction}`}`);
    fc.assert(
      fc.property(number, (text) => {
        expect((decode(`{"a":${text}}`, fast, memory) as Row[])[0].value).toBe(Number(text));
      }),
      { numRuns: 3000 },
    );
  });

  it('is used: a repeated text does not reach the plain decoder', () => {
    let plainCalls = 0;
    const counted = new JsonDecoder(limits);
    const inner = counted.decode.bind(counted);
    counted.decode = (...args) => {
      plainCalls++;
      return inner(...args);
    };
    const fast = new SkeletonDecoder(counted);
    const memory = newMemory();
    for (let i = 0; i < 100; i++) decode(`{"ts":${1_700_000_000_000 + i},"t":${i / 10},"on":true}`, fast, memory);
    expect(plainCalls).toBe(1);
  });
});
