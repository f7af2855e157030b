import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { loadConfig } from '../config/load.ts';
import { kafkaConnection } from './engines.ts';

it('speaks to Kafka as the settings say: TLS with their authority, SASL with the password of the file', () => {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-engines-'));
  try {
    writeFileSync(join(dir, 'ca.pem'), 'CA');
    writeFileSync(join(dir, 'password'), 'secret\n');
    const connection = (kafka: string) =>
      kafkaConnection(
        'door',
        loadConfig({ cwd: dir, text: `version: 1\nlog: { kafka: { brokers: [b:9092], ${kafka} } }\n` }),
      );
    expect(connection('tls: false')).toMatchObject({ brokers: ['b:9092'], tls: null, sasl: undefined });
    expect(connection('tls: true').tls).toEqual({ ca: null });
    expect(connection('tls: true, caFile: ca.pem').tls).toEqual({ ca: 'CA' });
    expect(connection('tls: true, sasl: { mechanism: plain, username: u, passwordFile: password }').sasl).toEqual({
      mechanism: 'plain',
      username: 'u',
      password: 'secret',
    });
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});
