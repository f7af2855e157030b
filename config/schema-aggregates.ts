import type { AggregateSpec } from '../model/window.ts';
import { list, parsed } from './fields.ts';
import { clip, type Parsed } from './quantity.ts';
import { nearest } from './suggest.ts';

/** What a window computes beyond what every window has: names, and histograms with their bounds. */

const NAMES = ['stddev', 'delta', 'rate', 'time_avg', 'distinct'] as const;

/** Each is a key of every rollup, and a double in every open window. */
const BOUNDS_MAX = 64;

const PERCENT = /^p(\d{1,3}(?:\.\d{1,6})?)$/;
const KNOWN = `${NAMES.join(', ')}, p50 (any percentile from p0 to p100) or {histogram: [1, 5, 10]}`;

function parseAggregate(value: unknown): Parsed<AggregateSpec> {
  if (typeof value === 'string') return parseName(value);
  if (value !== null && typeof value === 'object' && !Array.isArray(value)) {
    const keys = Object.keys(value);
    if (keys.length === 1 && keys[0] === 'histogram') return parseBounds((value as { histogram: unknown }).histogram);
  }
  return { what: 'is not an aggregate', remedy: `write ${KNOWN}` };
}

function parseName(text: string): Parsed<AggregateSpec> {
  for (const kind of NAMES) if (text === kind) return { value: { kind } };
  const percent = PERCENT.exec(text);
  if (percent !== null) {
    if (Number(percent[1]) > 100) return { what: `"${text}" is above 100 percent`, remedy: 'write p0 to p100' };
    return { value: { kind: 'percentile', percent: Number(percent[1]) } };
  }
  if (text === 'histogram') {
    return { what: 'a histogram without bounds', remedy: 'write its bounds, as {histogram: [1, 5, 10]}' };
  }
  const near = nearest(text, NAMES);
  return {
    what: `"${clip(text)}" is not an aggregate`,
    remedy: near === null ? `write ${KNOWN}` : `did you mean \`${near}\`?`,
  };
}

function parseBounds(bounds: unknown): Parsed<AggregateSpec> {
  const isNumber = (bound: unknown): bound is number => typeof bound === 'number' && Number.isFinite(bound);
  if (!Array.isArray(bounds) || bounds.length === 0 || !bounds.every(isNumber)) {
    return { what: 'the bounds of a histogram are not numbers', remedy: 'write a list of numbers, as [1, 5, 10]' };
  }
  if (bounds.length > BOUNDS_MAX) {
    return { what: `a histogram with ${bounds.length} bounds`, remedy: `write ${BOUNDS_MAX} or fewer` };
  }
  for (let i = 1; i < bounds.length; i++) {
    if (bounds[i] > bounds[i - 1]) continue;
    return {
      what: `the bound ${bounds[i]} does not lie above ${bounds[i - 1]}, which stands before it`,
      remedy: 'write the bounds in ascending order, each once',
    };
  }
  return { value: { kind: 'histogram', bounds } };
}

const aggregate = parsed<AggregateSpec>(parseAggregate).meta({
  description: `One of ${KNOWN}.`,
  anyOf: [
    { enum: [...NAMES] },
    { type: 'string', pattern: PERCENT.source },
    {
      type: 'object',
      properties: {
        histogram: {
          description: 'Upper bounds of its buckets, ascending.',
          type: 'array',
          items: { type: 'number' },
          minItems: 1,
          maxItems: BOUNDS_MAX,
        },
      },
      required: ['histogram'],
      additionalProperties: false,
    },
  ],
});

/** Two of one name would write one key of the rollup. */
const nameOf = (spec: AggregateSpec): string => (spec.kind === 'percentile' ? `p${spec.percent}` : spec.kind);

export const aggregates = list(
  'What is computed beyond count, sum, min, max, avg, first and last: `stddev`, `delta`, `rate`, `time_avg`, `distinct`, percentiles such as `p50` or `p99.9`, and `{histogram: [1, 5, 10]}`. They stand in the column `extra` of the rollups. Each takes time and memory (docs/aggregates.md).',
  aggregate,
)
  .superRefine((specs: AggregateSpec[], context) => {
    const seen = new Set<string>();
    for (const [i, spec] of specs.entries()) {
      const name = nameOf(spec);
      if (seen.has(name)) {
        context.addIssue({
          code: 'custom',
          path: [i],
          message: `${name} is given twice`,
          params: { remedy: 'remove one of them' },
        });
      }
      seen.add(name);
    }
  })
  .prefault([]);
