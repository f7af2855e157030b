import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import { isSame } from './credentials.ts';
import { EngineError } from './engine.ts';
import { AUTHENTICATION_FAILED, BAD_ARGUMENTS, NOT_IMPLEMENTED, refusal } from './errors.ts';

/** What a request asks for, before its body has been read. */
export interface Request {
  user: string;
  /** Whether it may only read: by its user, or because it is a GET. */
  readOnly: boolean;
  /** The statement, or the beginning of it, from the URL; the body follows it. */
  query: string | null;
  database: string | null;
  defaultFormat: string | null;
  queryId: string | null;
  settings: Map<string, string>;
  parameters: Map<string, string>;
  /** The client's own protocol version, 0 for plain HTTP clients. */
  protocolVersion: number;
  acceptsGzip: boolean;
}

export interface Access {
  /** The user that may write, and its password. */
  writer: string;
  password: string;
  /** Whether a request without a password may only read. */
  readOnly: boolean;
}

/** URL parameters that are no settings, and headers that say the same. */
const OWN_PARAMETERS = new Set(
  `query database default_format query_id user password quota_key session_id session_check session_timeout role compress decompress
   client_protocol_version stacktrace buffer_size wait_end_of_query http_write_exception_in_output_format
   enable_http_compression http_zlib_compression_level add_http_cors_header send_progress_in_http_headers
   http_headers_progress_interval_ms cancel_http_readonly_queries_on_disconnect log_comment`
    .trim()
    .split(/\s+/),
);

/** Parses the request line and the headers. Throws an EngineError in ClickHouse's words. */
export function readRequest(message: IncomingMessage, url: URL, access: Access): Request {
  const parameters = url.searchParams;
  const user = authenticate(message, parameters, access);
  if (isOn(parameters.get('compress')) || isOn(parameters.get('decompress'))) {
    throw refusal(
      NOT_IMPLEMENTED,
      "The embedded store does not speak ClickHouse's own compression. Use HTTP compression (gzip)",
    );
  }
  const request: Request = {
    user,
    readOnly: message.method !== 'POST' || (access.readOnly && user !== access.writer),
    query: parameters.get('query'),
    database: header(message, 'x-clickhouse-database') ?? parameters.get('database'),
    defaultFormat: header(message, 'x-clickhouse-format') ?? parameters.get('default_format'),
    queryId: parameters.get('query_id'),
    settings: new Map(),
    parameters: new Map(),
    protocolVersion: Number(parameters.get('client_protocol_version') ?? 0),
    acceptsGzip:
      isOn(parameters.get('enable_http_compression')) && /\bgzip\b/.test(header(message, 'accept-encoding') ?? ''),
  };
  for (const [name, value] of parameters) addParameter(request, name, value);
  return request;
}

/** A parameter of the URL, or of a form in the body: `param_x`, or a setting. */
export function addParameter(request: Request, name: string, value: string): void {
  if (name.startsWith('param_')) {
    const parameter = name.slice('param_'.length);
    if (!/^[A-Za-z_]\w*$/.test(parameter))
      throw refusal(BAD_ARGUMENTS, `${JSON.stringify(name)} is not a name of a parameter`);
    request.parameters.set(parameter, value);
  } else if (!OWN_PARAMETERS.has(name)) {
    checkSetting(name, request.readOnly);
    request.settings.set(name, value);
  }
}

/**
 * Settings that a reader may give: those that shape the output or bound the work. Not those that name files or schemas, switch the
 * dialect or allow what is off, since embedded they would reach what the operating system lets this process reach.
 */
const READER_SETTINGS =
  /^(max_|min_|output_format_|date_time_|join_|group_by_|distinct_|set_overflow|transfer_overflow|timeout_|result_overflow|read_overflow|sort_overflow|optimize_|aggregate_|query_cache_|use_|enable_|prefer_|extremes$|final$|limit$|offset$|session_timezone$|totals_|union_default_mode$|transform_null_in$|empty_result_|connect_timeout|receive_timeout|send_timeout|low_cardinality_|format_csv_delimiter$|format_csv_null_representation$|format_tsv_null_representation$|short_circuit|cast_|count_distinct|do_not_merge|lock_acquire|asterisk_|wait_end|readonly$|allow_experimental_analyzer$)/;

function checkSetting(name: string, readOnly: boolean): void {
  if (!/^[A-Za-z_]\w*$/.test(name)) throw refusal(115, `Unknown setting ${JSON.stringify(name)}`);
  if (!readOnly) return;
  if (!READER_SETTINGS.test(name) || /path|file|schema|template|dictionary_source|disk/.test(name)) {
    throw refusal(164, `Setting ${name} cannot be given by a user that may only read`);
  }
}

function authenticate(message: IncomingMessage, parameters: URLSearchParams, access: Access): string {
  const basic = /^Basic\s+([A-Za-z0-9+/=_-]+)$/i.exec(header(message, 'authorization') ?? '')?.[1];
  const [basicUser, ...rest] = basic === undefined ? [] : Buffer.from(basic, 'base64').toString('utf8').split(':');
  const user = header(message, 'x-clickhouse-user') ?? parameters.get('user') ?? basicUser ?? 'default';
  const password = header(message, 'x-clickhouse-key') ?? parameters.get('password') ?? (basic ? rest.join(':') : '');
  if (user === access.writer && isSame(password, access.password)) return user;
  if ((user === 'default' || user === '') && password === '') return 'default';
  throw refusal(
    AUTHENTICATION_FAILED,
    `${user}: Authentication failed: password is incorrect, or there is no user with such name`,
  );
}

/** The body as it was before the transfer: HTTP's own compressions taken off. */
export function decoded(message: IncomingMessage): Readable {
  const encoding = (header(message, 'content-encoding') ?? 'identity').toLowerCase();
  if (encoding === 'identity') return message;
  const decoder =
    encoding === 'gzip'
      ? createGunzip()
      : encoding === 'deflate'
        ? createInflate()
        : encoding === 'br'
          ? createBrotliDecompress()
          : null;
  if (decoder === null) throw refusal(NOT_IMPLEMENTED, `Unknown compression method: ${encoding}`);
  message.on('error', (error) => decoder.destroy(error));
  message.on('aborted', () => decoder.destroy(new Error('the client went away')));
  return message.pipe(decoder);
}

/** The whole body, up to a bound. */
export async function readBody(message: IncomingMessage, bytesMax: number): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let size = 0;
  try {
    for await (const piece of decoded(message) as AsyncIterable<Buffer>) {
      size += piece.length;
      if (size > bytesMax) {
        throw refusal(
          229,
          `The body is larger than ${bytesMax} bytes. Give the statement as ?query= and only the data in the body`,
        );
      }
      pieces.push(piece);
    }
  } catch (error) {
    if (error instanceof EngineError) throw error;
    throw refusal(BAD_ARGUMENTS, `The body cannot be read: ${(error as Error).message}`);
  }
  return Buffer.concat(pieces);
}

/** Fields of a multipart/form-data body, as clients send long parameters; parts with a file name (external tables) are refused. */
export function readForm(body: Buffer, contentType: string): [name: string, value: string][] {
  const boundary = /boundary=(?:"([^"]+)"|([^;\s]+))/i.exec(contentType);
  if (boundary === null) throw refusal(BAD_ARGUMENTS, 'multipart/form-data without a boundary');
  const fields: [string, string][] = [];
  const parts = body.toString('latin1').split(`--${boundary[1] ?? boundary[2]}`);
  for (const part of parts.slice(1, -1)) {
    const [head, ...rest] = part.split('\r\n\r\n');
    const name = /name="([^"]*)"/i.exec(head)?.[1];
    if (name === undefined || /filename=/i.test(head))
      throw refusal(NOT_IMPLEMENTED, 'External tables are not supported');
    fields.push([name, Buffer.from(rest.join('\r\n\r\n').replace(/\r\n$/, ''), 'latin1').toString('utf8')]);
  }
  return fields;
}

function header(message: IncomingMessage, name: string): string | null {
  const value = message.headers[name];
  return typeof value === 'string' ? value : null;
}

function isOn(value: string | null): boolean {
  return value === '1' || value === 'true';
}
