import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { projectRoot } from './children.ts';
import type { Report } from './result.ts';

it('measures the real program and finds it right', { timeout: 120_000 }, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
  const json = join(folder, 'result.json');
  const args = ['--seconds', '1', '--warm-up', '0.5', '--connections', '8', '--rate', '20000', '--no-peers'];
  const main = join(projectRoot(), 'dist/bench/main.js');
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [main, ...args, '--dir', folder, '--json', json]);
    expect(stdout).toContain('| sluice-lmdb |');
    const report = JSON.parse(await readFile(json, 'utf8')) as Report;
    const [round] = report.runs[0].rounds;
    expect(round.problems).toEqual([]);
    expect(round.messages).toBeGreaterThan(0);
    expect(round.readings).toBe(round.messages * 3);
    expect(round.storedPerSecond).toBeGreaterThan(0);
    expect(round.processes.map((p) => p.name).sort()).toEqual(
      ['door', 'gateway', 'generator', 'processor', 'store', 'supervisor'].sort(),
    );
    for (const name of ['door', 'processor', 'store']) {
      const cost = round.processes.find((p) => p.name === name)!;
      expect(cost.cpuMicrosPerMessage).toBeGreaterThan(0);
      expect(cost.peakMemoryBytes).toBeGreaterThan(20e6);
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
