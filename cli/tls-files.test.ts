import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ManualClock } from '../model/clock.ts';
import { silentLogger } from '../model/logger.ts';
import { readTlsFiles, watchTlsFiles } from './tls-files.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-tls-'));
});
afterEach(() => rm(folder, { recursive: true }));

it('a renewed certificate is handed on once, and one that does not fit yet is tried again', async () => {
  const files = { certFile: join(folder, 'c'), keyFile: join(folder, 'k'), clientCaFile: null };
  await writeFile(files.certFile, 'cert 1');
  await writeFile(files.keyFile, 'key 1');
  const clock = new ManualClock(0);
  const renewed: string[] = [];
  const lines: string[] = [];
  const logger = { ...silentLogger, error: (message: string) => void lines.push(message) };
  const watch = watchTlsFiles(
    files,
    readTlsFiles(files)!,
    ({ cert, key }) => {
      if (String(cert).slice(-1) !== String(key).slice(-1)) throw new Error('they do not belong together');
      renewed.push(String(cert));
    },
    clock,
    logger,
  );
  clock.advance(60_000);
  expect(renewed).toEqual([]);
  await writeFile(files.certFile, 'cert 2');
  clock.advance(30_000);
  expect(renewed).toEqual([]);
  expect(lines).toEqual(['the certificate on disk cannot be used, the old one stays']);
  await writeFile(files.keyFile, 'key 2');
  clock.advance(30_000);
  expect(renewed).toEqual(['cert 2']);
  await rm(files.keyFile);
  clock.advance(30_000);
  await writeFile(files.keyFile, 'key 2');
  clock.advance(30_000);
  expect(renewed).toEqual(['cert 2']);
  watch.cancel();
});

it('there is nothing to read without a certificate', () => {
  expect(readTlsFiles({ certFile: null, keyFile: null, clientCaFile: null })).toBeNull();
});
