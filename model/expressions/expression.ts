import { type Checked, check, type Fault, integersAsDoubles, parse, type ResultType } from './cel.ts';
import { closureOf, type Unknown } from './closures.ts';
import { findReferences } from './references.ts';

/** What an expression reads and gives. Numbers are doubles; times are milliseconds since the epoch. */
export type Value = number | string | boolean;

/** Something outside of the expression that it names; docs/expressions.md has what each is written as. */
export type Reference =
  /** The reading that is looked at: its value, the name of its metric, its time, and when it was received. */
  | { kind: 'value' }
  | { kind: 'metric' }
  | { kind: 'ts' }
  | { kind: 'received' }
  | { kind: 'device'; field: 'id' | 'site' | 'model' }
  | { kind: 'tag'; tag: string }
  /** The newest value of a metric of the device. */
  | { kind: 'newest'; metric: string }
  /** The last result of a window: `field` is one of a rollup's, as avg, or the name of a further aggregate. */
  | { kind: 'rollup'; window: string; metric: string; field: string }
  /** Whether an alarm of the device is active. */
  | { kind: 'alarm'; rule: string; field: 'active' };

export type ReferenceKind = Reference['kind'];

/** A mistake in an expression; `start` and `end` count UTF-16 units of its text. */
export interface ExpressionFault {
  start: number;
  end: number;
  what: string;
  remedy: string;
}

/** Where an expression stands: what may be named there, and what it has to give. */
export interface ExpressionPlace {
  allows: readonly ReferenceKind[];
  gives: ResultType;
}

/** A compiled expression. It has no state; one may be evaluated for many devices. */
export interface Expression {
  readonly text: string;
  /** What it names, each once. It need only be evaluated again when one of these has changed. */
  readonly references: readonly Reference[];
  /**
   * `values[i]` is that of `references[i]`, null when there is none. Returns null for *unknown*: a value that was needed is not
   * there or is of the wrong type, a division by zero, or a number that is not finite. Never throws.
   */
  evaluate(values: readonly (Value | null)[]): Value | null;
}

/** What the registry has for `device.…` and `device.tags["…"]`; null for what it does not say. */
export function deviceValue(
  reference: Reference,
  id: string,
  entry: { site: string; model: string; tags: ReadonlyMap<string, string> } | null,
): Value | null {
  if (reference.kind === 'tag') return entry?.tags.get(reference.tag) ?? null;
  if (reference.kind !== 'device') return null;
  if (reference.field === 'id') return id;
  return entry?.[reference.field] || null;
}

/** Longer expressions are refused. */
export const EXPRESSION_CHARS_MAX = 4096;

/** What is wrong with an expression at this place; null when it may be compiled. */
export function expressionFault(text: string, place: ExpressionPlace): ExpressionFault | null {
  const compiled = tryCompile(text, place);
  return 'fault' in compiled ? compiled.fault : null;
}

/** Compiles an expression which has been found right by `expressionFault`; throws an Error for any other. */
export function compileExpression(text: string, place: ExpressionPlace): Expression {
  const compiled = tryCompile(text, place);
  if ('fault' in compiled) throw new Error(`${compiled.fault.what}: ${text}`);
  return compiled.expression;
}

/** Both ways of evaluating one, for the tests that hold them to each other. */
export interface BothWays {
  closure: ((values: readonly (Value | null)[]) => Value | Unknown) | null;
  library: (values: readonly (Value | null)[]) => Value | Unknown;
}

export function compileBothWays(text: string, place: ExpressionPlace): BothWays {
  const compiled = tryCompile(text, place);
  if ('fault' in compiled) throw new Error(`${compiled.fault.what}: ${text}`);
  return compiled.ways;
}

function tryCompile(
  text: string,
  place: ExpressionPlace,
): { expression: Expression; ways: BothWays } | { fault: Fault } {
  if (text.length > EXPRESSION_CHARS_MAX) {
    const what = `an expression of ${text.length} characters`;
    return { fault: { start: 0, end: 0, what, remedy: `write at most ${EXPRESSION_CHARS_MAX}` } };
  }
  const written = parse(text);
  if ('fault' in written) return written;
  const found = findReferences(text, written.ast, place.allows);
  if ('fault' in found) return found;
  const parsed = parse(found.text);
  if ('fault' in parsed) return parsed;
  integersAsDoubles(parsed.ast);
  const checked = check(parsed, found.variables, place.gives);
  if ('fault' in checked) {
    // The variables are shorter than what they stand for.
    const { fault } = checked;
    const last = found.spans.find(({ start, end }) => start < fault.end && fault.end < end);
    return { fault: { ...fault, end: last?.end ?? fault.end } };
  }
  const { references } = found;
  const closure = closureOf(parsed.ast, found.variables);
  const library = libraryWay(checked, found.variables);
  const way = closure ?? library;
  const expression: Expression = {
    text,
    references,
    evaluate(values) {
      const result = way(values);
      if (result === undefined) return null;
      if (typeof result === 'number' && !Number.isFinite(result)) return null;
      return result;
    },
  };
  return { expression, ways: { closure, library } };
}

/** Evaluation by the library, for all that has no closure: list macros, conversions, time stamps. */
function libraryWay(
  checked: Checked,
  variables: readonly { name: string; reference: number; presence: boolean }[],
): BothWays['library'] {
  return (values) => {
    const context = new Map<string, Value>();
    for (const { name, reference, presence } of variables) {
      const value = values[reference];
      if (presence) context.set(name, value !== null);
      else if (value !== null) context.set(name, value);
    }
    return checked.evaluate(context);
  };
}
