import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { checkSettings, loadConfig } from '../../config/load.ts';
import { type Problem, renderProblem } from '../../config/problem.ts';
import { type Config, VERSION } from '../../config/schema.ts';
import { readYaml } from '../../config/yaml.ts';
import { SluiceError } from '../../model/errors.ts';
import { YamlReader } from '../rule-tests/yaml-reader.ts';

/** Sections that a file of rules may hold. */
const SECTIONS = ['windows', 'alarms', 'devices', 'processors'] as const;

/**
 * The settings to try. A whole settings file (one with `version`) stands for itself. A file with nothing but rules is put over
 * what is deployed: its windows and alarms take the place of those with the same name, and the others stay as they are.
 * Throws CONFIG_INVALID with file:line:column.
 */
export function candidateOf(file: string, deployed: Config, deployedFile: string | null): Config {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new SluiceError('CONFIG_INVALID', `${file} cannot be read: ${(cause as Error).message}`, {
      remedy: 'give the path of a settings file, or of one with just alarms and windows',
      cause,
    });
  }
  const yaml = readYaml(text);
  const reader = new YamlReader(file, yaml, 0);
  if (yaml.broken) reader.throwIfWrong();
  const raw = yaml.value;
  if (raw !== null && typeof raw === 'object' && Object.hasOwn(raw, 'version')) {
    return loadConfig({ file, checkFiles: false });
  }
  const sections = reader.mapping(raw, [], SECTIONS);
  reader.throwIfWrong();
  const own = Object.fromEntries(sections ?? []);
  const base = deployedFile === null ? {} : (readYaml(readFileSync(deployedFile, 'utf8')).value as object);
  const merged = { version: VERSION, ...base, ...own } as Record<string, unknown>;
  const places = new Map<string, number[]>();
  for (const section of ['windows', 'alarms'] as const) {
    const merge = mergeByName((base as Record<string, unknown>)[section], own[section]);
    if (merge === null) continue;
    merged[section] = merge.items;
    places.set(section, merge.from);
  }
  const { findings, config } = checkSettings(merged, dirname(resolve(deployedFile ?? file)));
  for (const finding of findings) {
    const [section, index, ...rest] = finding.path;
    const from = places.get(String(section))?.[Number(index)];
    const path = from === undefined ? finding.path : [section, from, ...rest];
    reader.wrong(path, finding.what, finding.remedy, finding.of);
  }
  if (reader.problems.length > 0 || config === null) throw invalid(file, reader.problems);
  return keepsScenario(config, deployed, base);
}

/** Rules of a simulated fleet are in no file; they stay. */
function keepsScenario(config: Config, deployed: Config, base: object): Config {
  if (Object.hasOwn(base, 'alarms')) return config;
  const names = new Set(config.alarms.map(({ name }) => name));
  return { ...config, alarms: [...config.alarms, ...deployed.alarms.filter(({ name }) => !names.has(name))] };
}

/** `from`: for each item its index in the file of rules; −1 for one that stays. */
function mergeByName(base: unknown, own: unknown): { items: unknown[]; from: number[] } | null {
  if (!Array.isArray(own)) return null;
  const names = new Set(own.map(nameOf));
  const stay = Array.isArray(base) ? base.filter((item) => !names.has(nameOf(item))) : [];
  return { items: [...own, ...stay], from: own.map((_, i) => i) };
}

function nameOf(item: unknown): unknown {
  return item !== null && typeof item === 'object' ? (item as { name?: unknown }).name : undefined;
}

function invalid(file: string, problems: readonly Problem[]): SluiceError {
  const count = problems.length === 1 ? 'one problem' : `${problems.length} problems`;
  return new SluiceError('CONFIG_INVALID', [`${count} in ${file}`, ...problems.map(renderProblem)].join('\n'), {
    remedy: '',
    values: { problems },
  });
}
