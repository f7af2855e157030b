import type { Node, Variable } from './cel.ts';
import type { Value } from './expression.ts';
import { FUNCTIONS } from './functions.ts';

/** There is no result: a value that is needed is not there, or not of the right type. */
export type Unknown = undefined;

type Values = readonly (Value | null)[];
type Closure = (values: Values) => Value | Unknown;

/**
 * Arithmetic, comparisons, logic and the simple functions as one JavaScript function for each node, which takes a tenth of the time of
 * walking the tree. What they give is what the library gives (closures.test.ts). Null when something in the tree has no closure.
 */
export function closureOf(node: Node, variables: readonly Variable[]): Closure | null {
  const by = new Map(variables.map((variable) => [variable.name, variable]));
  return compile(node, by);
}

function compile(node: Node, variables: ReadonlyMap<string, Variable>): Closure | null {
  const of = (inner: Node): Closure | null => compile(inner, variables);
  switch (node.op) {
    case 'value': {
      const value = node.args;
      if (typeof value !== 'number' && typeof value !== 'string' && typeof value !== 'boolean') return null;
      return () => value;
    }
    case 'id': {
      const variable = variables.get(node.args);
      if (variable === undefined) return null;
      const at = variable.reference;
      return variable.presence ? (values) => values[at] !== null : (values) => values[at] ?? undefined;
    }
    case '!_':
      return unary(of(node.args), (a) => (typeof a === 'boolean' ? !a : undefined));
    case '-_':
      return unary(of(node.args), (a) => (typeof a === 'number' ? -a : undefined));
    case '+':
    case '-':
    case '*':
    case '/':
    case '%':
    case '<':
    case '<=':
    case '>':
    case '>=':
    case '==':
    case '!=':
      return binary(node.op, of(node.args[0]), of(node.args[1]));
    case '&&':
    case '||':
      return logical(node.op === '||', of(node.args[0]), of(node.args[1]));
    case '?:':
      return ternary(of(node.args[0]), of(node.args[1]), of(node.args[2]));
    case 'in':
      return node.args[1].op === 'list' ? membership(of(node.args[0]), node.args[1].args.map(of)) : null;
    case 'call': {
      const [name, args] = node.args;
      return numericCall(name, args.map(of), args);
    }
    case 'rcall': {
      const [name, receiver, args] = node.args;
      return args.length === 1 ? textCall(name, of(receiver), of(args[0])) : null;
    }
    default:
      return null;
  }
}

function unary(operand: Closure | null, apply: (a: Value | Unknown) => Value | Unknown): Closure | null {
  return operand === null ? null : (values) => apply(operand(values));
}

type BinaryOp = '+' | '-' | '*' | '/' | '%' | '<' | '<=' | '>' | '>=' | '==' | '!=';

function binary(op: BinaryOp, left: Closure | null, right: Closure | null): Closure | null {
  if (left === null || right === null) return null;
  switch (op) {
    case '+':
      return (values) => {
        const a = left(values);
        const b = right(values);
        if (typeof a === 'number' && typeof b === 'number') return a + b;
        return typeof a === 'string' && typeof b === 'string' ? a + b : undefined;
      };
    case '-':
      return (values) => {
        const a = left(values);
        const b = right(values);
        return typeof a === 'number' && typeof b === 'number' ? a - b : undefined;
      };
    case '*':
      return (values) => {
        const a = left(values);
        const b = right(values);
        return typeof a === 'number' && typeof b === 'number' ? a * b : undefined;
      };
    case '/':
      return (values) => {
        const a = left(values);
        const b = right(values);
        return typeof a === 'number' && typeof b === 'number' && b !== 0 ? a / b : undefined;
      };
    case '%':
      return (values) => {
        const a = left(values);
        const b = right(values);
        return typeof a === 'number' && typeof b === 'number' && b !== 0 ? a % b : undefined;
      };
    default:
      return comparison(op, left, right);
  }
}

/** Values of two types are not equal, and have no order. */
function comparison(op: BinaryOp, left: Closure, right: Closure): Closure {
  const compare = COMPARISONS[op as '<'];
  const isOrder = op !== '==' && op !== '!=';
  return (values) => {
    const a = left(values);
    const b = right(values);
    if (a === undefined || b === undefined || (isOrder && typeof a !== typeof b)) return undefined;
    return compare(a, b);
  };
}

const COMPARISONS: Record<'<' | '<=' | '>' | '>=' | '==' | '!=', (a: Value, b: Value) => boolean> = {
  '<': (a, b) => a < b,
  '<=': (a, b) => a <= b,
  '>': (a, b) => a > b,
  '>=': (a, b) => a >= b,
  '==': (a, b) => a === b,
  '!=': (a, b) => a !== b,
};

/** One side may decide alone, also when the other is unknown. */
function logical(deciding: boolean, left: Closure | null, right: Closure | null): Closure | null {
  if (left === null || right === null) return null;
  return (values) => {
    const a = left(values);
    if (a === deciding) return deciding;
    const b = right(values);
    if (b === deciding) return deciding;
    return a === !deciding && b === !deciding ? !deciding : undefined;
  };
}

function ternary(condition: Closure | null, yes: Closure | null, no: Closure | null): Closure | null {
  if (condition === null || yes === null || no === null) return null;
  return (values) => {
    const decided = condition(values);
    if (decided === true) return yes(values);
    return decided === false ? no(values) : undefined;
  };
}

function membership(needle: Closure | null, list: readonly (Closure | null)[]): Closure | null {
  if (needle === null || list.some((element) => element === null)) return null;
  const elements = list as readonly Closure[];
  return (values) => {
    const wanted = needle(values);
    let found = false;
    for (const element of elements) {
      const value = element(values);
      if (value === undefined) return undefined;
      if (value === wanted) found = true;
    }
    return wanted === undefined ? undefined : found;
  };
}

function numericCall(name: string, args: readonly (Closure | null)[], nodes: readonly Node[]): Closure | null {
  const known = FUNCTIONS.get(name);
  if (known === undefined || known.arity !== args.length) return null;
  // A whole number as an argument has been left an integer (cel.ts).
  const given = args.map((arg, i) => {
    const node = nodes[i];
    if (node.op !== 'value' || typeof node.args !== 'bigint') return arg;
    const value = Number(node.args);
    return () => value;
  });
  const [first, second, third] = given;
  if (given.some((arg) => arg === null)) return null;
  const { plain } = known;
  const number = (arg: Closure | null, values: Values): number | Unknown => {
    const value = (arg as Closure)(values);
    return typeof value === 'number' ? value : undefined;
  };
  return (values) => {
    const a = number(first, values);
    if (a === undefined) return undefined;
    if (known.arity === 1) return plain(a);
    const b = number(second, values);
    if (b === undefined) return undefined;
    if (known.arity === 2) return plain(a, b);
    const c = number(third, values);
    return c === undefined ? undefined : plain(a, b, c);
  };
}

const TEXT_CALLS = new Map<string, (text: string, other: string) => boolean>([
  ['startsWith', (text, other) => text.startsWith(other)],
  ['endsWith', (text, other) => text.endsWith(other)],
  ['contains', (text, other) => text.includes(other)],
]);

function textCall(name: string, receiver: Closure | null, argument: Closure | null): Closure | null {
  const call = TEXT_CALLS.get(name);
  if (call === undefined || receiver === null || argument === null) return null;
  return (values) => {
    const text = receiver(values);
    const other = argument(values);
    return typeof text === 'string' && typeof other === 'string' ? call(text, other) : undefined;
  };
}
