import { type Fault, type Node, type Variable, walk } from './cel.ts';
import type { Reference, ReferenceKind } from './expression.ts';

/** An expression may name so many different things. */
const REFERENCES_MAX = 64;

/** What an expression names, and its text with a variable in the place of each. */
export interface FoundReferences {
  references: Reference[];
  variables: Variable[];
  /** Where each stands. */
  spans: { start: number; end: number }[];
  /** Of the same length and with the same lines, so that places in it are those of the text as written. */
  text: string;
}

const SCALARS = { value: 'dyn', metric: 'string', ts: 'double', received: 'double' } as const;
const ROOTS: readonly string[] = ['metrics', 'm', 'rollup', 'alarm', 'device'];
const PLACES: Record<ReferenceKind, string> = {
  value: '`value`',
  metric: '`metric`',
  ts: '`ts`',
  received: '`received`',
  device: '`device`',
  tag: '`device.tags`',
  newest: '`metrics`',
  rollup: '`rollup`',
  alarm: '`alarm`',
};

/** Finds `metrics.temperature` and its like in the tree of a text. */
export function findReferences(
  text: string,
  ast: Node,
  allows: readonly ReferenceKind[],
): FoundReferences | { fault: Fault } {
  const references: Reference[] = [];
  const known = new Map<string, number>();
  const variables = new Map<string, Variable>();
  const spans: FoundReferences['spans'] = [];
  let rewritten = text;
  let fault: Fault | null = null;

  const take = (node: Node, reference: Reference, presenceOf: Node | null): void => {
    if (!allows.includes(reference.kind)) {
      const names = allows.map((kind) => PLACES[kind]).join(', ');
      const what = `${PLACES[reference.kind]} is not known here`;
      fault = { start: node.start, end: node.end, what, remedy: `known are ${names}` };
      return;
    }
    const key = JSON.stringify(reference);
    let index = known.get(key);
    if (index === undefined) {
      index = references.push(reference) - 1;
      known.set(key, index);
    }
    if (index >= REFERENCES_MAX) {
      const what = `more than ${REFERENCES_MAX} different names in one expression`;
      fault = { start: node.start, end: node.end, what, remedy: 'split it into several' };
      return;
    }
    const presence = presenceOf !== null;
    // Shorter than anything that it stands for.
    const name = reference.kind in SCALARS ? reference.kind : `_${presence ? 'h' : ''}${index.toString(36)}`;
    variables.set(name, { name, type: presence ? 'bool' : typeOf(reference), reference: index, presence });
    const { start, end } = presenceOf ?? node;
    spans.push({ start, end });
    rewritten = replaced(rewritten, start, end, name);
  };

  walk(ast, (node) => {
    if (fault !== null) return false;
    if (node.op === 'call' && node.args[0] === 'has' && node.args[1].length === 1) {
      const chain = chainOf(node.args[1][0]);
      if (chain !== null) {
        const read = referenceOf(chain);
        if ('fault' in read) fault = read.fault;
        else if (read.reference.kind in SCALARS || ROOTS.includes(chain.root.args as string)) {
          take(chain.node, read.reference, node);
        }
        return false;
      }
    }
    if (node.op !== 'id' && node.op !== '.' && node.op !== '[]') return true;
    const chain = chainOf(node);
    if (chain === null) return true;
    const read = referenceOf(chain);
    if ('fault' in read) fault = read.fault;
    else take(chain.node, read.reference, null);
    return false;
  });
  return fault !== null ? { fault } : { references, variables: [...variables.values()], spans, text: rewritten };
}

/** `root.a["b"]` of one of our names. */
interface Chain {
  node: Node;
  root: Node;
  /** With null for a key that is no literal text. */
  keys: (string | null)[];
}

function chainOf(node: Node): Chain | null {
  const keys: (string | null)[] = [];
  let at = node;
  while (at.op === '.' || at.op === '[]') {
    const key = at.args[1];
    keys.unshift(typeof key === 'string' ? key : key.op === 'value' && typeof key.args === 'string' ? key.args : null);
    at = at.args[0];
  }
  if (at.op !== 'id') return null;
  if (keys.length === 0 && Object.hasOwn(SCALARS, at.args)) return { node, root: at, keys };
  return ROOTS.includes(at.args) ? { node, root: at, keys } : null;
}

function referenceOf({ node, root, keys }: Chain): { reference: Reference } | { fault: Fault } {
  const name = root.args as string;
  const wrong = (remedy: string): { fault: Fault } => {
    const { start, end } = node;
    return { fault: { start, end, what: 'not the name of anything', remedy } };
  };
  const parts = keys.filter((key) => key !== null);
  if (parts.length < keys.length) return wrong('write what stands in brackets as text in quotes');
  switch (name) {
    case 'metrics':
    case 'm':
      // Metrics of nested objects have dots in their names.
      if (parts.length === 0) return wrong('name a metric, as metrics.temperature or metrics["motor.temperature"]');
      return { reference: { kind: 'newest', metric: parts.join('.') } };
    case 'device': {
      const [field, ...rest] = parts;
      if ((field === 'id' || field === 'site' || field === 'model') && rest.length === 0) {
        return { reference: { kind: 'device', field } };
      }
      if (field === 'tags' && rest.length === 1) return { reference: { kind: 'tag', tag: rest[0] } };
      return wrong('write device.id, device.site, device.model or device.tags["NAME"]');
    }
    case 'rollup': {
      if (parts.length < 3) return wrong('name window, metric and result, as rollup["1m"].temperature.avg');
      const [window, ...rest] = parts;
      const field = rest.pop() as string;
      return { reference: { kind: 'rollup', window, metric: rest.join('.'), field } };
    }
    case 'alarm':
      if (parts.length !== 2 || parts[1] !== 'active') return wrong('write alarm["NAME"].active');
      return { reference: { kind: 'alarm', rule: parts[0], field: 'active' } };
    default:
      return { reference: { kind: name as 'value' | 'metric' | 'ts' | 'received' } };
  }
}

function typeOf(reference: Reference): Variable['type'] {
  switch (reference.kind) {
    case 'value':
    case 'newest':
      return 'dyn';
    case 'ts':
    case 'received':
    case 'rollup':
      return 'double';
    case 'alarm':
      return 'bool';
    default:
      return 'string';
  }
}

/** The name in the place of the node; line breaks stay where they are. */
function replaced(text: string, start: number, end: number, name: string): string {
  const rest = text.slice(start + name.length, end).replace(/[^\r\n]/g, ' ');
  return text.slice(0, start) + name + rest + text.slice(end);
}
