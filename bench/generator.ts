import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { BlastOptions, BlastResult } from '../device-sim/blast.ts';
import { projectRoot } from './children.ts';

/** Blasts from a process of its own, so that it shares nothing with the bench but the machine; `cores` as taskset takes them. Rejects with what it wrote. */
export async function runBlast(
  options: Omit<BlastOptions, 'signal' | 'onProgress'>,
  cores?: string,
): Promise<BlastResult> {
  const main = join(projectRoot(), 'dist/device-sim/blast-main.js');
  const node = [process.execPath, main, JSON.stringify(options)];
  const [command, ...args] = cores === undefined ? node : ['taskset', '-c', cores, ...node];
  const { stdout } = await promisify(execFile)(command, args, { maxBuffer: 16 * 1024 * 1024 });
  return JSON.parse(stdout) as BlastResult;
}
