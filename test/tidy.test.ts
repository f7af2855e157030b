import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

/** A test of the repository itself: what a reviewer would otherwise have to say again and again. */

const root = fileURLToPath(new URL('..', import.meta.url));
const tracked = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
  cwd: root,
  encoding: 'utf8',
})
  .split('\n')
  .filter((file) => file !== '' && existsSync(join(root, file)));
const sources = tracked.filter((file) => /\.tsx?$/.test(file) && !file.endsWith('.d.ts'));
const text = new Map(sources.map((file) => [file, readFileSync(join(root, file), 'utf8')]));

const isTest = (file: string): boolean => /\.(test|contract|fixture)\.ts$|^test\/|\/testing\//.test(file);

/** Which folders a folder may import, itself apart. A name with a slash allows just that file. */
const MAY_IMPORT: Record<string, readonly string[] | 'everything'> = {
  model: [],
  config: ['model'],
  ingest: ['model', 'log/log.ts'],
  log: ['model'],
  processors: ['model', 'log/log.ts', 'log/checkpoints.ts', 'store/store.ts', 'store/blocks.ts'],
  store: ['model'],
  gateway: ['model', 'log/log.ts', 'store/store.ts'],
  'device-sim': ['model'],
  dashboards: [],
  bench: ['model', 'device-sim', 'config', 'log', 'store', 'processors', 'cli'],
  docker: [],
  cli: 'everything',
  test: 'everything',
};

/** Calls that have a better place, and where they are at home. */
const BANNED: { pattern: RegExp; allowed: (file: string) => boolean; instead: string }[] = [
  {
    pattern: /\bconsole\.(log|error|warn|info)\(/,
    allowed: (f) => isTest(f) || /^(cli|bench|docker)\//.test(f) || /-main\.ts$/.test(f),
    instead: 'take a Logger',
  },
  {
    pattern: /\bprocess\.env\b/,
    allowed: (f) => isTest(f) || /^cli\/(child|roles\/store)\.ts$/.test(f),
    instead: 'a setting in config/schema.ts',
  },
  { pattern: /^export default /m, allowed: (f) => /(vite|vitest)\.config\.ts$/.test(f), instead: 'a named export' },
  { pattern: /@ts-(ignore|nocheck)/, allowed: () => false, instead: 'the right type' },
  { pattern: /\bTODO\b|\bFIXME\b/, allowed: (f) => f === 'test/tidy.test.ts', instead: 'doing it, or an issue' },
  {
    pattern: /\bit\.only\(|\bdescribe\.only\(/,
    allowed: (f) => f === 'test/tidy.test.ts',
    instead: 'running all tests',
  },
];

function importsOf(file: string): string[] {
  const found: string[] = [];
  for (const match of text
    .get(file)!
    .matchAll(
      /^\s*(?:import|export)\b[^'"`;]*?from\s+['"]([^'"]+)['"]|^\s*import\s+['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]/gm,
    )) {
    found.push(match[1] ?? match[2] ?? match[3]);
  }
  return found;
}

describe('the repository', () => {
  it('imports only with the flow of the data', () => {
    const wrong: string[] = [];
    for (const file of sources) {
      if (isTest(file)) continue;
      const folder = file.split('/')[0];
      const allowed = MAY_IMPORT[folder];
      if (allowed === undefined || allowed === 'everything') continue;
      for (const target of importsOf(file)) {
        if (!target.startsWith('.')) continue;
        const path = normalize(join(dirname(file), target));
        const to = path.split('/')[0];
        if (to === folder || allowed.includes(to) || allowed.includes(path)) continue;
        wrong.push(`${file} imports ${path}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  it('has a place in the table for every folder with code', () => {
    const folders = new Set(sources.filter((f) => f.includes('/')).map((f) => f.split('/')[0]));
    for (const folder of folders) expect(Object.keys(MAY_IMPORT)).toContain(folder);
  });

  it('imports each third-party package in one file, so that it can be replaced there', () => {
    const importers = new Map<string, Set<string>>();
    for (const file of sources) {
      if (isTest(file)) continue;
      for (const target of importsOf(file)) {
        if (target.startsWith('.') || target.startsWith('node:') || target.startsWith('vitest')) continue;
        const name = target.startsWith('@') ? target.split('/').slice(0, 2).join('/') : target.split('/')[0];
        // The peers of the bench are programs of their own; zod describes the settings in several files of config/.
        const owner = file.startsWith('bench/peers/')
          ? null
          : name === 'zod' && file.startsWith('config/')
            ? 'config/'
            : file;
        if (owner !== null) importers.set(name, (importers.get(name) ?? new Set()).add(owner));
      }
    }
    const shared = [...importers]
      .filter(([, files]) => files.size > 1)
      .map(([name, files]) => `${name}: ${[...files].join(', ')}`);
    expect(shared).toEqual([]);
  });

  it('keeps files small enough to hold in the head', () => {
    const long = [...text]
      .map(([file, body]) => ({ file, lines: body.split('\n').length }))
      .filter((f) => f.lines > 400);
    expect(long).toEqual([]);
  });

  it('has no barrels and no drawers for odds and ends', () => {
    const bad = sources.filter((f) => /(^|\/)(index|utils?|helpers?|common|misc)\.ts$/.test(f));
    expect(bad).toEqual([]);
  });

  it('calls nothing that has a better place', () => {
    const wrong: string[] = [];
    for (const [file, body] of text) {
      for (const { pattern, allowed, instead } of BANNED) {
        if (!allowed(file) && pattern.test(body)) wrong.push(`${file}: ${pattern.source} — instead: ${instead}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  it('imports relative files by their own name', () => {
    const wrong = sources.flatMap((file) =>
      importsOf(file)
        .filter((t) => t.startsWith('.') && !/\.(ts|json|css|js)$/.test(t))
        .map((t) => `${file}: ${t}`),
    );
    expect(wrong).toEqual([]);
  });

  it('pins every dependency to one version', () => {
    const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Record<
      string,
      Record<string, string>
    >;
    const loose = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies }).filter(
      ([, v]) => !/^\d+\.\d+\.\d+$/.test(v),
    );
    expect(loose).toEqual([]);
  });

  it('links only to what is there', () => {
    const broken: string[] = [];
    for (const file of tracked.filter((f) => f.endsWith('.md'))) {
      const body = readFileSync(join(root, file), 'utf8');
      for (const [, target] of body.matchAll(/\]\(([^)\s#]+)(?:#[^)]*)?\)/g)) {
        if (/^[a-z]+:/.test(target)) continue;
        if (!existsSync(join(root, dirname(file), target))) broken.push(`${file}: ${target}`);
      }
    }
    expect(broken).toEqual([]);
  });
});
