import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { collide, formatAddress, isLoopback, parseAddress } from './address.ts';
import { formatPath, renderProblem } from './problem.ts';
import { type Dimension, formatQuantity, parseQuantity, quantityPattern } from './quantity.ts';
import { editDistance, nearest } from './suggest.ts';

const dimension = fc.constantFrom<Dimension>('duration', 'bytes');

describe('quantities', () => {
  it('are worth what their unit says', () => {
    const worth: [string, Dimension, number][] = [
      ['250ms', 'duration', 250],
      ['30s', 'duration', 30_000],
      [' 5 m ', 'duration', 300_000],
      ['1.5h', 'duration', 5_400_000],
      ['7d', 'duration', 604_800_000],
      ['0.1s', 'duration', 100],
      ['1.001s', 'duration', 1001],
      ['64KiB', 'bytes', 65_536],
      ['10GB', 'bytes', 10_000_000_000],
      ['1.5MiB', 'bytes', 1_572_864],
      ['1kB', 'bytes', 1000],
      ['12B', 'bytes', 12],
    ];
    for (const [text, of, value] of worth) expect(parseQuantity(text, of), text).toEqual({ value });
  });

  it('come back from the text that is printed for them, which the editor takes as well', () => {
    fc.assert(
      fc.property(
        dimension,
        fc.oneof(
          fc.nat(),
          fc.maxSafeNat(),
          fc.nat(5000).map((n) => n * 1024),
        ),
        (of, value) => {
          const text = formatQuantity(value, of);
          expect(parseQuantity(text, of)).toEqual({ value });
          expect(text).toMatch(new RegExp(quantityPattern(of)));
          expect(text.length).toBeLessThanOrEqual(`${value}ms`.length + 1);
        },
      ),
    );
  });

  it('agree with exact arithmetic for every number of decimals', () => {
    const factors = { ms: 1n, s: 1000n, m: 60_000n, h: 3_600_000n, d: 86_400_000n };
    fc.assert(
      fc.property(fc.nat(99_999), fc.nat(999), fc.constantFrom(...Object.keys(factors)), (whole, thousandths, unit) => {
        const exact = (BigInt(whole) * 1000n + BigInt(thousandths)) * factors[unit as keyof typeof factors];
        const parsed = parseQuantity(`${whole}.${String(thousandths).padStart(3, '0')}${unit}`, 'duration');
        if (exact % 1000n === 0n) expect(parsed).toEqual({ value: Number(exact / 1000n) });
        else expect(parsed).toHaveProperty('what');
      }),
    );
  });

  it('of anything else are a problem with a remedy', () => {
    fc.assert(
      fc.property(dimension, fc.anything(), (of, value) => {
        const parsed = parseQuantity(value, of);
        if ('value' in parsed) expect(Number.isSafeInteger(parsed.value) && parsed.value >= 0).toBe(true);
        else expect(parsed.what.length * parsed.remedy.length).toBeGreaterThan(0);
      }),
    );
  });
});

describe('addresses', () => {
  it('come back from the text that is printed for them', () => {
    const host = fc.oneof(fc.ipV4(), fc.ipV6(), fc.constantFrom('localhost', 'kafka-1.example'));
    fc.assert(
      fc.property(host, fc.nat(65_535), (h, port) => {
        expect(parseAddress(formatAddress({ host: h, port }))).toEqual({ value: { host: h, port } });
      }),
    );
  });

  it('are refused when they are none', () => {
    for (const bad of [
      '',
      ':',
      'a:',
      ':1',
      'a:b',
      '::1',
      '[::1]',
      '1.2.3:4',
      '1.2.3.256:4',
      'a b:1',
      'a:65536',
      '[a]:1',
      5,
      null,
      {},
      [],
    ]) {
      expect(parseAddress(bad), String(bad)).toHaveProperty('remedy');
    }
  });

  it('know this machine, and each other', () => {
    expect(['127.0.0.1', '127.1.2.3', '::1', 'localhost'].every(isLoopback)).toBe(true);
    expect(['0.0.0.0', '::', '10.0.0.1', '127.evil.example'].some(isLoopback)).toBe(false);
    const at = (host: string, port: number) => ({ host, port });
    expect(collide(at('127.0.0.1', 1), at('localhost', 1))).toBe(true);
    expect(collide(at('0.0.0.0', 1), at('10.0.0.1', 1))).toBe(true);
    expect(collide(at('10.0.0.2', 1), at('10.0.0.1', 1))).toBe(false);
    expect(collide(at('0.0.0.0', 1), at('0.0.0.0', 2))).toBe(false);
    expect(collide(at('0.0.0.0', 0), at('0.0.0.0', 0))).toBe(false);
  });
});

describe('suggestions', () => {
  /** The definition, without a table. */
  function slowly(a: string, b: string): number {
    if (a === '' || b === '') return a.length + b.length;
    const costs = [
      slowly(a.slice(1), b) + 1,
      slowly(a, b.slice(1)) + 1,
      slowly(a.slice(1), b.slice(1)) + (a[0] === b[0] ? 0 : 1),
    ];
    if (a.length > 1 && b.length > 1 && a[0] === b[1] && a[1] === b[0]) costs.push(slowly(a.slice(2), b.slice(2)) + 1);
    return Math.min(...costs);
  }

  it('measure by edits', () => {
    const word = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 6 });
    fc.assert(fc.property(word, word, (a, b) => editDistance(a, b) === slowly(a, b)));
  });

  it('find a neighbour, and none where there is none', () => {
    const names = ['lingerMs', 'frameBytesMax', 'partitions'];
    expect(nearest('lignerMs', names)).toBe('lingerMs');
    expect(nearest('linger_ms', names)).toBe('lingerMs');
    expect(nearest('lingerSeconds', names)).toBe('lingerMs');
    expect(nearest('frameKb', names)).toBe('frameBytesMax');
    expect(nearest('broker', names)).toBeNull();
  });
});

describe('a printed problem', () => {
  it('names paths as one would write them', () => {
    expect(formatPath(['alarms', 2, 'clear'])).toBe('alarms[2].clear');
    expect(formatPath(['a b', 'c'])).toBe('["a b"].c');
  });

  it('cuts a long line around the value', () => {
    const sourceLine = `${'x'.repeat(300)}VALUE${'y'.repeat(300)}`;
    const lines = renderProblem({
      file: 'f',
      line: 7,
      column: 301,
      width: 5,
      path: 'p',
      what: 'w',
      remedy: 'r',
      sourceLine,
    }).split('\n');
    const at = lines[2].indexOf('^');
    expect(lines[1].slice(at, at + 5)).toBe('VALUE');
    expect(lines[2].slice(at)).toBe('^~~~~');
    expect(lines[1].length).toBeLessThan(140);
  });
});
