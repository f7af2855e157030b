import { execFile, execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openStore } from '../clickhouse.ts';
import { type SpawnedStore, spawnStore } from './spawned.ts';

const run = promisify(execFile);

/** The tool `go` compiles the client, which takes a minute the first time. Without it the test is left out, but not where CI is set. */
const hasGo = (() => {
  try {
    execFileSync('go', ['version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
})();
const isCi = process.env.CI !== undefined;

describe.skipIf(!hasGo && !isCi)(`clickhouse-go in HTTP mode${hasGo ? '' : ' (left out: go is not installed)'}`, () => {
  let store: SpawnedStore;
  beforeAll(async () => {
    store = await spawnStore();
    const client = openStore({ url: store.url, ...store.credentials, database: 'default' });
    await client.command('CREATE DATABASE web');
    await client.command(
      'CREATE TABLE web.go_readings (device String, metric LowCardinality(String), ts DateTime64(3), value Float64, text String, cleared Nullable(DateTime64(3))) ENGINE = MergeTree ORDER BY ts',
    );
    await client.command(
      "INSERT INTO web.go_readings SELECT 'd' || toString(number), 'temperature', toDateTime64(1700000000.125 + number, 3, 'UTC'), number / 2, 'é', if(number = 0, NULL, now64(3)) FROM numbers(2)",
    );
    await client.close();
  });
  afterAll(() => store?.remove());

  it('opens, reads typed rows, long results and parameters, and sees errors, plain and compressed', {
    timeout: 900_000,
  }, async () => {
    const cwd = fileURLToPath(new URL('./go', import.meta.url));
    const { stdout } = await run('go', ['run', '.', new URL(store.url).host], { cwd, timeout: 880_000 });
    const once = [
      'server sluice 0',
      'row d0 temperature 22:13:20.125 0 é true',
      'row d1 temperature 22:13:21.125 0.5 é false',
      'numbers 200000 19999900000 <nil>',
      'parameter 42',
      'refused true',
    ];
    expect(stdout.trim().split('\n')).toEqual([...once, ...once]);
  });
});
