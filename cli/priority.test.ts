import { execFileSync } from 'node:child_process';
import { getPriority } from 'node:os';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { configSchema } from '../config/schema.ts';
import { niceOf } from './priority.ts';
import { ROLES } from './roles.ts';

/** A process that lowers its priority, as `sluice run` does, and tells that of each thread; its pool is begun only then. */
const PROGRAM = `
import { readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { getPriority, setPriority } from 'node:os';
const [, file, by, before] = process.argv;
for (const id of process.platform === 'linux' ? readdirSync('/proc/self/task') : [0]) setPriority(Number(id), Number(before));
const { lowerPriority } = await import(file);
const lines = [];
const note = (message) => lines.push(message);
lowerPriority(Number(by), { debug: note, info: note, warn: note, error: note });
await Promise.all([readFile(process.execPath), readFile(process.execPath)]);
const ids = process.platform === 'linux' ? readdirSync('/proc/self/task').map(Number) : [0];
console.log(JSON.stringify({ nice: [...new Set(ids.map((id) => getPriority(id)))], threads: ids.length, lines }));
`;

const FILE = new URL('../dist/cli/priority.js', import.meta.url).href;

function threadsOf(by: number, before: number): { nice: number[]; threads: number; lines: string[] } {
  const args = ['--input-type=module', '-e', PROGRAM, FILE, String(by), String(before)];
  const out = execFileSync(process.execPath, args, { cwd: fileURLToPath(new URL('..', import.meta.url)) });
  return JSON.parse(out.toString());
}

describe.skipIf(process.platform === 'win32')(
  'the priority of a role (Windows has classes instead of nice values)',
  () => {
    const own = getPriority();

    it.each([0, 3, 5])(
      'is that of whoever started it and %i, in every thread, those that are there and those that come',
      (by) => {
        const { nice, threads, lines } = threadsOf(by, own);
        expect(nice).toEqual([Math.min(19, own + by)]);
        if (process.platform === 'linux') expect(threads).toBeGreaterThan(2);
        expect(lines).toEqual(by === 0 ? [] : ['gives way to other roles']);
      },
    );

    it('ends at the lowest', () => {
      expect(threadsOf(3, Math.max(own, 7)).nice).toEqual([Math.min(19, Math.max(own, 7) + 3)]);
      expect(threadsOf(5, Math.max(own, 16)).nice).toEqual([19]);
    });

    it('is lower for processors and the embedded store than for what devices wait for, unless the settings say otherwise', () => {
      const nices = (settings: object) => {
        const config = configSchema.parse({ version: 1, ...settings });
        return Object.fromEntries(ROLES.map((role) => [role, niceOf(role, config)]));
      };
      expect(nices({})).toEqual({ store: 5, door: 0, processor: 3, gateway: 0 });
      expect(nices({ processors: { nice: 0 }, store: { nice: 1 } })).toEqual({
        store: 1,
        door: 0,
        processor: 0,
        gateway: 0,
      });
    });
  },
);
