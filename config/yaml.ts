import { type Document, isAlias, isMap, isScalar, isSeq, type Node, parseDocument, visit } from 'yaml';
import type { Path } from './problem.ts';
import { clip } from './quantity.ts';

/** Something that is wrong with the text as YAML, before any setting is looked at. Offsets count UTF-16 units of the text. */
export interface YamlProblem {
  start: number;
  end: number;
  what: string;
  remedy: string;
}

export interface YamlText {
  /** The file as plain data; undefined when `broken`. */
  value: unknown;
  problems: YamlProblem[];
  /** The text could not be read as a whole, so that its settings cannot be judged. */
  broken: boolean;
  /** Where a setting stands. A setting that is not there gives the place of what should hold it. */
  locate(path: Path, of: 'key' | 'value'): { start: number; end: number };
  /** 1-based line and column of an offset. */
  position(offset: number): { line: number; column: number };
  line(number: number): string;
  /** Where the text stands letter by letter inside a span; −1 when it does not. */
  find(text: string, within: { start: number; end: number }): number;
}

/** A bomb of aliases ("billion laughs") is refused; a file of settings has no use for more. */
const ALIASES_MAX = 100;

/** Reads YAML 1.2 (and so JSON), anchors and merge keys included. Never throws. */
export function readYaml(source: string): YamlText {
  const text = source.startsWith('\ufeff') ? source.slice(1) : source;
  const lines = text.split('\n');
  const problems: YamlProblem[] = [];
  let broken = false;
  let value: unknown;
  let root: Document | null = null;
  try {
    const document = parseDocument(text, { prettyErrors: false, merge: true, logLevel: 'error' });
    root = document as Document;
    for (const error of document.errors) {
      if (error.code !== 'DUPLICATE_KEY') broken = true;
      const open = error.code === 'MISSING_CHAR' ? openQuote(root, error.pos[0]) : null;
      problems.push(open ?? explainSyntax(error.code, error.message, error.pos[0], error.pos[1], text));
    }
    for (const warning of document.warnings) {
      problems.push(explainSyntax(warning.code, warning.message, warning.pos[0], warning.pos[1], text));
    }
    if (!broken) broken = checkNodes(root, problems);
    if (!broken) value = document.toJS({ maxAliasCount: ALIASES_MAX });
  } catch (error) {
    // The parser reports what it finds; what it throws (too many aliases, nesting beyond the stack) is about the whole text.
    broken = true;
    problems.push({
      start: 0,
      end: 0,
      what: `cannot be read as YAML: ${clip(error instanceof Error ? error.message : String(error))}`,
      remedy: 'simplify the file',
    });
  }
  return {
    value,
    problems,
    broken,
    locate: (path, of) => (root === null ? { start: 0, end: 0 } : locate(root, path, of)),
    // Counted here: the parser's own line counter misses lines when it recovers from an error.
    position(offset) {
      const before = text.slice(0, offset);
      return { line: before.split('\n').length, column: before.length - before.lastIndexOf('\n') };
    },
    find(wanted, { start, end }) {
      const at = text.slice(start, end).indexOf(wanted);
      return at === -1 ? -1 : start + at;
    },
    line: (number) => (lines[number - 1] ?? '').replace(/\r$/, ''),
  };
}

/** What the parser lets through and settings cannot use: keys that are no text, aliases that lead nowhere or to themselves. */
function checkNodes(root: Document, problems: YamlProblem[]): boolean {
  const before = problems.length;
  visit(root, {
    Pair(_, pair) {
      if (isScalar(pair.key) && pair.key.value !== null && typeof pair.key.value !== 'object') return;
      const { start, end } = spanOf(pair.key) ?? spanOf(pair.value) ?? { start: 0, end: 0 };
      const merge = isScalar(pair.key) && typeof pair.key.value === 'symbol';
      if (!merge) problems.push({ start, end, what: 'a key that is not a text', remedy: 'write NAME: VALUE' });
    },
    Alias(_, alias) {
      const { start, end } = spanOf(alias) ?? { start: 0, end: 0 };
      const target = alias.resolve(root);
      if (target === undefined) {
        problems.push({
          start,
          end,
          what: `no anchor &${clip(alias.source)} above this line`,
          remedy: `put quotes around a text that begins with *, or define &${clip(alias.source)}`,
        });
      } else if (target.range && target.range[0] <= start && start < target.range[2]) {
        problems.push({ start, end, what: `*${clip(alias.source)} refers to itself`, remedy: 'write the values out' });
      }
    },
  });
  return problems.length > before;
}

/** A quote that is never closed is noticed where the text ends; what one wants to see is where it begins. */
function openQuote(root: Document, at: number): YamlProblem | null {
  let start: number | null = null;
  visit(root, {
    Scalar(_, scalar) {
      const quoted = scalar.type === 'QUOTE_DOUBLE' || scalar.type === 'QUOTE_SINGLE';
      if (quoted && scalar.range && scalar.range[0] < at && at <= scalar.range[2]) start = scalar.range[0];
    },
  });
  if (start === null) return null;
  return { start, end: start + 1, what: 'this quote is never closed', remedy: 'close it on the same line' };
}

function explainSyntax(code: string, message: string, start: number, end: number, text: string): YamlProblem {
  const lineStart = text.lastIndexOf('\n', start - 1) + 1;
  const lineEnd = text.indexOf('\n', start);
  const line = text.slice(lineStart, lineEnd === -1 ? undefined : lineEnd);
  const at = (what: string, remedy: string): YamlProblem => ({ start, end, what, remedy });
  if (/:\s+\[[0-9A-Fa-f:]+\]:\d+/.test(line)) {
    return at('brackets begin a list', 'put quotes around an IPv6 address, as "[::1]:1883"');
  }
  switch (code) {
    case 'DUPLICATE_KEY': {
      const key = clip(/^[^\s:]*/.exec(text.slice(start))?.[0] ?? '');
      return { start, end: start + key.length, what: `"${key}" is given twice`, remedy: 'keep one of them' };
    }
    case 'TAB_AS_INDENT':
      return at('a tab indents this line', 'indent with spaces');
    case 'BLOCK_AS_IMPLICIT_KEY':
      return at('a second "name: value" on one line', 'put quotes around a text that holds ": ", or begin a new line');
    case 'MULTIPLE_DOCS':
      return { start, end: start + 3, what: 'a second document begins here', remedy: 'keep one, and remove the ---' };
    case 'TAG_RESOLVE_FAILED':
      return at(
        `the tag ${clip(text.slice(start, end))} means nothing here`,
        'remove it, or put quotes around the text',
      );
    case 'BAD_INDENT':
      return at(`not YAML: ${clip(message)}`, 'line the names of one level up with each other');
    default:
      return at(`not YAML: ${clip(message)}`, 'check quotes, brackets and indentation here and on the line above');
  }
}

interface Span {
  start: number;
  end: number;
}

function spanOf(node: unknown): Span | null {
  const range = (node as Node | null)?.range;
  return range ? { start: range[0], end: range[1] } : null;
}

function locate(root: Document, path: Path, of: 'key' | 'value'): Span {
  let node: unknown = root.contents;
  let span = path.length === 0 ? { start: 0, end: 0 } : (spanOf(node) ?? { start: 0, end: 0 });
  for (let i = 0; i < path.length; i++) {
    if (isAlias(node)) node = node.resolve(root);
    const part = path[i];
    const last = i === path.length - 1;
    if (isMap(node)) {
      const pair = findPair(node, String(part), root);
      if (pair === null) return span;
      const key = spanOf(pair.key);
      const value = spanOf(pair.value);
      // An empty value has no width; its key is what one looks for then.
      const empty = value === null || value.start === value.end;
      span = (last && of === 'key') || empty || !last ? (key ?? value ?? span) : value;
      node = pair.value;
    } else if (isSeq(node) && typeof part === 'number' && part < node.items.length) {
      node = node.items[part];
      span = spanOf(node) ?? span;
    } else {
      return span;
    }
  }
  return span;
}

function findPair(node: unknown, key: string, root: Document): { key: unknown; value: unknown } | null {
  const target = isAlias(node) ? node.resolve(root) : node;
  if (isSeq(target)) {
    for (const item of target.items) {
      const found = findPair(item, key, root);
      if (found !== null) return found;
    }
  }
  if (!isMap(target)) return null;
  for (const pair of target.items) if (isScalar(pair.key) && String(pair.key.value) === key) return pair;
  for (const pair of target.items) {
    if (isScalar(pair.key) && (pair.key.value === '<<' || typeof pair.key.value === 'symbol')) {
      const found = findPair(pair.value, key, root);
      if (found !== null) return found;
    }
  }
  return null;
}
