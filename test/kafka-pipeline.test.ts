import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { blast } from '../device-sim/blast.ts';
import { expectExactly } from './accounted.ts';
import { type KafkaBroker, startKafka } from './kafka.ts';
import { eventually, type Program, startProgram } from './program.ts';

const config = `
version: 1
processors:
  idleMs: 2s
  checkpointMs: 500ms
windows:
  - name: 10s
    sizeMs: 10s
    outOfOrderMs: 1s
    allowedLatenessMs: 1h
`;

const kafka = await startKafka();
if ('skip' in kafka) console.warn(`skipped: ${kafka.skip}`);

describe.skipIf('skip' in kafka)('the whole pipeline on real Kafka', () => {
  const broker = kafka as KafkaBroker;
  let program: Program;
  let second: ChildProcess | undefined;

  beforeAll(async () => {
    program = await startProgram({ config, args: ['--kafka', broker.brokers] });
  }, 240_000);

  afterAll(async () => {
    second?.kill('SIGKILL');
    await program?.remove();
    await broker.stop();
  }, 240_000);

  /** How many partitions each processor works at, as it tells itself. */
  const partitionsOf = async (): Promise<number[]> => {
    const text = await (await fetch(`${program.httpUrl}/metrics`)).text();
    return [...text.matchAll(/^sluice_processor_partitions\{[^}]*\} (\d+)$/gm)].map((m) => Number(m[1]));
  };

  it('stores what was acknowledged, while a second processor joins the group and is killed again', async () => {
    const main = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
    const published = blast({
      url: program.mqttUrl,
      connections: 20,
      messages: 120_000,
      ratePerSecond: 8_000,
      drainMs: 60_000,
    });
    second = spawn(
      process.execPath,
      [
        main,
        'run',
        'processor',
        '--kafka',
        broker.brokers,
        '--clickhouse-http',
        new URL(program.clickhouseUrl).host,
      ].concat('--data', program.dataDir, '--config', join(program.dataDir, '..', 'sluice.yaml')),
      { stdio: 'ignore' },
    );
    await eventually('two processors that share the partitions', async () => {
      const counts = await partitionsOf();
      return counts.length === 2 && counts.every((n) => n > 0 && n < 8) && counts[0] + counts[1] === 8;
    });
    second.kill('SIGKILL');
    const result = await published;
    expect(result.unacknowledged).toBe(0);
    await expectExactly(program, result);
  }, 180_000);

  it('finds its place again after a stop and a start', async () => {
    expect(await program.stop()).toBe(0);
    await program.restart();
    const result = await blast({
      url: program.mqttUrl,
      connections: 5,
      messages: 5_000,
      devicePrefix: 'later',
      drainMs: 60_000,
    });
    expect(result.unacknowledged).toBe(0);
    await eventually('the later ones', async () => {
      const [row] = await program.query<{ n: string }>(
        `SELECT count() AS n FROM sluice.readings FINAL WHERE startsWith(device, 'later')`,
      );
      return Number(row.n) === result.expected.readings;
    });
  }, 240_000);
});
