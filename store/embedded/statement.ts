/**
 * As much of ClickHouse's lexer as the HTTP interface needs: what kind of statement this is, which format it asks for, where the data of
 * an INSERT begins, and whether a reader may run it. It is not a parser: what it does not understand it leaves to the engine,
 * and where it is unsure about a reader's statement it refuses.
 *
 * Tokens: words [A-Za-z0-9_$]+ · quoted identifiers `…` "…" · strings '…' · heredocs $tag$…$tag$ · any other single character.
 * Quotes are ended by themselves unless doubled or behind a backslash. Comments: -- … , # … (a space or ! behind #), / * … * / (not nested).
 */
export interface Token {
  kind: 'word' | 'identifier' | 'string' | 'mark';
  /** The text; of a quoted identifier what is between the quotes, as written. */
  text: string;
  start: number;
  end: number;
  /** How many parentheses and brackets are open around it. */
  depth: number;
}

export interface Statement {
  /** First word, in capitals: SELECT, INSERT, … */
  verb: string;
  tokens: readonly Token[];
  /** The statement without a trailing semicolon; of an INSERT without its data. */
  sql: string;
  /** The name behind FORMAT, as written. */
  format: string | null;
  /** Of an INSERT with FORMAT: where the engine's `FROM INFILE` has to be put into `sql`, and where the data begins in the source. */
  data: { clauseAt: number; start: number } | null;
  /** A second statement follows. */
  several: boolean;
}

export function readStatement(source: string): Statement {
  const tokens = tokenize(source);
  const verb = (tokens.find((t) => t.kind !== 'mark' || t.text !== '(')?.text ?? '').toUpperCase();
  if (verb === 'INSERT') {
    const at = tokens.findIndex((t, i) => isWord(t, 'FORMAT') && t.depth === 0 && tokens[i + 1]?.kind === 'word');
    const isSelect = tokens.some(
      (t) => t.depth === 0 && (isWord(t, 'SELECT') || isWord(t, 'VALUES') || isWord(t, 'WITH')),
    );
    if (at > 0 && (!isSelect || !tokens.slice(0, at).some((t) => isWord(t, 'SELECT') || isWord(t, 'WITH')))) {
      const name = tokens[at + 1];
      const settings = tokens.findIndex((t) => isWord(t, 'SETTINGS') && t.depth === 0);
      const clauseAt = (settings > 0 && settings < at ? tokens[settings] : tokens[at]).start;
      return {
        verb,
        tokens: tokens.slice(0, at + 2),
        sql: source.slice(0, name.end),
        format: name.text,
        data: { clauseAt, start: skipToData(source, name.end) },
        several: false,
      };
    }
  }
  let last = tokens.length;
  while (last > 0 && tokens[last - 1].text === ';' && tokens[last - 1].kind === 'mark') last--;
  const kept = tokens.slice(0, last);
  return {
    verb,
    tokens: kept,
    sql: last < tokens.length ? source.slice(0, tokens[last].start) : source,
    format: formatOf(kept),
    data: null,
    several: kept.some((t) => t.kind === 'mark' && t.text === ';'),
  };
}

const READER_VERBS = new Set(['SELECT', 'WITH', 'FROM', 'SHOW', 'DESCRIBE', 'DESC', 'EXPLAIN', 'EXISTS']);

/** Statements that change something, or the session: what else stands first is a mistake, which the engine explains best. */
const OTHER_VERBS = new Set(
  `INSERT CREATE ALTER DROP TRUNCATE RENAME EXCHANGE OPTIMIZE SYSTEM SET USE KILL GRANT REVOKE ATTACH DETACH BACKUP RESTORE DELETE UPDATE
   UNDROP MOVE CHECK WATCH BEGIN COMMIT ROLLBACK EXECUTE REPLACE ANALYZE COPY PREPARE`.split(/\s+/),
);

/**
 * Functions that reach outside of the tables and that the engine's own `readonly` does not stop: embedded, it reads any
 * local file with file(). Names count wherever they stand, since a function can also be passed by its name.
 */
const FORBIDDEN_NAMES = new Set(['file', 'catboostevaluate', 'eval', 'python', 'arrowstream', 'outfile', 'infile']);

/** Whether a statement begins with no word that begins one. */
export function isUnknown(statement: Statement): boolean {
  return !READER_VERBS.has(statement.verb) && !OTHER_VERBS.has(statement.verb);
}

/**
 * Why a reader may not run a statement; null when it may, which still leaves the engine's `readonly = 1` to hold. `parameters` are the
 * values for `{name:Type}`.
 */
export function readerRefusal(statement: Statement, parameters: ReadonlyMap<string, string>): string | null {
  const { verb, tokens } = statement;
  if (!READER_VERBS.has(verb))
    return `${verb === '' ? 'an empty statement' : verb} is not allowed for a user that may only read`;
  if (/[\u2018\u2019\u201c\u201d\0]/.test(statement.sql))
    return 'typographic quotes and NUL are not allowed for a user that may only read';
  for (const [i, token] of tokens.entries()) {
    if (token.kind === 'identifier' && token.text.includes('\\')) {
      return 'escapes in quoted identifiers are not allowed for a user that may only read';
    }
    if (token.kind !== 'word' && token.kind !== 'identifier') continue;
    if (FORBIDDEN_NAMES.has(token.text.toLowerCase())) {
      return `${token.text} is not allowed for a user that may only read`;
    }
    if (token.text.toLowerCase() === 'identifier' && tokens[i - 1]?.text === ':') {
      const value = parameters.get(tokens[i - 2]?.text ?? '') ?? '';
      if (!/^[A-Za-z0-9_.]*$/.test(value) || value.split('.').some((part) => FORBIDDEN_NAMES.has(part.toLowerCase()))) {
        return `the identifier ${JSON.stringify(value)} is not allowed for a user that may only read`;
      }
    }
    // DESCRIBE of a table function opens what it names (a file, a URL) without the engine's `readonly` noticing.
    if (
      i > 0 &&
      (verb === 'DESCRIBE' || verb === 'DESC') &&
      tokens[i + 1]?.text === '(' &&
      token.depth === 0 &&
      !isWord(token, 'TABLE')
    ) {
      return 'DESCRIBE of a table function is not allowed for a user that may only read';
    }
  }
  return null;
}

function isWord(token: Token | undefined, word: string): boolean {
  return token?.kind === 'word' && token.text.toUpperCase() === word;
}

function formatOf(tokens: readonly Token[]): string | null {
  for (let i = tokens.length - 2; i > 0; i--) {
    if (!isWord(tokens[i], 'FORMAT') || tokens[i].depth !== 0 || tokens[i + 1].kind !== 'word') continue;
    const next = tokens[i + 2];
    if (next === undefined || isWord(next, 'SETTINGS')) return tokens[i + 1].text;
  }
  return null;
}

/** Data begins behind the format's name: after blanks and one line break. */
function skipToData(source: string, from: number): number {
  let at = from;
  while (source[at] === ' ' || source[at] === '\t') at++;
  if (source[at] === '\r') at++;
  if (source[at] === '\n') at++;
  return at;
}

const BLANK = /\s/;
const WORD = /[A-Za-z0-9_$]+/y;
const HEREDOC = /\$[A-Za-z0-9_]*\$/y;

function tokenize(source: string): Token[] {
  const tokens: Token[] = [];
  let depth = 0;
  let at = 0;
  while (at < source.length) {
    const c = source[at];
    if (BLANK.test(c)) {
      at++;
      continue;
    }
    const comment = commentEnd(source, at);
    if (comment > at) {
      at = comment;
      continue;
    }
    const token = next(source, at, depth);
    if (token.kind === 'mark') {
      if (c === '(' || c === '[' || c === '{') depth++;
      else if (c === ')' || c === ']' || c === '}') token.depth = --depth;
    }
    tokens.push(token);
    at = token.end;
    // The rest of an INSERT's source is data of any kind, which must not be looked at.
    if (
      tokens.length > 1 &&
      depth === 0 &&
      isWord(tokens.at(-2), 'FORMAT') &&
      isWord(tokens[0], 'INSERT') &&
      token.kind === 'word'
    ) {
      if (!tokens.some((t) => isWord(t, 'SELECT') && t.depth === 0)) break;
    }
  }
  return tokens;
}

function next(source: string, at: number, depth: number): Token {
  const c = source[at];
  if (c === "'") return { kind: 'string', ...quoted(source, at, c), depth };
  if (c === '`' || c === '"') return { kind: 'identifier', ...quoted(source, at, c), depth };
  if (c === '$') {
    HEREDOC.lastIndex = at;
    const tag = HEREDOC.exec(source)?.[0];
    const end = tag === undefined ? -1 : source.indexOf(tag, at + tag.length);
    if (tag !== undefined && end >= 0) {
      return { kind: 'string', text: source.slice(at + tag.length, end), start: at, end: end + tag.length, depth };
    }
  }
  WORD.lastIndex = at;
  const word = WORD.exec(source)?.[0];
  if (word !== undefined) return { kind: 'word', text: word, start: at, end: at + word.length, depth };
  return { kind: 'mark', text: c, start: at, end: at + 1, depth };
}

function quoted(source: string, start: number, quote: string): { text: string; start: number; end: number } {
  let at = start + 1;
  for (; at < source.length; at++) {
    if (source[at] === '\\') at++;
    else if (source[at] === quote) {
      if (source[at + 1] !== quote) break;
      at++;
    }
  }
  const end = Math.min(at + 1, source.length);
  return { text: source.slice(start + 1, Math.min(at, source.length)), start, end };
}

/** Where a comment that begins here ends; `at` when none does. */
function commentEnd(source: string, at: number): number {
  const two = source.slice(at, at + 2);
  if (two === '--' || two === '# ' || two === '#!') {
    const end = source.indexOf('\n', at);
    return end < 0 ? source.length : end + 1;
  }
  if (two === '/*') {
    const end = source.indexOf('*/', at + 2);
    return end < 0 ? source.length : end + 2;
  }
  return at;
}
