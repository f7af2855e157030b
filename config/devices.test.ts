import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { devicesOf } from './device-file.ts';
import { loadConfig } from './load.ts';

const dir = mkdtempSync(join(tmpdir(), 'sluice-devices-'));
afterAll(() => rmSync(dir, { recursive: true }));

const load = (devices: string) => loadConfig({ cwd: dir, text: `version: 1\ndevices:\n${devices}` });
const problemsOf = (devices: string): string => {
  try {
    load(devices);
  } catch (error) {
    return (error as Error).message;
  }
  return '';
};

describe('the registry in the settings', () => {
  it('is read, with names that are members of every object too', () => {
    const config = load(
      '  registry:\n    - { id: a, site: s, tags: { z: "1", __proto__: p, constructor: c }, thresholds: { max: 7.5 } }\n    - id: b\n',
    );
    const [a, b] = devicesOf(config);
    expect([...a.tags]).toEqual([
      ['__proto__', 'p'],
      ['constructor', 'c'],
      ['z', '1'],
    ]);
    expect([...a.thresholds]).toEqual([['max', 7.5]]);
    expect(b).toMatchObject({ id: 'b', name: '', site: '', model: '' });
  });

  it('tells each mistake at its place', () => {
    expect(problemsOf('  registry:\n    - id: a\n      tags: { line: 7 }\n')).toMatch(/5:21.*this is not a text/s);
    expect(problemsOf('  registry:\n    - id: a/b\n')).toMatch(/4:11.*an id is 1 to 256 bytes/s);
    expect(problemsOf('  registry:\n    - id: a\n    - id: a\n')).toMatch(/5:11.*registry\[0\] as well/s);
    expect(problemsOf('  registry:\n    - id: a\n      sitee: x\n')).toMatch(/5:7.*unknown setting/s);
  });
});

describe('the file of devices', () => {
  it('is refused with the place of what is wrong in it', () => {
    writeFileSync(join(dir, 'good.csv'), 'id,site\nx,north\n');
    expect(load('  file: good.csv\n').devices.file).toBe(join(dir, 'good.csv'));
    writeFileSync(join(dir, 'bad.csv'), 'id,threshold:max\nx,hot\n');
    expect(problemsOf('  file: bad.csv\n')).toContain('bad.csv:2:3: thresholds.max: a threshold is a number');
    expect(problemsOf('  registry: [{ id: x }]\n  file: good.csv\n')).toContain(
      'good.csv:2: x is in devices.registry as well',
    );
    expect(problemsOf('  file: none.csv\n')).toContain('there is no file');
  });
});
