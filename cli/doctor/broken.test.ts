import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openLmdbLog } from '../../log/lmdb.ts';
import { chunkKey } from '../../log/lmdb-checkpoint-codec.ts';
import { openLmdbCheckpoints } from '../../log/lmdb-checkpoints.ts';
import { openWritableEnv } from '../../log/lmdb-env.ts';
import { encodeMessage } from '../../model/frame.ts';
import { TELEMETRY } from '../../model/topics.ts';
import { type Diagnosis, diagnose, report } from '../doctor.ts';
import { checkCertificate } from './access.ts';
import type { Check } from './check.ts';

/** The doctor on real parts that are broken in the ways that happen. */

let dir: string;
let servers: Server[];
const sockets: Socket[] = [];

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'sluice-doctor-'));
  servers = [];
});

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  for (const server of servers) await new Promise((resolve) => server.close(resolve));
  rmSync(dir, { recursive: true, force: true });
});

async function occupied(): Promise<number> {
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    socket.end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}');
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as { port: number }).port;
}

async function freePort(): Promise<number> {
  const port = await occupied();
  await new Promise((resolve) => servers.pop()?.close(resolve));
  return port;
}

async function look(
  config = '',
  ports: Partial<Record<'mqtt' | 'http' | 'clickhouseHttp', number>> = {},
): Promise<Diagnosis> {
  const file = join(dir, 'sluice.yaml');
  writeFileSync(file, `version: 1\ndataDir: ./data\n${config}`);
  const at = async (port: number | undefined): Promise<string> => `127.0.0.1:${port ?? (await freePort())}`;
  return diagnose({
    config: file,
    mqtt: await at(ports.mqtt),
    http: await at(ports.http),
    clickhouseHttp: await at(ports.clickhouseHttp),
  });
}

const find = ({ checks }: Diagnosis, name: string): Check | undefined => checks.find((check) => check.name === name);

async function withLog(partitions: number, frames: number): Promise<void> {
  const log = await openLmdbLog({
    dir: join(dir, 'data', 'log'),
    partitions,
    writes: [TELEMETRY],
    mapBytesMax: 2 ** 34,
  });
  for (let i = 0; i < frames; i++) {
    await log.append(TELEMETRY, i % partitions, encodeMessage(Date.now(), 'd', 't', new Uint8Array(10)));
  }
  await log.close();
}

describe('doctor', () => {
  it('finds nothing wrong with a machine where nothing has run yet', async () => {
    const found = await look();
    expect(found.checks.filter((c) => c.state === 'fail')).toEqual([]);
    expect(find(found, 'data.folder')?.what).toContain('will be made');
    expect(find(found, 'log')?.what).toContain('no log');
    expect(report(found)).toMatch(/\d+ well, \d+ to look at, 0 failed$/);
  });

  it('tells settings that are wrong, and checks what needs none', async () => {
    const found = await look('log: { partitons: 3 }\n');
    expect(found.state).toBe('fail');
    expect(find(found, 'settings')?.what).toContain('did you mean');
    expect(find(found, 'node')).toBeDefined();
  });

  it('tells ports that others have', async () => {
    const found = await look('', { mqtt: await occupied(), http: await occupied() });
    expect(find(found, 'port.mqtt.listen')).toMatchObject({ state: 'fail' });
    expect(find(found, 'port.gateway.listen')?.what).toContain('taken by another program');
    expect(find(found, 'port.store.listen')).toMatchObject({ state: 'ok' });
  });

  it('tells an address that is not of this machine', async () => {
    const found = await look('health: { door: "192.0.2.1:9101" }\n');
    expect(find(found, 'port.health.door')).toMatchObject({ state: 'fail' });
  });

  it('tells a data folder that is a file, or that others may write', async () => {
    mkdirSync(join(dir, 'data'));
    chmodSync(join(dir, 'data'), 0o777);
    expect(find(await look(), 'data.folder')?.what).toContain('every user');
    rmSync(join(dir, 'data'), { recursive: true });
    writeFileSync(join(dir, 'data'), '');
    expect(find(await look(), 'data.folder')).toMatchObject({ state: 'fail' });
  });

  it('tells a log of other partitions, from what is stored', async () => {
    await withLog(4, 8);
    expect(find(await look('log: { partitions: 4 }\n'), 'log.layout')).toMatchObject({ state: 'ok' });
    const found = await look('log: { partitions: 8 }\n');
    expect(find(found, 'log.layout')).toMatchObject({
      state: 'fail',
      remedy: expect.stringContaining('log.partitions to 4'),
    });
  });

  it('tells a log that cannot be read', async () => {
    mkdirSync(join(dir, 'data', 'log', TELEMETRY), { recursive: true });
    const file = join(dir, 'data', 'log', TELEMETRY, 'data.mdb');
    writeFileSync(file, Buffer.alloc(65_536, 0xa5));
    expect(find(await look(), 'log')).toMatchObject({ state: 'fail' });
    rmSync(join(dir, 'data'), { recursive: true });
    await withLog(2, 40);
    truncateSync(file, 3 * 4096);
    expect(find(await look('log: { partitions: 2 }\n'), 'log')?.what).toContain('was cut short');
  });

  it('looks while another writes, and says who; nothing of it is in the way of the writer', async () => {
    const log = await openLmdbLog({
      dir: join(dir, 'data', 'log'),
      partitions: 2,
      writes: [TELEMETRY],
      mapBytesMax: 2 ** 34,
    });
    try {
      await log.append(TELEMETRY, 0, encodeMessage(Date.now(), 'd', 't', new Uint8Array(10)));
      const found = await look('log: { partitions: 2 }\n');
      expect(find(found, 'log.appends')?.what).toContain(`process ${process.pid} writes it`);
      // A door that runs without a store and a gateway is a program in trouble.
      expect(find(found, 'store')).toMatchObject({ state: 'fail' });
      expect(find(found, 'role.gateway')).toMatchObject({ state: 'fail' });
      expect(await log.append(TELEMETRY, 0, encodeMessage(Date.now(), 'd', 't', new Uint8Array(10)))).toBe(1);
    } finally {
      await log.close();
    }
  });

  it('tells checkpoints whole, behind and damaged', async () => {
    await withLog(2, 10);
    const folder = join(dir, 'data', 'checkpoints');
    const open = () => openLmdbCheckpoints({ dir: folder, partitions: 2, onDamaged: () => {} });
    const settings = 'log: { partitions: 2 }\n';
    let checkpoints = await open();
    for (const offsetNext of [2, 3]) await checkpoints.save(0, { offsetNext, state: new Uint8Array(500).fill(7) });
    await checkpoints.close();
    let found = await look(settings);
    expect(find(found, 'checkpoints')).toMatchObject({ state: 'ok' });
    expect(find(found, 'log.replay')?.what).toMatch(/^after a crash now 7 frames are replayed/);

    // The newest of two lies in slot 1.
    const flip = async (slot: number): Promise<void> => {
      const env = openWritableEnv(folder, 2 ** 24);
      const key = chunkKey(0, slot, 0);
      const state = env.read((get) => Uint8Array.from(get(key) as Uint8Array));
      state[250] ^= 1;
      await env.commit([[key, state]]);
      await env.close();
    };
    await flip(1);
    found = await look(settings);
    expect(find(found, 'checkpoints')).toMatchObject({ state: 'warn' });
    await flip(0);
    found = await look(settings);
    expect(find(found, 'checkpoints')).toMatchObject({ state: 'fail' });
    checkpoints = await open();
    await checkpoints.save(0, { offsetNext: 5, state: new Uint8Array(0) });
    await checkpoints.close();
    expect(find(await look(settings), 'checkpoints')).toMatchObject({ state: 'ok' });
  });

  it('tells a store and a Kafka that do not answer', async () => {
    const nobody = await freePort();
    const found = await look(
      `store: { url: "http://127.0.0.1:${nobody}" }\nlog: { kafka: { brokers: ["127.0.0.1:${nobody}"] } }\n`,
    );
    expect(find(found, 'store')).toMatchObject({ state: 'fail', what: expect.stringContaining('does not answer') });
    expect(find(found, 'kafka')).toMatchObject({ state: 'fail' });
    expect(find(found, 'log')).toBeUndefined();
  });

  it('tells certificates that end, or do not match their key', () => {
    const openssl = (...args: string[]): void => void execFileSync('openssl', args, { stdio: 'ignore' });
    const key = join(dir, 'key.pem');
    const cert = join(dir, 'cert.pem');
    const other = join(dir, 'other.pem');
    openssl(
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
      '-nodes',
      '-keyout',
      key,
      '-out',
      cert,
      '-days',
      '90',
      '-subj',
      '/CN=a',
    );
    openssl('genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-out', other);
    const day = 86_400_000;
    const at = (days: number, keyFile: string | null = key): Check =>
      checkCertificate('tls.certificate', cert, keyFile, Date.now() + days * day);
    expect(at(0)).toMatchObject({ state: 'ok' });
    expect(at(0).what).toContain('90 days');
    expect(at(80)).toMatchObject({ state: 'warn' });
    expect(at(91)).toMatchObject({ state: 'fail' });
    expect(at(-2)).toMatchObject({ state: 'fail' });
    expect(at(0, other)).toMatchObject({ state: 'fail' });
    expect(checkCertificate('tls.certificate', key, null, Date.now())).toMatchObject({ state: 'fail' });
    expect(checkCertificate('tls.certificate', join(dir, 'none'), null, Date.now())).toMatchObject({ state: 'fail' });
  });
});
