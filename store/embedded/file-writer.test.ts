import { mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { FileWriter } from './file-writer.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sluice-file-writer-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

it('writes what it is given, in order, however it is cut', async () => {
  const path = join(dir, 'file');
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof(fc.nat(2000), fc.integer({ min: 60_000, max: 1_500_000 })), { maxLength: 8 }),
      async (lengths) => {
        const pieces = lengths.map((length, i) => Buffer.alloc(length, i + 1));
        const file = await open(path, 'w');
        await pipeline(Readable.from(pieces), new FileWriter(file));
        await file.close();
        expect(Buffer.compare(await readFile(path), Buffer.concat(pieces))).toBe(0);
      },
    ),
    { numRuns: 50 },
  );
});

it('writes on where a write took only a part', async () => {
  const path = join(dir, 'short');
  const file = await open(path, 'w');
  const whole = file.writev.bind(file);
  file.writev = (async (pieces: Buffer[]) => whole([pieces[0].subarray(0, 3)])) as typeof file.writev;
  await pipeline(Readable.from([Buffer.from('first '), Buffer.from('second')]), new FileWriter(file));
  await file.close();
  expect(await readFile(path, 'utf8')).toBe('first second');
});

it('fails with what the file says', async () => {
  const file = await open(join(dir, 'only-read'), 'w');
  await file.close();
  await expect(pipeline(Readable.from([Buffer.from('a')]), new FileWriter(file))).rejects.toThrow();
});
