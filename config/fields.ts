import { z } from 'zod';
import { type ExpressionPlace, expressionFault } from '../model/expressions/expression.ts';
import { type Address, parseAddress } from './address.ts';
import { type Dimension, formatQuantity, type Parsed, parseQuantity, quantityPattern } from './quantity.ts';

/**
 * The kinds of settings. Each takes the line of its reference; `x-type` names the kind in the generated JSON Schema, where
 * config/reference.ts finds it again.
 */

/** A value that a parser of ours judges: its answer becomes the problem, word for word. */
export function parsed<T>(parse: (value: unknown) => Parsed<T>) {
  return z.unknown().transform((value, context): T => {
    const result = parse(value);
    if ('value' in result) return result.value;
    context.addIssue({ code: 'custom', message: result.what, params: { remedy: result.remedy } });
    return z.NEVER;
  });
}

interface QuantityBounds {
  min?: number;
  max?: number;
}

function quantity(dimension: Dimension, description: string, bounds: QuantityBounds) {
  const { min = 0, max = Number.MAX_SAFE_INTEGER } = bounds;
  return parsed((value) => {
    const result = parseQuantity(value, dimension);
    if (!('value' in result)) return result;
    return inRange(result.value, min, max, dimension) ?? result;
  }).meta({
    description,
    'x-type': dimension,
    ...(min > 0 ? { 'x-min': min } : {}),
    ...(max < Number.MAX_SAFE_INTEGER ? { 'x-max': max } : {}),
    anyOf: [
      { type: 'integer', minimum: min, ...(max < Number.MAX_SAFE_INTEGER ? { maximum: max } : {}) },
      { type: 'string', pattern: quantityPattern(dimension) },
    ],
  });
}

function inRange(value: number, min: number, max: number, dimension: Dimension): Parsed<number> | null {
  if (value < min) {
    const least = formatQuantity(min, dimension);
    return { what: `${formatQuantity(value, dimension)} is too little`, remedy: `write ${least} or more` };
  }
  if (value > max) {
    const most = formatQuantity(max, dimension);
    return { what: `${formatQuantity(value, dimension)} is too much`, remedy: `write ${most} or less` };
  }
  return null;
}

/** A time in ms: a whole number, or a text such as `30s`. */
export function duration(description: string, bounds: QuantityBounds = {}) {
  return quantity('duration', description, bounds);
}

/** A size in bytes: a whole number, or a text such as `64KiB`. */
export function bytes(description: string, bounds: QuantityBounds = {}) {
  return quantity('bytes', description, bounds);
}

/** HOST:PORT. */
export function address(description: string) {
  return parsed<Address>(parseAddress).meta({ description, 'x-type': 'address', type: 'string' });
}

/** HOST:PORT that is kept as text, for clients that want it so; port 0 is no place to connect to. */
export function remoteAddress(description: string) {
  return parsed<string>((value) => {
    const result = parseAddress(value);
    if (!('value' in result)) return result;
    if (result.value.port === 0)
      return { what: `"${value}" has port 0`, remedy: 'write the port that the server listens on' };
    return { value: value as string };
  }).meta({ description, 'x-type': 'address', type: 'string' });
}

/** Text that a test of ours judges; `test` answers null when it is right. */
export function checkedText(description: string, test: (text: string) => { what: string; remedy: string } | null) {
  return z
    .string()
    .superRefine((value, context) => {
      const wrong = test(value);
      if (wrong !== null) context.addIssue({ code: 'custom', message: wrong.what, params: { remedy: wrong.remedy } });
    })
    .describe(description);
}

/** An expression in CEL (docs/expressions.md). An empty one is right where `optional` says so. */
export function expression(description: string, place: ExpressionPlace, optional = false) {
  return z
    .string()
    .superRefine((value, context) => {
      const fault = optional && value === '' ? null : expressionFault(value, place);
      if (fault === null) return;
      const { what, remedy, start, end } = fault;
      context.addIssue({ code: 'custom', message: what, params: { remedy, within: { start, end } } });
    })
    .describe(description);
}

/** A path of a file or folder; a relative one counts from the folder of the settings file. */
export function path(description: string) {
  return checkedText(description, (text) => {
    if (text.trim() === '') return { what: 'an empty path', remedy: 'write the path of a file or folder' };
    if (text.startsWith('~/')) return { what: '"~" is not expanded here', remedy: 'write the path in full' };
    if (text.includes('\0')) return { what: 'a path with a NUL character', remedy: 'remove it' };
    return null;
  }).meta({ description, 'x-type': 'path' });
}

/** A whole number. */
export function integer(description: string, min: number, max: number) {
  return z.int().min(min).max(max).describe(description);
}

/** A level where an alarm is raised or cleared. */
export function level(description: string) {
  return z.number().describe(description);
}

export function flag(description: string) {
  return z.boolean().describe(description);
}

export function choice<const T extends readonly [string, ...string[]]>(description: string, values: T) {
  return z.enum(values).describe(description);
}

/** A mapping of settings. A mapping whose lines are all commented out reads as null, which means the same as leaving it away. */
export function section<Shape extends z.ZodRawShape>(description: string, shape: Shape) {
  return z.preprocess((value) => value ?? {}, z.strictObject(shape)).meta({ description, 'x-type': 'section' });
}

/**
 * One of several sections, told apart by `kind`. A mapping without one is of `kindDefault`, as is an empty one.
 */
export function kinds<const Sections extends readonly [z.ZodObject, ...z.ZodObject[]]>(
  description: string,
  kindDefault: string,
  sections: Sections,
) {
  const withKind = (value: unknown): unknown => {
    const given = value ?? {};
    const lacksKind = typeof given === 'object' && !Array.isArray(given) && !Object.hasOwn(given, 'kind');
    return lacksKind ? { ...given, kind: kindDefault } : given;
  };
  return z.preprocess(withKind, z.discriminatedUnion('kind', sections)).meta({ description, 'x-type': 'section' });
}

/** A mapping of names that the user chooses, kept as pairs in the order of the names. */
export function pairs<Of extends 'text' | 'number'>(description: string, of: Of) {
  type Value = Of extends 'text' ? string : number;
  return z
    .unknown()
    .transform((given, context): [string, Value][] => {
      const value = given ?? {};
      if (typeof value !== 'object' || Array.isArray(value)) {
        context.addIssue({
          code: 'custom',
          message: 'not a mapping',
          params: { remedy: 'write NAME: VALUE below it' },
        });
        return z.NEVER;
      }
      const wanted = of === 'text' ? 'string' : 'number';
      const found = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
      for (const [name, item] of found) {
        if (typeof item === wanted) continue;
        const remedy = of === 'text' ? 'put it in quotes' : 'write a number, as 35 or 7.1';
        context.addIssue({ code: 'custom', path: [name], message: `this is not a ${of}`, params: { remedy } });
      }
      return found as [string, Value][];
    })
    .meta({
      description,
      'x-type': `mapping of ${of}s`,
      type: 'object',
      additionalProperties: { type: of === 'text' ? 'string' : 'number' },
    });
}

/** A list; an empty value means an empty list. */
export function list<Item extends z.ZodType>(description: string, item: Item) {
  return z.preprocess((value) => value ?? [], z.array(item)).meta({ description, 'x-type': 'list' });
}
