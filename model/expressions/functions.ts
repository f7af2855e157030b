/** Functions of numbers that expressions have beside CEL's own. One row each; all take and give doubles. */

type Numeric = (...args: number[]) => number;

const numeric: readonly [string, number, Numeric][] = [
  ['abs', 1, Math.abs],
  ['ceil', 1, Math.ceil],
  ['floor', 1, Math.floor],
  ['round', 1, Math.round],
  ['sqrt', 1, Math.sqrt],
  ['exp', 1, Math.exp],
  ['ln', 1, Math.log],
  ['log10', 1, Math.log10],
  ['sin', 1, Math.sin],
  ['cos', 1, Math.cos],
  ['pow', 2, (base, exponent) => base ** exponent],
  ['min', 2, Math.min],
  ['max', 2, Math.max],
  ['atan2', 2, Math.atan2],
  ['clamp', 3, (value, low, high) => Math.min(Math.max(value, low), high)],
];

export interface ExpressionFunction {
  arity: number;
  /** As CEL declares it. Arguments are judged when they are there, since a whole number may stand beside a double. */
  signature: string;
  /** Throws when an argument is no number. */
  call(...args: unknown[]): number;
  /** The same for arguments that are numbers. */
  plain: Numeric;
}

export const FUNCTIONS: ReadonlyMap<string, ExpressionFunction> = new Map(
  numeric.map(([name, arity, plain]) => [
    name,
    {
      arity,
      signature: `(${Array.from({ length: arity }, () => 'dyn').join(', ')}): double`,
      call: (...args: unknown[]) => plain(...args.map(asNumber)),
      plain,
    },
  ]),
);

function asNumber(value: unknown): number {
  if (typeof value === 'number') return value;
  if (typeof value === 'bigint') return Number(value);
  throw new Error('not a number');
}
