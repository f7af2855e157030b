import { mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SluiceError } from '../model/errors.ts';
import { createLogger } from './logger.ts';
import { scrub, scrubText } from './scrub.ts';

const SECRET = 'h0nTer2-qWx9';
const NAMES = [
  'password',
  'passwordHash',
  'saslPassword',
  'sasl',
  'clientSecret',
  'token',
  'accessToken',
  'authorization',
  'Authorization',
  'cookie',
  'credentials',
  'privateKey',
  'api_key',
  'payload',
  'passphrase',
];

const parseError = (): unknown => {
  try {
    return JSON.parse(`{"pin": ${SECRET}}`);
  } catch (error) {
    return error;
  }
};

/** Texts that libraries, servers and people make of a secret. */
const TEXTS = [
  `connect to https://sluice:${SECRET}@clickhouse:8443/ failed`,
  `kafka://${SECRET}@broker:9092`,
  `Authorization: Bearer ${SECRET}`,
  `Basic ${SECRET}aaaa`,
  `password=${SECRET}`,
  `{"password":"${SECRET}"}`,
  `password: '${SECRET} with spaces'`,
  `?user=a&password=${SECRET}&x=1`,
  `CREATE USER a IDENTIFIED WITH sha256_password BY '${SECRET}'`,
  `scrypt$16384$8$1$${Buffer.from(SECRET).toString('base64')}$${Buffer.from(SECRET.repeat(3)).toString('base64')}`,
  `-----BEGIN EC PRIVATE KEY-----\n${SECRET}\n-----END EC PRIVATE KEY-----`,
  `-----BEGIN PRIVATE KEY-----\n${SECRET} and cut off`,
];

const leaks = (text: string): boolean =>
  text.includes(SECRET) || text.includes(Buffer.from(SECRET).toString('base64').replace(/=+$/, ''));

describe('what is logged', () => {
  it('holds no secret by its looks, wherever in a text it stands', () => {
    for (const text of TEXTS) expect(leaks(scrubText(`before ${text} after`)), text).toBe(false);
    expect(scrubText((parseError() as Error).message)).not.toContain(SECRET.slice(0, 6));
  });

  it('holds no secret by its name, at any depth and in any nesting', () => {
    const shape = fc.letrec((tie) => ({
      node: fc.oneof(
        { maxDepth: 5 },
        fc.constantFrom(...NAMES).map((name) => ({ [name]: SECRET })),
        fc.constantFrom(...NAMES).map((name) => ({ [name]: { inner: [SECRET] } })),
        fc.constantFrom(...TEXTS),
        fc.array(tie('node'), { maxLength: 3 }),
        fc.dictionary(fc.constantFrom('a', 'constructor', '__proto__', 'error'), tie('node'), { maxKeys: 3 }),
        tie('node').map((cause) => new Error(TEXTS[0], { cause })),
        tie('node').map((values) => new SluiceError('LOG_FULL', TEXTS[4], { cause: values })),
      ),
    }));
    fc.assert(
      fc.property(shape.node, (value) => {
        expect(leaks(JSON.stringify(scrub({ value })))).toBe(false);
      }),
    );
  });

  it('keeps what an operator needs', () => {
    const values = { partition: 3, offset: 12, client: 'pump-1', topic: 'devices/pump-1/telemetry', tokens: 5 };
    expect({ ...(scrub(values) as object) }).toEqual(values);
    expect(scrubText('the log is full: 16 GiB of 16 GiB')).toBe('the log is full: 16 GiB of 16 GiB');
    const error = scrub(new SluiceError('LOG_FULL', 'no room', { cause: new Error('ENOSPC') }));
    expect(error).toMatchObject({ code: 'LOG_FULL', message: 'no room', cause: { message: 'ENOSPC' } });
  });

  it('is bounded, and takes what cannot be written as JSON', () => {
    const circle: Record<string, unknown> = { big: 10n, bytes: new Uint8Array(5) };
    circle.self = circle;
    const text = JSON.stringify(scrub({ circle, long: 'x'.repeat(100_000), many: new Array(10_000).fill('y') }));
    expect(text.length).toBeLessThan(20_000);
    expect(text).toContain('5 bytes');
  });

  it('is written without secrets in both formats', () => {
    const dir = mkdtempSync(join(tmpdir(), 'sluice-log-'));
    try {
      for (const format of ['json', 'pretty'] as const) {
        const file = join(dir, format);
        const logger = createLogger({ role: 'door', level: 'debug', format, fd: openSync(file, 'w') });
        for (const text of TEXTS)
          logger.error(text, { error: new Error(text), text, password: SECRET, deep: { sasl: { password: SECRET } } });
        logger.warn('could not be read', { error: parseError() });
        logger.info('shown', { client: 'pump-1', level: 5 });
        const written = readFileSync(file, 'utf8');
        expect(leaks(written), format).toBe(false);
        expect(written).toContain('pump-1');
      }
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });
});
