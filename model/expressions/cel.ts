import { type ASTNode, Environment } from '@marcbachmann/cel-js';
import { FUNCTIONS } from './functions.ts';

/**
 * The Common Expression Language (cel.dev) by its library: parser, type checker and evaluator. All that is known of the library is
 * in this file; it is pure computation, which is why it may be here at all.
 *
 * Two things differ from the language's definition, so that people who write `(metrics.f - 32) * 5 / 9` get what they mean: numbers
 * are doubles, whether or not they are written with a point, and a division by zero has no result.
 */

/** A node of the syntax tree, as the library gives it. */
export type Node = ASTNode;

export interface Fault {
  start: number;
  end: number;
  what: string;
  remedy: string;
}

export type ResultType = 'boolean' | 'number' | 'any';

/** A name that stands for a reference in the text that is checked and evaluated. */
export interface Variable {
  name: string;
  /** CEL's type; `dyn` where only the value can tell, as for metrics, which may be numbers or text. */
  type: 'dyn' | 'double' | 'string' | 'bool';
  /** Index into the references. */
  reference: number;
  /** Whether it says only that there is a value, as has() does. */
  presence: boolean;
}

export interface Parsed {
  text: string;
  ast: Node;
}

export interface Checked {
  /** By the names of variables; one that is left out is not known. Undefined when there is no result. */
  evaluate(context: Map<string, number | string | boolean>): number | string | boolean | undefined;
}

/** An expression nested deeper, or with more parts, is refused. */
const LIMITS = { maxAstNodes: 1000, maxDepth: 64, maxListElements: 1000, maxMapEntries: 100, maxCallArguments: 32 };

const BASE = base();

function base(): Environment {
  const environment = new Environment({ limits: LIMITS, homogeneousAggregateLiterals: false });
  const both = [
    ['double', 'int'],
    ['int', 'double'],
  ] as const;
  // Sizes and parts of time stamps are integers; they may be reckoned with beside doubles.
  for (const [left, right] of both) {
    const sign = `${left} {} ${right}`;
    environment.registerOperator(`${sign.replace('{}', '+')}: double`, (a, b) => Number(a) + Number(b));
    environment.registerOperator(`${sign.replace('{}', '-')}: double`, (a, b) => Number(a) - Number(b));
    environment.registerOperator(`${sign.replace('{}', '*')}: double`, (a, b) => Number(a) * Number(b));
    environment.registerOperator(`${sign.replace('{}', '/')}: double`, (a, b) => Number(a) / Number(b));
    environment.registerOperator(`${sign.replace('{}', '%')}: double`, (a, b) => Number(a) % Number(b));
  }
  environment.registerOperator('double % double: double', (a, b) => a % b);
  for (const [name, { signature, call }] of FUNCTIONS) environment.registerFunction(`${name}${signature}`, call);
  return environment;
}

/** Reads the text; says where it ceases to be an expression. */
export function parse(text: string): Parsed | { fault: Fault } {
  try {
    return { text, ast: BASE.parse(text).ast };
  } catch (error) {
    return { fault: faultOf(error, 'see docs/expressions.md for what may be written') };
  }
}

/** Every node, outer ones first; `into` false for a node leaves out what is inside it. */
export function walk(node: Node, visit: (node: Node) => boolean): void {
  if (!visit(node)) return;
  for (const inner of innerNodes(node.args)) walk(inner, visit);
}

function* innerNodes(args: unknown): Generator<Node> {
  if (Array.isArray(args)) for (const arg of args) yield* innerNodes(arg);
  else if (isNode(args)) yield args;
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'op' in value && 'args' in value;
}

/**
 * Makes literals of whole numbers doubles, except where an integer is asked for: an index, arguments of functions, and what is
 * compared with the integer that a function gives, as a size or an hour.
 */
export function integersAsDoubles(root: Node): void {
  const kept = new Set<Node>();
  walk(root, (node) => {
    for (const literal of integersAskedFor(node)) kept.add(literal);
    if (node.op === 'value' && typeof node.args === 'bigint' && !kept.has(node)) {
      (node as { args: unknown }).args = Number(node.args);
    }
    return true;
  });
}

function integersAskedFor(node: Node): readonly Node[] {
  switch (node.op) {
    case '[]':
      return [node.args[1]];
    case 'call':
      return node.args[1];
    case 'rcall':
      return node.args[2];
    case '==':
    case '!=':
      return givesInteger(node.args[0]) || givesInteger(node.args[1]) ? node.args : [];
    default:
      return [];
  }
}

function givesInteger(node: Node): boolean {
  return node.op === 'rcall' || (node.op === 'call' && node.args[0] !== 'double' && !FUNCTIONS.has(node.args[0]));
}

/** Checks the types and that every name is known. */
export function check(
  { text, ast }: Parsed,
  variables: readonly Variable[],
  gives: ResultType,
): Checked | { fault: Fault } {
  const environment = BASE.clone({});
  for (const { name, type } of variables) environment.registerVariable(name, type);
  // The tree is parsed anew by the environment that knows the variables, and made the same as the one given.
  let program: ReturnType<Environment['parse']>;
  try {
    program = environment.parse(text);
  } catch (error) {
    return { fault: faultOf(error, '') };
  }
  integersAsDoubles(program.ast);
  const { valid, type, error } = program.check();
  if (!valid) return { fault: faultOf(error, 'see docs/expressions.md for names and functions') };
  if (!fits(type ?? 'dyn', gives)) {
    const expected = gives === 'boolean' ? 'true or false' : gives === 'number' ? 'a number' : 'a single value';
    const what = `the expression gives ${TYPE_NAMES[type ?? ''] ?? `a ${type}`}, where ${expected} is needed`;
    return { fault: { start: ast.start, end: ast.end, what, remedy: 'compare or convert the result' } };
  }
  refuseZeroDivisors(program.ast);
  return {
    evaluate(context) {
      try {
        return plain(program(context));
      } catch {
        return undefined;
      }
    },
  };
}

const TYPE_NAMES: Record<string, string> = {
  bool: 'true or false',
  double: 'a number',
  int: 'a number',
  string: 'text',
};

function fits(type: string, gives: ResultType): boolean {
  if (type === 'dyn' || type === 'bool') return true;
  if (type === 'double' || type === 'int' || type === 'uint') return gives !== 'boolean';
  return type === 'string' && gives === 'any';
}

/** The library divides doubles as IEEE 754 does. After the check each node knows what it does; divisions get a guard before it. */
function refuseZeroDivisors(root: Node): void {
  walk(root, (node) => {
    if (node.op === '/' || node.op === '%') {
      const guarded = node as unknown as { handle: (left: unknown, right: unknown, ...rest: unknown[]) => unknown };
      const divide = guarded.handle;
      guarded.handle = (left, right, ...rest) => {
        if (right === 0) throw new Error('division by zero');
        return divide(left, right, ...rest);
      };
    }
    return true;
  });
}

function plain(result: unknown): number | string | boolean | undefined {
  switch (typeof result) {
    case 'number':
    case 'string':
    case 'boolean':
      return result;
    case 'bigint':
      return Number(result);
    default:
      return undefined;
  }
}

function faultOf(error: unknown, remedy: string): Fault {
  const { summary, message, range } = error as { summary?: string; message: string; range?: Fault };
  const what = (summary ?? message).split('\n')[0];
  return {
    start: range?.start ?? 0,
    end: range?.end ?? 0,
    what: `not an expression: ${what.charAt(0).toLowerCase()}${what.slice(1)}`,
    remedy,
  };
}
