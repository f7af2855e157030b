import { createWriteStream } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { collectGarbage } from '../model/collect-garbage.fixture.ts';
import { startBroker, type TestBroker } from './broker.fixture.ts';
import { readRows } from './measurement-file.ts';
import { type ReplayOptions, replay } from './replay.ts';

let folder = '';
let broker: TestBroker;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-replay-'));
  broker = await startBroker();
});
afterEach(() => {
  broker.messages.length = 0;
});
afterAll(async () => {
  await broker.stop();
  await rm(folder, { recursive: true });
});

/** Bytes that are in use after a full collection. */
function heldBytes(): number {
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

let files = 0;
async function fileOf(text: string, ending = 'csv'): Promise<string> {
  const path = join(folder, `data-${files++}.${ending}`);
  await writeFile(path, text);
  return path;
}

async function play(text: string, options: Partial<ReplayOptions> = {}, ending = 'csv') {
  const file = await fileOf(text, ending);
  const result = await replay({ file, url: broker.url, speed: 'max', ...options });
  const got = broker.messages.map((m) => [m.client, JSON.parse(m.payload.toString())]);
  return { file, result, got };
}

const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => 'no error',
    (error: Error) => error.message.replace(folder, ''),
  );

describe('replay', () => {
  it('publishes a CSV: device, time and numeric columns found by themselves', async () => {
    const { result, got } = await play(
      '\uFEFFtimestamp,device_id,temp,hum,note,on\n' +
        '2024-01-01T00:00:00Z,a,21.5,,fine,true\n' +
        '2024-01-01 00:00:01,b,-3e2,40,"so, so",false\n\n' +
        '2024-01-01T00:00:02Z,a,NaN,41.25,,TRUE\n',
    );
    const t = Date.UTC(2024, 0, 1);
    expect(got.filter(([client]) => client === 'a')).toEqual([
      ['a', { ts: t, temp: 21.5, on: true }],
      ['a', { ts: t + 2000, hum: 41.25, on: true }],
    ]);
    expect(got.filter(([client]) => client === 'b')).toEqual([['b', { ts: t + 1000, temp: -300, hum: 40, on: false }]]);
    expect(result).toMatchObject({ rows: 3, devices: 2, published: 3, acknowledged: 3, readings: 7, rowsSkipped: 0 });
  });

  it('takes columns by name, texts too, other delimiters, and one device for a file', async () => {
    const { got } = await play('when;x;state\n1700000000;1;run\n1700000001;2;stop\n', {
      device: 'press',
      timeColumn: 'when',
      metrics: ['state', 'x'],
    });
    expect(got).toEqual([
      ['press', { ts: 1_700_000_000_000, state: 'run', x: 1 }],
      ['press', { ts: 1_700_000_001_000, state: 'stop', x: 2 }],
    ]);
  });

  it('publishes NDJSON, nested values with dots, and names that objects have by nature', async () => {
    const { got } = await play(
      '{"device":"m","ts":1700000000000,"values":{"rpm":1500,"ok":true,"note":"x"},"list":[1]}\n\n' +
        '{"device":"m","ts":1700000001000,"constructor":1,"__proto__":2}\r\n{"device":"m","ts":1700000002000,"v":null}',
      {},
      'ndjson',
    );
    expect(got.map(([, v]) => JSON.stringify(v))).toEqual([
      '{"ts":1700000000000,"values.rpm":1500,"values.ok":true}',
      '{"ts":1700000001000,"constructor":1,"__proto__":2}',
    ]);
  });

  it('says file, line and what is wrong', async () => {
    const csv = async (text: string, options: Partial<ReplayOptions> = {}) => failure(play(text, options));
    const name = (n: number) => `/data-${n}.csv`;
    let n = files;
    expect(await csv('device,ts,v\na,1700000000,1\na,yesterday,2\n')).toBe(
      `${name(n++)}:3: 'yesterday' in column 'ts' is not a time`,
    );
    expect(await csv('device,ts,v\na,1700000000,1\na,1700000001,2,3\n')).toMatch(`${name(n++)}:3: 4 cells`);
    expect(await csv('device,ts,v\na,1700000000,1\na,1700000001,high\n')).toMatch(
      `${name(n++)}:3: 'high' in column 'v' is not a number`,
    );
    expect(await csv('device,ts,v\na/b,1700000000,1\n')).toMatch(`${name(n++)}:2: 'a/b' in column 'device'`);
    expect(await csv('what,ts,v\na,1700000000,1\n')).toMatch(`${name(n++)}:2: no column is known to be the device`);
    expect(await csv('device,ts,v\na,1700000000,1\n', { metrics: ['w'] })).toMatch(
      `${name(n++)}:2: there is no column 'w'`,
    );
    expect(await csv('device,ts,v,v\na,1700000000,1,2\n')).toMatch(`${name(n++)}:1: the column 'v' is there twice`);
    expect(await csv('device,ts,v\na,1700000000,"1\n')).toMatch(new RegExp(`${name(n++)}:\\d: `));
    n = files;
    expect(await failure(play('{"device":"a","ts":1,"v":1}\n{"device"\n', {}, 'ndjson'))).toMatch(
      `/data-${n}.ndjson:2: not JSON`,
    );
    expect(await failure(play('[1]\n', {}, 'jsonl'))).toMatch(`/data-${n + 1}.jsonl:1: not an object`);
    expect(await failure(play('x', {}, 'xls'))).toMatch('does not tell the format');
    expect(await failure(replay({ file: '/nowhere.csv', url: broker.url }))).toMatch(
      '/nowhere.csv: there is no such file',
    );
    expect(await failure(play('device,ts,v\na,1,1\n', { speed: 0 }))).toMatch('a speed of 0');
    expect(await failure(play('device,ts,v\na,1,1\nb,1,1\nc,1,1\n', { devicesMax: 2 }))).toMatch('more than 2 devices');
  });

  it('goes on after bad rows when told to', async () => {
    const { result, file } = await play('device,ts,v\na,1,1\na,x,2\na,3,3\n', { onBadRow: 'skip' });
    expect(result).toMatchObject({ rows: 3, rowsSkipped: 1, acknowledged: 2 });
    expect(result.firstSkipped).toBe(`${file}:3: 'x' in column 'ts' is not a time`);
  });

  it('keeps the pace of the measurements, or a multiple of it', async () => {
    const rows = Array.from({ length: 11 }, (_, i) => `a,${1_700_000_000_000 + i * 1000},${i}`).join('\n');
    const before = performance.now();
    const { result } = await play(`device,ts,v\n${rows}\n`, { speed: 20 });
    expect(performance.now() - before).toBeGreaterThan(480);
    expect(result.acknowledged).toBe(11);
    const stop = new AbortController();
    setTimeout(() => stop.abort(), 100);
    const cut = await play(`device,ts,v\n${rows}\n`, { speed: 1, signal: stop.signal });
    expect(cut.result.published).toBeLessThan(11);
  });

  it('publishes again what was lost with a connection, in order', async () => {
    const fragile = await startBroker({ loseAcks: (n) => n % 150 === 0 && n < 800 });
    const file = await fileOf(`device,ts,v\n${Array.from({ length: 2000 }, (_, i) => `a,${i},${i}`).join('\n')}\n`);
    const result = await replay({ file, url: fragile.url, speed: 'max' });
    await fragile.stop();
    expect(result.acknowledged).toBe(2000);
    const values = [...new Set(fragile.messages.map((m) => JSON.parse(m.payload.toString()).v))];
    expect(values).toEqual(Array.from({ length: 2000 }, (_, i) => i));
  });

  it('reads a large file without holding it', async () => {
    const file = join(folder, 'large.csv');
    const out = createWriteStream(file);
    out.write(`device,ts,v${Array.from({ length: 99 }, (_, i) => `,c${i}`).join('')}\n`);
    const block = Array.from(
      { length: 10_000 },
      (_, i) => `device-${i % 50},${1_700_000_000_000 + i},${i}.25${',7'.repeat(99)}`,
    ).join('\n');
    for (let i = 0; i < 12; i++)
      if (!out.write(`${block}\n`)) await new Promise<void>((resolve) => out.once('drain', () => resolve()));
    out.end();
    await finished(out);
    // What is held, not what the collector has not come to yet: that depends on how busy the machine is.
    const before = heldBytes();
    let rows = 0;
    let peak = 0;
    for await (const row of readRows(file, 'csv')) {
      if (++rows % 20_000 === 0) peak = Math.max(peak, heldBytes() - before);
      if (rows === 120_000) expect(row.line).toBe(120_001);
    }
    expect(rows).toBe(120_000);
    expect(peak).toBeLessThan(10e6);
  });
});
