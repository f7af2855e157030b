/**
 * Takes what must not be read by others out of what is logged: by the name that a value stands under, and by its looks. Parts
 * of the program do not pass secrets to a logger; this stands behind that, for the message of a library that quotes what it was given.
 */

/** Names under which a secret stands, however they are written: `saslPassword`, `api_key`, `Authorization`. */
const SECRET_NAME =
  /passw|passphrase|secret|token|authori[sz]ation|credential|cookie|private.?key|api.?key|^sasl$|^key$|^payload$/i;
const HIDDEN = '***';

const DEPTH_MAX = 6;
const TEXT_MAX = 4000;
const ITEMS_MAX = 100;

const PATTERNS: readonly [RegExp, string][] = [
  // A user and a password in a URL.
  [/([a-z][a-z0-9+.-]*:\/\/)[^\s/@"']+@/gi, `$1${HIDDEN}@`],
  [/scrypt\$\d+\$\d+\$\d+\$[A-Za-z0-9+/=]+\$[A-Za-z0-9+/=]+/g, `scrypt$$${HIDDEN}`],
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(-----END [A-Z ]*PRIVATE KEY-----|$)/g, HIDDEN],
  [/\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{6,}/g, `$1 ${HIDDEN}`],
  [/(IDENTIFIED (?:WITH \w+ )?BY\s+)'(?:[^'\\]|\\.)*'/gi, `$1'${HIDDEN}'`],
  [
    /((?:password|passwd|secret|token|api[-_]?key)["']?\s*[=:]\s*)("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s,;&"'})]+)/gi,
    `$1${HIDDEN}`,
  ],
  // V8 quotes what it could not parse: the content of a message, most often.
  [/(Unexpected [^,]*), (?:\.\.\.)?".*"(?:\.\.\.)? is not valid JSON/gs, '$1: not valid JSON'],
  [/^"[\s\S]*" is not valid JSON/g, 'not valid JSON'],
];

export function scrubText(text: string): string {
  let out = text.length > TEXT_MAX ? `${text.slice(0, TEXT_MAX)}… (${text.length} characters)` : text;
  for (const [pattern, instead] of PATTERNS) out = out.replace(pattern, instead);
  return out;
}

/** A copy without secrets, bounded in depth and length: what is logged never grows without end. */
export function scrub(value: unknown, depth = 0): unknown {
  if (typeof value === 'string') return scrubText(value);
  if (typeof value !== 'object' || value === null) return typeof value === 'bigint' ? String(value) : value;
  if (ArrayBuffer.isView(value)) return `${value.byteLength} bytes`;
  if (depth >= DEPTH_MAX) return '…';
  if (value instanceof Error) return scrubError(value, depth);
  if (Array.isArray(value)) return value.slice(0, ITEMS_MAX).map((item) => scrub(item, depth + 1));
  if (value instanceof Map || value instanceof Set) return scrub([...value], depth + 1);
  const out: Record<string, unknown> = Object.create(null);
  for (const [name, item] of Object.entries(value).slice(0, ITEMS_MAX)) {
    out[name] =
      SECRET_NAME.test(name) && typeof item !== 'number' && typeof item !== 'boolean' ? HIDDEN : scrub(item, depth + 1);
  }
  return out;
}

/** Type, message, stack, code and cause; what else libraries hang on an error may be a whole request. */
function scrubError(error: Error, depth: number): Record<string, unknown> {
  const { code, remedy } = error as { code?: unknown; remedy?: unknown };
  const out: Record<string, unknown> = { type: error.name, message: scrubText(error.message) };
  if (code !== undefined) out.code = scrub(code, depth + 1);
  if (typeof remedy === 'string' && remedy !== '') out.remedy = remedy;
  if (error.stack !== undefined) out.stack = scrubText(error.stack);
  if (error.cause !== undefined) out.cause = scrub(error.cause, depth + 1);
  return out;
}
