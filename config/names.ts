import { clip } from './quantity.ts';

/** Rules for names that become part of something else: an MQTT topic, a table row, a message. */

interface Wrong {
  what: string;
  remedy: string;
}

/** A name that must be one level of an MQTT topic: not empty, no `/`, no wildcards, and well-formed UTF-8. */
export function topicLevelProblem(name: string, noun: string): Wrong | null {
  if (name === '') return { what: `${noun} must not be empty`, remedy: 'write a short name, as greenhouse-01' };
  const bad = /[/+#\0]/.exec(name);
  if (bad !== null) {
    return {
      what: `"${clip(name)}" has the character ${bad[0] === '\0' ? 'NUL' : bad[0]}, but ${noun} is one level of an MQTT topic`,
      remedy: `leave out / + and #, as ${suggest(name)}`,
    };
  }
  if (/\p{Surrogate}/u.test(name))
    return { what: `"${clip(name)}" is not well-formed Unicode`, remedy: 'write it anew' };
  if (Buffer.byteLength(name) > 256)
    return { what: `${noun} of ${Buffer.byteLength(name)} bytes`, remedy: 'write 256 bytes or fewer' };
  return null;
}

function suggest(name: string): string {
  const cleaned = name.replace(/[/+#\0]+/g, '-').replace(/^-+|-+$/g, '');
  return cleaned === '' ? 'too-hot' : clip(cleaned);
}

/** What may stand between braces in an alarm's message. */
export const PLACEHOLDERS: readonly string[] = ['device', 'metric', 'value', 'threshold'];

/** Braces of a message: each pair holds a known name. */
export function messageProblem(message: string): Wrong | null {
  const known = PLACEHOLDERS.map((name) => `{${name}}`).join(', ');
  for (const [whole, name] of message.matchAll(/\{([^{}]*)\}/g)) {
    if (!PLACEHOLDERS.includes(name)) return { what: `unknown placeholder ${clip(whole)}`, remedy: `use ${known}` };
  }
  return null;
}

/** A ClickHouse identifier that needs no quoting. */
export function identifierProblem(name: string): Wrong | null {
  if (/^[A-Za-z_][A-Za-z0-9_]{0,62}$/.test(name)) return null;
  return { what: `"${clip(name)}" is not a plain database name`, remedy: 'use letters, digits and _, as sluice' };
}

/** The URL of a ClickHouse server, without credentials: those would end in logs. */
export function storeUrlProblem(text: string): Wrong | null {
  const remedy = 'write the HTTP address, as http://127.0.0.1:8123 or https://clickhouse.example:8443';
  if (!URL.canParse(text)) return { what: 'not a URL', remedy };
  const url = new URL(text);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    return { what: `${clip(url.protocol)}// is not ClickHouse's HTTP interface`, remedy };
  }
  if (url.username !== '' || url.password !== '') {
    return { what: 'a URL with credentials in it', remedy: 'use store.username and store.passwordFile' };
  }
  if (url.port === '9000') {
    return { what: "port 9000 is ClickHouse's native protocol", remedy: 'use its HTTP port, 8123 by default' };
  }
  return null;
}

/** A list entry that names devices or metrics; `*` stands for any run of characters. */
export function patternProblem(pattern: string): Wrong | null {
  if (pattern === '') return { what: 'an empty pattern', remedy: 'write a name, or * for every one' };
  return null;
}
