import { readFileSync } from 'node:fs';
import { dirname, relative, resolve } from 'node:path';
import { checkSettings, configFileOf, loadConfig } from '../../config/load.ts';
import type { Path } from '../../config/problem.ts';
import { describe } from '../../config/quantity.ts';
import { type Config, VERSION } from '../../config/schema.ts';
import { readYaml } from '../../config/yaml.ts';
import { SluiceError } from '../../model/errors.ts';
import { type Expectations, readExpectations } from './expectations.ts';
import { readInput, type TestMessage } from './input.ts';
import { markdownBlocks } from './markdown.ts';
import { DATE_DEFAULT_MS } from './times.ts';
import { type Place, YamlReader } from './yaml-reader.ts';

/** One test, ready to be run. */
export interface RuleTest {
  name: string;
  file: string;
  place: Place;
  settings: Config;
  /** The file that they were read from; null when they stand in the test. */
  settingsFile: string | null;
  /** Midnight of the day that times of day are on. */
  dateMs: number;
  input: readonly TestMessage[];
  /** How often a tick comes while no message does; null for never. */
  tickMs: number | null;
  /** Time goes on to here after the last message; null ends with it. */
  untilMs: number | null;
  expect: Expectations;
}

type TestSettings = Pick<RuleTest, 'settings' | 'settingsFile'>;

const SHARED = ['settings', 'date', 'ticks'];
const OF_TEST = ['name', ...SHARED, 'input', 'until', 'expect'];

/**
 * The tests of a file: YAML (docs/rule-tests.md), or Markdown with fenced blocks ```yaml sluice-test. Throws INPUT_INVALID with every
 * problem of the file and its place. `settingsFile` holds for tests that name no settings.
 */
export function readTestFile(file: string, settingsFile?: string): RuleTest[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    const why = (cause as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is no such file' : String(cause);
    throw new SluiceError('INPUT_INVALID', `${file}: ${why}`, {
      remedy: 'give the path of a file with rule tests',
      cause,
    });
  }
  if (!/\.(md|markdown)$/i.test(file)) return readTests(text, { file, linesBefore: 0, name: '', settingsFile });
  return markdownBlocks(text).flatMap(({ yaml, linesBefore, heading }) =>
    readTests(yaml, { file, linesBefore, name: heading, settingsFile }),
  );
}

interface TextPlace {
  file: string;
  linesBefore: number;
  /** For a test that gives itself none. */
  name: string;
  settingsFile: string | undefined;
}

export function readTests(text: string, place: TextPlace): RuleTest[] {
  const yaml = readYaml(text);
  const reader = new YamlReader(place.file, yaml, place.linesBefore);
  if (yaml.broken) reader.throwIfWrong();
  const root = yaml.value;
  const isList = root !== null && typeof root === 'object' && Object.hasOwn(root, 'tests');
  const map = reader.mapping(root, [], isList ? [...SHARED, 'tests'] : OF_TEST);
  const tests: RuleTest[] = [];
  if (map !== null) {
    const context = { reader, place, shared: new Map(), basePath: [] };
    if (!isList) tests.push(...readTest(map, [], context));
    else {
      const items =
        reader.list(map.get('tests'), ['tests'], 'write the tests one below the other, each after "- "') ?? [];
      if (items.length === 0) reader.wrong(['tests'], 'no tests', 'write the first one after "- name:"');
      items.forEach((item, i) => {
        const of = reader.mapping(item, ['tests', i], OF_TEST);
        if (of !== null) tests.push(...readTest(of, ['tests', i], { ...context, shared: map }));
      });
    }
  }
  reader.throwIfWrong();
  return tests;
}

interface Context {
  reader: YamlReader;
  place: TextPlace;
  /** Settings of the file, which a test may give anew. */
  shared: ReadonlyMap<string, unknown>;
}

function readTest(map: Map<string, unknown>, path: Path, context: Context): RuleTest[] {
  const { reader, place, shared } = context;
  const of = (key: string): { value: unknown; path: Path } | null => {
    if (map.has(key)) return { value: map.get(key), path: [...path, key] };
    return shared.has(key) ? { value: shared.get(key), path: [key] } : null;
  };
  const date = of('date');
  const dateMs = date === null ? DATE_DEFAULT_MS : readDate(reader, date.value, date.path);
  const settings = readSettings(context, of('settings'));
  for (const key of ['input', 'expect']) {
    if (!map.has(key)) reader.wrong(path, `has no \`${key}\``, 'a test has `input` and `expect`');
  }
  const name = map.has('name') ? reader.text(map.get('name'), [...path, 'name']) : place.name || 'test';
  const input = readInput(reader, map.get('input'), [...path, 'input'], dateMs ?? 0);
  const untilMs = map.has('until') ? reader.time(map.get('until'), [...path, 'until'], dateMs ?? 0) : null;
  const expect = map.has('expect')
    ? readExpectations(reader, map.get('expect'), [...path, 'expect'], dateMs ?? 0)
    : { results: [], counts: [] };
  const ticks = of('ticks');
  const tickMs = ticks === null ? (settings?.settings.log.tickMs ?? 0) : readTicks(reader, ticks.value, ticks.path);
  if (settings === null || name === null || dateMs === null) return [];
  return [{ name, file: place.file, place: reader.place(path), ...settings, dateMs, input, tickMs, untilMs, expect }];
}

function readDate(reader: YamlReader, value: unknown, path: Path): number | null {
  const ms = typeof value === 'string' && /^\d{4}-\d\d-\d\d$/.test(value) ? Date.parse(value) : Number.NaN;
  return Number.isNaN(ms) ? reader.wrong(path, `${describe(value)} is not a date`, 'write it as 2026-01-05') : ms;
}

function readTicks(reader: YamlReader, value: unknown, path: Path): number | null {
  if (value === 'none' || value === null) return null;
  const ms = reader.duration(value, path);
  return ms === 0 ? reader.wrong(path, 'no time between ticks', 'write 1s, or none') : ms;
}

/** Settings as a mapping stand in the test, as a text they are the path of a sluice.yaml; else there is one on the command line or here. */
function readSettings(context: Context, given: { value: unknown; path: Path } | null): TestSettings | null {
  const { reader, place } = context;
  const baseDir = dirname(resolve(place.file));
  if (given !== null && typeof given.value !== 'string')
    return inlineSettings(reader, given.value, given.path, baseDir);
  const file = given === null ? configFileOf({ file: place.settingsFile }) : resolve(baseDir, given.value as string);
  if (file === null) {
    return reader.wrong(
      [],
      'names no settings',
      'add `settings:` with windows and alarms, or the path of a sluice.yaml',
    );
  }
  try {
    return { settings: loadConfig({ file: relative('', file), checkFiles: false }), settingsFile: file };
  } catch (error) {
    if (!(error instanceof SluiceError) || error.code !== 'CONFIG_INVALID') throw error;
    return reader.wrong(given?.path ?? [], `the settings are wrong: ${error.message}`, '');
  }
}

function inlineSettings(reader: YamlReader, value: unknown, path: Path, baseDir: string): TestSettings | null {
  if (reader.anyMapping(value, path, 'write windows and alarms as in sluice.yaml, or the path of one') === null)
    return null;
  // A test says all that matters to it: without windows there are none.
  const { findings, config } = checkSettings({ version: VERSION, windows: [], ...(value as object) }, baseDir);
  for (const finding of findings) {
    reader.wrong([...path, ...finding.path], finding.what, finding.remedy, finding.of);
  }
  return findings.length > 0 || config === null ? null : { settings: config, settingsFile: null };
}
