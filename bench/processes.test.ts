import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { costBetween, OwnMemory, parseStat, processTree, sampleTree, sluiceName } from './processes.ts';

describe('what processes cost', () => {
  it('reads /proc/PID/stat, whatever the name of the process holds', () => {
    const rest = 'S 42 1 1 0 -1 4194304 100 0 0 0 123 45 6 7 20 0 11 0 100 1 2';
    expect(parseStat(`7 (node) ${rest}`)).toEqual({ parent: 42, ticks: 168 });
    expect(parseStat(`7 (a) b (c) 9 9 9) ${rest}`)).toEqual({ parent: 42, ticks: 168 });
  });

  it('finds the children of a process and what they use', async () => {
    // A parent with a child that burns CPU, both told by their arguments.
    const burn =
      'const end = Date.now() + 300; while (Date.now() < end); console.log("done"); setInterval(() => {}, 1000)';
    const parent = `require('child_process').spawn(process.execPath, ['-e', ${JSON.stringify(burn)}, 'main.js', 'run', 'burner'], { stdio: ['ignore', 'inherit', 'inherit'] }); setInterval(() => {}, 1000)`;
    const child = spawn(process.execPath, ['-e', parent, 'main.js', 'start'], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(child, 'spawn');
    const before = sampleTree(child.pid!, sluiceName);
    await once(child.stdout, 'data');
    const after = sampleTree(child.pid!, sluiceName);
    const tree = processTree(child.pid!);
    for (const pid of tree) process.kill(pid, 'SIGKILL');
    expect(tree.length).toBe(2);
    const costs = costBetween(before, after);
    expect(costs.map((cost) => cost.name).sort()).toEqual(['burner', 'supervisor']);
    const burner = costs.find((cost) => cost.name === 'burner')!;
    expect(burner.cpuMicros).toBeGreaterThan(100_000);
    expect(burner.peakMemoryBytes).toBeGreaterThan(10e6);
  });

  it('adds up processes of one name, and counts one that was started meanwhile whole', () => {
    const before = [{ pid: 1, name: 'door', cpuMicros: 100, peakMemoryBytes: 10, ownMemoryBytes: 4 }];
    const after = [
      { pid: 1, name: 'door', cpuMicros: 150, peakMemoryBytes: 20, ownMemoryBytes: 5 },
      { pid: 2, name: 'door', cpuMicros: 7, peakMemoryBytes: 30, ownMemoryBytes: 6 },
    ];
    expect(costBetween(before, after)).toEqual([{ name: 'door', cpuMicros: 57, peakMemoryBytes: 50 }]);
    expect(processTree(2 ** 30)).toEqual([]);
  });

  it('keeps the most memory of their own that processes were seen with', () => {
    const of = (pid: number, name: string, ownMemoryBytes: number) => ({
      ...{ pid, name, ownMemoryBytes },
      ...{ cpuMicros: 0, peakMemoryBytes: 0 },
    });
    let now = [of(1, 'door', 10), of(2, 'store', 50)];
    const memory = new OwnMemory(() => now);
    now = [of(1, 'door', 5), of(2, 'store', 60), of(3, 'door', 7)];
    expect([...memory.stop()]).toEqual([
      ['door', 17],
      ['store', 60],
    ]);
    const [self] = sampleTree(process.pid, () => 'test');
    expect(self.ownMemoryBytes).toBeGreaterThan(1e6);
    expect(self.ownMemoryBytes).toBeLessThanOrEqual(self.peakMemoryBytes);
  });

  it('names the roles by their command line', () => {
    expect(sluiceName(['node', '--flag', '/x/dist/cli/main.js', 'run', 'door', '--data', 'd'])).toBe('door');
    expect(sluiceName(['node', '/x/dist/cli/main.js', 'start'])).toBe('supervisor');
    expect(sluiceName(['java'])).toBeNull();
  });
});
