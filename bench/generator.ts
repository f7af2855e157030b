import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { BlastOptions, BlastResult } from '../device-sim/blast.ts';
import { projectRoot } from './children.ts';

/** Blasts from a process of its own, so that it shares nothing with the bench but the machine. Rejects with what it wrote. */
export async function runBlast(options: Omit<BlastOptions, 'signal' | 'onProgress'>): Promise<BlastResult> {
  const main = join(projectRoot(), 'dist/device-sim/blast-main.js');
  const { stdout } = await promisify(execFile)(process.execPath, [main, JSON.stringify(options)], {
    maxBuffer: 16 * 1024 * 1024,
  });
  return JSON.parse(stdout) as BlastResult;
}
