import { randomUUID } from 'node:crypto';
import { open, rm, stat } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Answer, type ServerIdentity } from './answer.ts';
import { type Engine, EngineError, quoteText, type RunOptions } from './engine.ts';
import { BAD_ARGUMENTS, QUERY_PARAMETER_MISSING, READONLY, refusal, SYNTAX_ERROR } from './errors.ts';
import { FileWriter } from './file-writer.ts';
import { isStreamed } from './formats.ts';
import { helloAnswer, isHello } from './handshake.ts';
import { type Access, addParameter, decoded, type Request, readBody, readForm, readRequest } from './request.ts';
import { isUnknown, readerRefusal, readStatement, type Statement } from './statement.ts';

/** ClickHouse's code for a part that cannot be read. */
const CORRUPTED_DATA = 246;

export interface HttpOptions {
  /** A part of a table cannot be read. The engine looks at its parts when it starts, and goes back to those it was merged from. */
  onCorrupt(error: Error): void;
  /** The store's folder. */
  dir: string;
  engine: Engine;
  identity: ServerIdentity;
  access: Access;
  /** A reader's statement is ended after this long. */
  readerTimeMsMax: number;
  readerThreadsMax: number;
  readerMemoryBytesMax: number;
  counts: Counts;
}

export interface Counts {
  queries: number;
  inserts: number;
  rowsInserted: number;
  errors: number;
  /** Time spent on inserts and on queries, ms. */
  insertMs: number;
  queryMs: number;
  /** Merges that the store did itself (merge-backlog.ts). */
  mergesRelieved: number;
}

/** A statement in a body, and data that comes with it, at most; data behind `?query=` may be of any size. */
const BODY_BYTES_MAX = 64 * 2 ** 20;
/** Answers one HTTP request. Never rejects. */
export async function handle(options: HttpOptions, message: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(message.url ?? '/', 'http://localhost');
  let answer = new Answer(response, options.identity, url.searchParams.get('query_id'), false);
  try {
    if (message.method === 'OPTIONS') return answer.finish(204, '');
    if (url.pathname === '/ping' || url.pathname === '/replicas_status') return answer.finish(200, 'Ok.\n');
    if (url.pathname !== '/') return answer.finish(404, unknownPath(url.pathname));
    const request = readRequest(message, url, options.access);
    answer = new Answer(response, options.identity, request.queryId, request.acceptsGzip);
    if (message.method !== 'POST' && request.query === null) return answer.finish(200, 'Ok.\n');
    await serve(options, request, message, response, answer);
  } catch (error) {
    options.counts.errors++;
    message.resume(); // Whatever of the body was not read must not stand in the way of the answer.
    answer.fail(error);
    // Only where a file of our own is named: no statement of a reader's may end the store.
    if (error instanceof EngineError && error.code === CORRUPTED_DATA && error.message.includes(options.dir))
      options.onCorrupt(error);
  }
}

async function serve(
  options: HttpOptions,
  request: Request,
  message: IncomingMessage,
  response: ServerResponse,
  answer: Answer,
): Promise<void> {
  let source = request.query ?? '';
  let inline: Buffer | null = null;
  const isForm = /^multipart\/form-data/i.test(message.headers['content-type'] ?? '');
  let statement = readStatement(source);
  if (message.method === 'POST' && (isForm || statement.data === null)) {
    const body = await readBody(message, BODY_BYTES_MAX);
    if (isForm) {
      for (const [name, value] of readForm(body, message.headers['content-type'] ?? '')) {
        if (name === 'query') source = value;
        else addParameter(request, name, value);
      }
    } else if (body.length > 0) {
      // Scanned as Latin-1, a character a byte, since the data behind the statement may be of any bytes.
      const raw = Buffer.concat([Buffer.from(source === '' ? '' : `${source}\n`), body]);
      const { data } = readStatement(raw.toString('latin1'));
      if (data !== null) inline = raw.subarray(data.start);
      source = raw.subarray(0, data?.start).toString('utf8');
    }
    statement = readStatement(source);
  }
  if (statement.verb === '') throw refusal(SYNTAX_ERROR, 'Syntax error: Empty query');
  if (isUnknown(statement)) {
    const near = statement.tokens[0]?.text.slice(0, 40) ?? '';
    throw refusal(SYNTAX_ERROR, `Syntax error: failed at position 1 (${near}): ${near}. Expected a statement`);
  }
  if (statement.several) throw refusal(SYNTAX_ERROR, 'Syntax error (Multi-statements are not allowed)');
  if (request.readOnly) {
    const why = readerRefusal(statement, request.parameters);
    if (why !== null) throw refusal(READONLY, `${request.user}: Cannot execute query in readonly mode: ${why}`);
  }
  checkParameters(statement, request);
  if (isHello(source, request.protocolVersion)) {
    const { displayName, version, timezone } = options.identity;
    answer.begin('Native', { resultRows: 1 });
    await answer.write(helloAnswer(displayName, version, timezone, request.protocolVersion));
    return answer.end();
  }
  if (statement.data !== null) {
    const data = inline ?? Buffer.from(source.slice(statement.data.start));
    return insert(options, request, statement, data, inline === null && !isForm ? message : null, answer);
  }
  await query(options, request, statement, response, answer);
}

/** A session remembers the parameters of earlier statements, so a missing one would go unnoticed by the engine. */
function checkParameters(statement: Statement, request: Request): void {
  const { tokens } = statement;
  for (let i = 0; i + 2 < tokens.length; i++) {
    const [open, name, colon] = [tokens[i], tokens[i + 1], tokens[i + 2]];
    if (open.kind !== 'mark' || open.text !== '{' || name.kind !== 'word' || colon.text !== ':') continue;
    if (!request.parameters.has(name.text)) {
      throw refusal(QUERY_PARAMETER_MISSING, `Substitution \`${name.text}\` is not set`);
    }
  }
}

/** Lets a reader ask for less than a bound, not for more, nor for none (0). */
function hold(settings: Map<string, string>, name: string, most: number): void {
  const asked = Number(settings.get(name) ?? most);
  settings.set(name, String(asked > 0 && asked < most ? asked : most));
}

function runOptions(options: HttpOptions, request: Request): RunOptions {
  const settings = new Map(request.settings);
  if (request.readOnly) {
    hold(settings, 'max_execution_time', options.readerTimeMsMax / 1000);
    hold(settings, 'max_threads', options.readerThreadsMax);
    hold(settings, 'max_memory_usage', options.readerMemoryBytesMax);
  }
  return {
    database: request.database ?? 'default',
    readOnly: request.readOnly,
    settings,
    parameters: request.parameters,
    format: request.defaultFormat ?? 'TabSeparated',
  };
}

async function query(
  options: HttpOptions,
  request: Request,
  statement: Statement,
  response: ServerResponse,
  answer: Answer,
): Promise<void> {
  const { engine, counts } = options;
  const startMs = performance.now();
  counts.queries++;
  const run = runOptions(options, request);
  const format = statement.format ?? run.format;
  const isSelect = ['SELECT', 'WITH', 'FROM'].includes(statement.verb);
  if (isSelect && isStreamed(format)) {
    const gone = new AbortController();
    response.once('close', () => gone.abort(new Error('the client went away')));
    await engine.stream(statement.sql, { ...run, signal: gone.signal }, async (piece, rows) => {
      if (!answer.isBegun) answer.begin(format, { resultRows: rows });
      await answer.write(piece);
    });
    if (!answer.isBegun) answer.begin(format, {});
    counts.queryMs += performance.now() - startMs;
    return answer.end();
  }
  const result = await engine.run(statement.sql, run); // made whole, in memory, within readerMemoryBytesMax
  const isWrite = statement.verb === 'INSERT';
  counts[isWrite ? 'insertMs' : 'queryMs'] += performance.now() - startMs;
  if (isWrite) {
    counts.inserts++;
    counts.rowsInserted += result.rows;
  }
  const { rows, rowBytes, elapsedMs } = result;
  answer.begin(
    format,
    isWrite
      ? { writtenRows: rows, writtenBytes: rowBytes, elapsedMs }
      : { resultRows: rows, readRows: rows, elapsedMs },
  );
  await answer.write(result.bytes);
  answer.end();
}

/** Settings of an insert that the caller has not given: one thread, since inserts come side by side anyway. */
const INSERT_SETTINGS = new Map([
  ['max_threads', '1'],
  ['max_insert_threads', '1'],
  ['input_format_parallel_parsing', '0'],
]);

/**
 * An INSERT with data. The engine reads it from a file: its own calls for inserting take text only. A body that breaks off
 * inserts nothing. `inline` is data that stood behind the statement, `rest` the body that follows it.
 */
async function insert(
  options: HttpOptions,
  request: Request,
  statement: Statement,
  inline: Buffer,
  rest: IncomingMessage | null,
  answer: Answer,
): Promise<void> {
  const { engine, counts } = options;
  const path = join(engine.incomingDir, randomUUID());
  try {
    await store(path, inline, rest);
    const { size } = await stat(path);
    if (size === 0) return answer.finish(200, '');
    const run = runOptions(options, request);
    const settings = new Map([...INSERT_SETTINGS, ...run.settings]);
    const at = statement.data?.clauseAt ?? 0;
    const ownSettings = /^SETTINGS\b/i.test(statement.sql.slice(at));
    // As part of the statement they need no session of their own, although the token differs each time.
    const clause = ownSettings
      ? ''
      : `SETTINGS ${[...settings].map(([name, value]) => `${name} = ${quoteText(value)}`).join(', ')} `;
    const sql = `${statement.sql.slice(0, at)} FROM INFILE ${quoteText(path)} ${clause}${statement.sql.slice(at)}`;
    const startMs = performance.now();
    const result = await engine.run(sql, { ...run, settings: ownSettings ? run.settings : new Map() });
    counts.insertMs += performance.now() - startMs;
    counts.inserts++;
    counts.rowsInserted += result.rows;
    answer.finish(200, '', { writtenRows: result.rows, writtenBytes: result.rowBytes, elapsedMs: result.elapsedMs });
  } finally {
    await rm(path, { force: true });
  }
}

async function store(path: string, inline: Buffer, rest: IncomingMessage | null): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  try {
    const writer = new FileWriter(file);
    if (inline.length > 0) writer.write(inline);
    await pipeline(rest === null ? Readable.from([]) : decoded(rest), writer);
  } catch (error) {
    throw refusal(BAD_ARGUMENTS, `The data cannot be read: ${(error as Error).message}`);
  } finally {
    await file.close();
  }
}

function unknownPath(path: string): string {
  return `There is no handle ${path}\n\nUse / or /ping for health checks.\nOr /replicas_status for more sophisticated health checks.\n\nSend queries from your program with POST method or GET /?query=...\n`;
}
