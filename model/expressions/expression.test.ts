import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  compileBothWays,
  compileExpression,
  type ExpressionPlace,
  expressionFault,
  type ReferenceKind,
  type Value,
} from './expression.ts';

const EVERYTHING: readonly ReferenceKind[] = [
  'value',
  'metric',
  'ts',
  'received',
  'device',
  'tag',
  'newest',
  'rollup',
  'alarm',
];
const anywhere: ExpressionPlace = { allows: EVERYTHING, gives: 'any' };

/** Evaluates with values by the text that names them, in order of first appearance. */
function evaluate(text: string, ...values: (Value | null)[]): Value | null {
  return compileExpression(text, anywhere).evaluate(values);
}

describe('an expression', () => {
  it('reckons with doubles, also where numbers are written without a point', () => {
    expect(evaluate('(metrics.f - 32) * 5 / 9', 212)).toBe(100);
    expect(evaluate('5 / 9 * (m.f - 32)', 212)).toBeCloseTo(100, 9);
    expect(evaluate('m.a % 3', 7)).toBe(1);
    expect(evaluate('-m.a + 1', 7)).toBe(-6);
    expect(evaluate('max(m.a, 5) + pow(2, 3) + clamp(m.a, 0, 1)', 3)).toBe(14);
    expect(evaluate('device.id.size() * 2 > 5 && size(device.id) == 3', 'abc')).toBe(true);
  });

  it('names readings, metrics, devices, rollups and alarms', () => {
    const { references } = compileExpression(
      'value > 1 && metric == "a" && ts > received && device.site == "x" && device.tags["line"] == device.tags.line' +
        ' && metrics.motor.temp > metrics["motor.temp"] && rollup["1m"].motor.temp.avg > 0 && alarm["hot"].active',
      anywhere,
    );
    expect(references).toEqual([
      { kind: 'value' },
      { kind: 'metric' },
      { kind: 'ts' },
      { kind: 'received' },
      { kind: 'device', field: 'site' },
      { kind: 'tag', tag: 'line' },
      { kind: 'newest', metric: 'motor.temp' },
      { kind: 'rollup', window: '1m', metric: 'motor.temp', field: 'avg' },
      { kind: 'alarm', rule: 'hot', field: 'active' },
    ]);
  });

  it('takes a time that stands behind many other names', () => {
    const many = Array.from({ length: 40 }, (_, i) => `m.a${i}`).join(' + ');
    const { references } = compileExpression(`${many} + ts`, anywhere);
    expect(references).toHaveLength(41);
    expect(evaluate(`${many} + ts`, ...Array.from({ length: 40 }, () => 1), 2)).toBe(42);
  });

  it('is unknown where a value is missing, of another type, or divided by zero', () => {
    expect(evaluate('m.a + 1', null)).toBe(null);
    expect(evaluate('m.a + 1', 'text')).toBe(null);
    expect(evaluate('m.a < "running"', 1)).toBe(null);
    expect(evaluate('m.a == "running"', 1)).toBe(false);
    expect(evaluate('m.a == "running"', null)).toBe(null);
    expect(evaluate('m.a / m.b > 5', 1, 0)).toBe(null);
    expect(evaluate('1.0 / m.a', 0)).toBe(null);
    expect(evaluate('sqrt(m.a)', -1)).toBe(null);
    expect(evaluate('[m.a].exists(x, 1.0 / x > 5.0)', 0)).toBe(null);
  });

  it('decides where one side is enough', () => {
    expect(evaluate('m.a > 1 || m.b > 1', null, 2)).toBe(true);
    expect(evaluate('m.a > 1 && m.b > 1', null, 0)).toBe(false);
    expect(evaluate('m.a > 1 && m.b > 1', null, 2)).toBe(null);
    expect(evaluate('has(m.a) && m.a > 1', null)).toBe(false);
    expect(evaluate('has(m.a) ? m.a : 7.0', null)).toBe(7);
    expect(evaluate('has(device.tags.line) && device.tags.line in ["a", "b"]', 'b')).toBe(true);
  });

  it('leaves to the library what has no closure', () => {
    const lists = compileBothWays('[m.a, m.b, 3.0].exists(x, x > 4) || m.s.matches("^run")', anywhere);
    expect(lists.closure).toBe(null);
    expect(lists.library([1, 2, 'running'])).toBe(true);
    expect(evaluate('m.s.split("-")[1] + "!"', 'a-b')).toBe('b!');
    expect(evaluate('timestamp(int(ts / 1000)).getHours() >= 8', Date.UTC(2026, 0, 1, 9))).toBe(true);
  });
});

describe('a mistake', () => {
  const marked = (text: string, place = anywhere) => {
    const fault = expressionFault(text, place);
    return fault && { ...fault, marked: text.slice(fault.start, fault.end) };
  };

  it('is told with its place in the text', () => {
    expect(expressionFault('m.a > > 2', anywhere)).toMatchObject({ start: 6 });
    expect(marked('m.aaaaaaaaaa > 2 && temperature > 4')).toMatchObject({
      what: 'not an expression: unknown variable: temperature',
      marked: 'temperature',
    });
    expect(marked('m.a > 1 && ts + device.id > 2')).toMatchObject({ marked: 'ts + device.id' });
    expect(marked('m.a > 1 && foo(m.b)')).toMatchObject({ marked: 'foo(m.b)' });
    expect(marked('m.a > 1 && device.colour == "red"')).toMatchObject({ marked: 'device.colour' });
    expect(marked('m > 1')).toMatchObject({ marked: 'm' });
    expect(marked('m[value] > 1')).toMatchObject({ marked: 'm[value]' });
    expect(marked('')).not.toBe(null);
    expect(marked('1 '.repeat(5000))).toMatchObject({ what: 'an expression of 10000 characters' });
  });

  it('is what is not known at its place, and a result of another kind', () => {
    const place: ExpressionPlace = { allows: ['value', 'newest'], gives: 'boolean' };
    expect(marked('value > 1 && alarm["x"].active', place)).toMatchObject({
      what: '`alarm` is not known here',
      remedy: 'known are `value`, `metrics`',
      marked: 'alarm["x"].active',
    });
    expect(marked('1 + 2', place)?.what).toBe('the expression gives a number, where true or false is needed');
    expect(marked('"a"', { allows: [], gives: 'number' })?.what).toBe(
      'the expression gives text, where a number is needed',
    );
    expect(expressionFault('value', place)).toBe(null);
  });

  it('never throws, whatever is written', () => {
    const pieces = [
      'm',
      '.',
      'a',
      '[',
      ']',
      '"x"',
      '(',
      ')',
      ' ',
      '>',
      '&&',
      '1',
      'has',
      'rollup',
      'ts',
      '?',
      ':',
      ',',
    ];
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...pieces), { maxLength: 12 }), (parts) => {
        const text = parts.join('');
        const fault = expressionFault(text, anywhere);
        if (fault !== null) {
          expect(fault.start).toBeLessThanOrEqual(fault.end);
          expect(fault.end).toBeLessThanOrEqual(text.length);
        } else compileExpression(text, anywhere).evaluate([null, null, null, null, null, null]);
      }),
      { numRuns: 500 },
    );
  });
});

describe('closures', () => {
  /** Expressions over m.a, m.b and m.c, of which the first two may be missing or text. */
  const expressions = fc.letrec<{ number: string; truth: string; any: string }>((tie) => ({
    number: fc.oneof(
      { maxDepth: 5 },
      fc.constantFrom('m.a', 'm.b', 'm.c', '1', '2.5', '0', '-3', 'ts'),
      fc
        .tuple(tie('number'), fc.constantFrom('+', '-', '*', '/', '%'), tie('number'))
        .map(([a, op, b]) => `(${a} ${op} ${b})`),
      tie('number').map((a) => `-(${a})`),
      fc.tuple(fc.constantFrom('abs', 'floor', 'sqrt'), tie('number')).map(([f, a]) => `${f}(${a})`),
      fc
        .tuple(fc.constantFrom('min', 'max', 'pow'), tie('number'), tie('number'))
        .map(([f, a, b]) => `${f}(${a}, ${b})`),
      fc.tuple(tie('truth'), tie('number'), tie('number')).map(([c, a, b]) => `(${c} ? ${a} : ${b})`),
    ),
    truth: fc.oneof(
      { maxDepth: 5 },
      fc.constantFrom('true', 'false', 'alarm["x"].active', 'has(m.a)', 'm.a', 'm.s.startsWith("r")'),
      fc
        .tuple(tie('number'), fc.constantFrom('<', '<=', '>', '>=', '==', '!='), tie('number'))
        .map(([a, op, b]) => `(${a} ${op} ${b})`),
      fc.tuple(tie('truth'), fc.constantFrom('&&', '||', '=='), tie('truth')).map(([a, op, b]) => `(${a} ${op} ${b})`),
      tie('truth').map((a) => `!(${a})`),
      fc.constantFrom(
        'm.s == "run"',
        'm.s != m.a',
        'm.a in [1, 2, 3]',
        'm.s in ["run", "stop"]',
        'm.a + "x" == "runx"',
      ),
    ),
    any: fc.oneof(tie('number') as fc.Arbitrary<string>, tie('truth') as fc.Arbitrary<string>),
  }));
  const value = fc.oneof(
    fc.constantFrom<Value | null>(0, 1, 2, -3, 0.5, null, 'run', true),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
  );

  it('give what the library gives', () => {
    let compared = 0;
    fc.assert(
      fc.property(expressions.any, value, value, value, fc.boolean(), (text, a, b, s, active) => {
        if (expressionFault(text, anywhere) !== null) return;
        const { references } = compileExpression(text, anywhere);
        const { closure, library } = compileBothWays(text, anywhere);
        const values = references.map((reference) => {
          if (reference.kind === 'alarm') return active;
          if (reference.kind === 'ts') return 1_700_000_000_000;
          if (reference.kind !== 'newest') return null;
          if (reference.metric === 'c') return 1.5;
          return reference.metric === 's' ? s : reference.metric === 'a' ? a : b;
        });
        expect(closure).not.toBe(null);
        expect(closure?.(values)).toEqual(library(values));
        compared++;
      }),
      { numRuns: 3000 },
    );
    expect(compared).toBeGreaterThan(1000);
  });
});
