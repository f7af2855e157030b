import { describe, expect, it } from 'vitest';
import { toFlame } from './flame.ts';
import { type CpuProfile, fileOf, fold } from './fold.ts';
import { stageOf, stagesOf } from './stages.ts';

const frame = (functionName: string, url = '') => ({ callFrame: { functionName, url } });

/** A thread that decodes for 3 ms, frees memory for 1, waits for 5, and decodes for 2 more. */
const profile: CpuProfile = {
  nodes: [
    { id: 1, ...frame('(root)'), children: [2, 4, 5] },
    { id: 2, ...frame('process', 'file:///x/dist/processors/pipeline.js'), children: [3] },
    { id: 3, ...frame('decode', 'file:///x/dist/processors/decode/skeleton.js') },
    { id: 4, ...frame('(garbage collector)') },
    { id: 5, ...frame('(idle)') },
  ],
  startTime: 1000,
  samples: [3, 4, 5, 3, 1],
  timeDeltas: [0, 3000, 1000, 5000, 2000],
};

describe('a CPU profile', () => {
  it('is folded into stacks without the time in which nothing was done', () => {
    const stacks = fold(profile);
    expect(stacks.map(({ frames, micros }) => [frames.map(({ name }) => name).join(';'), micros])).toEqual([
      ['process;decode', 5000],
      ['(garbage collector)', 1000],
    ]);
    expect(stacks[0].frames[1].file).toBe('processors/decode/skeleton.ts');
  });

  it('is cut to a time', () => {
    const decoding = (from: number, to?: number) =>
      fold(profile, from, to).reduce((sum, { micros }) => sum + micros, 0);
    expect(decoding(2000)).toBe(3000);
    expect(decoding(0, 4000)).toBe(3000);
    expect(decoding(20_000)).toBe(0);
  });

  it('belongs to stages by file, and the innermost that is known decides', () => {
    expect(stagesOf('processor', fold(profile))).toEqual([
      { stage: 'decodes payloads', micros: 5000 },
      { stage: 'collects garbage', micros: 1000 },
    ]);
    const stack = (...files: string[]) => ({ frames: files.map((file) => ({ name: 'f', file })), micros: 1 });
    expect(stageOf('door', stack('ingest/door.ts', 'ingest/packet-scanner.ts', ''))).toBe('finds packets');
    expect(stageOf('door', stack('ingest/packet-scanner.ts', 'node:net'))).toBe('reads and writes sockets');
    expect(stageOf('door', stack('somewhere.mjs'))).toBe('the rest of Node.js');
  });

  it('names files as the sources do', () => {
    expect(fileOf('file:///a/dist/cli/main.js')).toBe('cli/main.ts');
    expect(fileOf('file:///a/dist/x/node_modules/lmdb/index.js')).toBe('node_modules/lmdb/index.js');
    expect(fileOf('node:net')).toBe('node:net');
    expect(fileOf('')).toBe('');
  });
});

describe('a flame graph', () => {
  const stageOfAll = () => 'decodes payloads';

  it('draws each function as wide as its time, below the one that called it', () => {
    const svg = toFlame(fold(profile), { title: 'A & B', stageOf: stageOfAll, stages: ['decodes payloads'] });
    const boxes = [...svg.matchAll(/<title>([^<]*)<\/title><rect x="([\d.]+)" y="(\d+)" width="([\d.]+)"/g)];
    const [all, process, decode, garbage] = boxes.map(([, name, x, y, width]) => ({
      name,
      x: +x,
      y: +y,
      width: +width,
    }));
    expect(all.width).toBe(980);
    expect(process.width).toBeCloseTo((980 * 5) / 6, 0);
    expect(process.name).toBe('process (processors/pipeline.ts): 83.3 %');
    expect(decode).toMatchObject({ x: process.x, width: process.width });
    expect(decode.y).toBeGreaterThan(process.y);
    expect(garbage.x).toBeCloseTo(process.x + process.width, 0);
    expect(svg).toContain('A &#38; B');
    expect(svg).not.toMatch(/NaN|undefined/);
  });

  it('is not drawn of nothing', () => {
    expect(() => toFlame([], { title: 'x', stageOf: stageOfAll, stages: [] })).toThrow(/nothing to show/);
  });
});
