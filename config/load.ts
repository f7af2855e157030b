import { accessSync, constants, existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { DeviceFields } from '../model/device.ts';
import { SluiceError } from '../model/errors.ts';
import { explainIssues, type Finding, valueAt } from './explain.ts';
import { formatPath, type Path, type Problem, renderProblem } from './problem.ts';
import { relations } from './relations.ts';
import { deviceFileFindings } from './relations-devices.ts';
import { salvage } from './salvage.ts';
import { type Config, configJsonSchema, configSchema, type DraftConfig, VERSION } from './schema.ts';
import { readYaml, type YamlText } from './yaml.ts';

/** Values of the command line, as they were typed. */
export interface Overrides {
  data?: string;
  mqtt?: string;
  http?: string;
  clickhouseHttp?: string;
  /** Brokers, separated by commas. */
  kafka?: string;
  clickhouse?: string;
  /** HOST:PORT of the health listener of the role that is run. */
  health?: { role: 'door' | 'processor' | 'store' | 'gateway'; address: string };
}

export interface LoadOptions {
  /** Settings file; without one, sluice.yaml of the working directory when it is there, else the defaults. */
  file?: string;
  /** The content, when it need not be read from `file`; `file` then only names it. */
  text?: string;
  overrides?: Overrides;
  /** The working directory, which relative paths of the command line count from. */
  cwd?: string;
  /** Whether certificate and password files must be readable now. On by default; off to check a file that is for another machine. */
  checkFiles?: boolean;
  /** Whether what stands in the file of devices must be right, when it can be read; as checkFiles when absent. */
  checkDevices?: boolean;
}

const FILE_DEFAULT = 'sluice.yaml';

/** The settings file that loadConfig reads: the one given, or ./sluice.yaml when it is there; null means the defaults. */
export function configFileOf(options: Pick<LoadOptions, 'file' | 'cwd'>): string | null {
  if (options.file !== undefined) return options.file;
  return existsSync(resolve(options.cwd ?? process.cwd(), FILE_DEFAULT)) ? FILE_DEFAULT : null;
}

/**
 * Reads and checks the settings. The result is frozen plain data (it survives JSON): times in ms, sizes in bytes, addresses
 * as { host, port }, paths absolute. Throws CONFIG_INVALID with every problem at once in `values.problems` (Problem[]); its
 * message holds them all as a compiler would print them.
 */
export function loadConfig(options: LoadOptions = {}): Config {
  const cwd = options.cwd ?? process.cwd();
  const file = options.text === undefined ? configFileOf(options) : (options.file ?? FILE_DEFAULT);
  const text = options.text ?? (file === null ? null : readSettings(resolve(cwd, file), file));
  const yaml = text === null ? null : readYaml(text);
  const overrides = overridesOf(options.overrides ?? {}, cwd);
  const places = new Places(file ?? 'defaults', yaml, overrides);
  if (yaml?.broken) throw invalid(file, places.ofYaml());

  const raw = withOverrides(yaml === null ? { version: VERSION } : (yaml.value ?? {}), overrides);
  const baseDir = file === null ? cwd : dirname(resolve(cwd, file));
  const { findings, config } = check(raw, baseDir, {
    files: options.checkFiles ?? true,
    devices: options.checkDevices ?? options.checkFiles ?? true,
  });
  const problems = [...places.ofYaml(), ...findings.map((finding) => places.of(finding, raw))];
  if (config === null || problems.length > 0) throw invalid(file, problems);
  return freeze(config);
}

/** The same settings with further alarm rules and devices, such as the ones that suit a simulated fleet. */
export function withExamples(
  config: Config,
  { alarms, devices }: Pick<Config, 'alarms'> & { devices: DeviceFields[] },
): Config {
  const rules = new Set(config.alarms.map(({ name }) => name));
  const known = new Set(config.devices.registry.map(({ id }) => id));
  const added = devices.map(({ tags, thresholds, ...fields }) => ({
    ...fields,
    tags: [...tags] as [string, string][],
    thresholds: [...thresholds] as [string, number][],
  }));
  return freeze({
    ...config,
    alarms: [...config.alarms, ...alarms.filter(({ name }) => !rules.has(name))],
    devices: { ...config.devices, registry: [...config.devices.registry, ...added.filter(({ id }) => !known.has(id))] },
  });
}

function readSettings(path: string, file: string): string {
  const fail = (what: string, remedy: string, cause?: unknown): SluiceError =>
    new SluiceError('CONFIG_INVALID', remedy === '' ? `${file}: ${what}` : `${file}: ${what}; ${remedy}`, {
      remedy: '',
      cause,
      values: { problems: [{ file, line: 0, column: 0, width: 1, path: '', what, remedy, sourceLine: '' }] },
    });
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(readFileSync(path));
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') {
      const hint = `looked for ${path}; give the settings file with --config, or copy sluice.example.yaml`;
      throw fail('there is no such file', hint, cause);
    }
    if (code === 'EISDIR') throw fail('is a folder', `give the file inside it, as ${join(file, FILE_DEFAULT)}`, cause);
    if (code === 'EACCES' || code === 'EPERM')
      throw fail('may not be read by this user', 'change its permissions', cause);
    if (cause instanceof TypeError) throw fail('is not UTF-8 text', 'save it as UTF-8', cause);
    throw fail(`cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`, '', cause);
  }
}

interface Override {
  option: string;
  path: Path;
  value: unknown;
}

function overridesOf(given: Overrides, cwd: string): Override[] {
  const out: Override[] = [];
  const add = (option: string, path: Path, value: unknown): void => void out.push({ option, path, value });
  if (given.data !== undefined) add('--data', ['dataDir'], given.data === '' ? '' : resolve(cwd, given.data));
  if (given.mqtt !== undefined) add('--mqtt', ['mqtt', 'listen'], given.mqtt);
  if (given.http !== undefined) add('--http', ['gateway', 'listen'], given.http);
  if (given.clickhouseHttp !== undefined) add('--clickhouse-http', ['store', 'listen'], given.clickhouseHttp);
  if (given.kafka !== undefined)
    add(
      '--kafka',
      ['log', 'kafka', 'brokers'],
      given.kafka.split(',').map((s) => s.trim()),
    );
  if (given.health !== undefined) add('--health', ['health', given.health.role], given.health.address);
  if (given.clickhouse !== undefined) add('--clickhouse', ['store', 'url'], given.clickhouse);
  return out;
}

/** The settings of the file with those of the command line put over them; never writes to the file's own (aliases share). */
function withOverrides(raw: unknown, overrides: readonly Override[]): unknown {
  let out = raw;
  for (const { path, value } of overrides) out = put(out, path, value);
  return out;
}

function put(target: unknown, path: Path, value: unknown): unknown {
  if (path.length === 0) return value;
  // Where the file has something else than a mapping, that is reported; there is no place to put the value.
  if (target !== undefined && target !== null && (typeof target !== 'object' || Array.isArray(target))) return target;
  const [key, ...rest] = path;
  const from = (target ?? {}) as Record<string, unknown>;
  return { ...from, [key]: put(Object.hasOwn(from, key) ? from[key as string] : undefined, rest, value) };
}

/**
 * Settings that stand inside another file, as in a rule test. `findings` have paths inside `raw`; the config is null when they make it
 * useless. Files that it names need not be there.
 */
export function checkSettings(raw: unknown, baseDir: string): { findings: Finding[]; config: Config | null } {
  const { findings, config } = check(raw, baseDir, { files: false, devices: false });
  return { findings, config: config === null ? null : freeze(config) };
}

function check(
  raw: unknown,
  baseDir: string,
  wanted: { files: boolean; devices: boolean },
): { findings: Finding[]; config: DraftConfig | null } {
  const parsed = configSchema.safeParse(raw);
  if (parsed.success) {
    const config = resolvePaths(parsed.data, baseDir);
    const findings: Finding[] = relations(config);
    const unreadable = unreadableFiles(config);
    if (wanted.files) findings.push(...unreadable);
    if (wanted.devices && !unreadable.some(({ path }) => path[0] === 'devices')) {
      findings.push(...deviceFileFindings(config));
    }
    return { findings, config };
  }
  const findings = explainIssues(parsed.error.issues, raw, configJsonSchema());
  return { findings: [...findings, ...relationsOfTheRest(raw, findings)], config: null };
}

/** Relations between those settings that are right, so that one run shows all that is wrong. */
function relationsOfTheRest(raw: unknown, findings: readonly Finding[]): Finding[] {
  if (raw === null || typeof raw !== 'object' || Array.isArray(raw)) return [];
  let wrong: Path[] = findings.map((finding) => finding.path);
  for (let round = 0; round < 8; round++) {
    const rest = salvage(
      { ...raw, version: VERSION },
      wrong.filter((path) => path[0] !== 'version'),
    );
    const parsed = configSchema.safeParse({ ...(rest.value as object), version: VERSION });
    if (parsed.success) {
      const isWrong = (path: Path): boolean => wrong.some((w) => w.every((part, i) => part === path[i]));
      return relations(parsed.data)
        .map((found) => ({ ...found, path: rest.original(found.path), uses: found.uses.map(rest.original) }))
        .filter((found) => !isWrong(found.path) && !found.uses.some(isWrong));
    }
    // What lacks something that has no default cannot be mended: it is left out as a whole.
    const lacking = parsed.error.issues.map((issue) => rest.original(issue.path as Path).slice(0, -1));
    if (lacking.some((path) => path.length === 0)) return [];
    wrong = [...wrong, ...lacking];
  }
  return [];
}

const FILES: readonly Path[] = [
  ['mqtt', 'tls', 'certFile'],
  ['mqtt', 'tls', 'keyFile'],
  ['mqtt', 'tls', 'clientCaFile'],
  ['log', 'kafka', 'caFile'],
  ['log', 'kafka', 'sasl', 'passwordFile'],
  ['store', 'passwordFile'],
  ['devices', 'file'],
];

function resolvePaths(config: DraftConfig, baseDir: string): DraftConfig {
  let out: unknown = config;
  for (const path of [['dataDir'], ...FILES] as Path[]) {
    const value = valueAt(config, path);
    if (typeof value === 'string') out = put(out, path, resolve(baseDir, value));
  }
  return out as DraftConfig;
}

function unreadableFiles(config: DraftConfig): Finding[] {
  return FILES.flatMap((path): Finding[] => {
    const file = valueAt(config, path);
    if (typeof file !== 'string') return [];
    const at = (what: string, remedy: string): Finding[] => [{ path, of: 'value', what, remedy }];
    try {
      accessSync(file, constants.R_OK);
      return statSync(file).isDirectory() ? at(`${file} is a folder`, 'write the path of a file') : [];
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === 'EACCES') return at(`${file} may not be read by this user`, 'change its permissions');
      return at(
        `there is no file ${file}`,
        'correct the path; a relative one counts from the folder of the settings file',
      );
    }
  });
}

interface Span {
  start: number;
  end: number;
}

/** Knows where each setting came from. */
class Places {
  readonly #file: string;
  readonly #yaml: YamlText | null;
  readonly #overrides: readonly Override[];

  constructor(file: string, yaml: YamlText | null, overrides: readonly Override[]) {
    this.#file = file;
    this.#yaml = yaml;
    this.#overrides = overrides;
  }

  ofYaml(): Problem[] {
    return (this.#yaml?.problems ?? []).map((p) => this.#inFile(p, '', p.what, p.remedy));
  }

  /** A relation that fails because of a default is shown at the other setting, the one that somebody wrote. */
  of(finding: Finding, raw: unknown): Problem {
    const { what, remedy } = finding;
    const path = formatPath(finding.path);
    const written = (p: Path): boolean => valueAt(raw, p) !== undefined;
    const shown = written(finding.path) ? finding.path : (finding.uses?.find(written) ?? finding.path);
    const override = this.#overrides.find((o) => o.path.every((part, i) => part === shown[i]));
    if (override !== undefined) {
      return { file: `option ${override.option}`, line: 0, column: 0, width: 1, path, what, remedy, sourceLine: '' };
    }
    const span = this.#yaml?.locate(shown, finding.of) ?? null;
    if (span === null) return { file: this.#file, line: 0, column: 0, width: 1, path, what, remedy, sourceLine: '' };
    const value = valueAt(raw, shown);
    const part = finding.within && typeof value === 'string' ? this.#partOf(span, value, finding.within) : null;
    return this.#inFile(part ?? span, path, what, remedy);
  }

  /** A part of a text, where the file has it letter by letter: not with escapes, nor folded over several lines. */
  #partOf(span: Span, value: string, within: Span): Span | null {
    const at = this.#yaml?.find(value, span) ?? -1;
    return at === -1 ? null : { start: at + within.start, end: at + Math.max(within.end, within.start + 1) };
  }

  #inFile(span: Span, path: string, what: string, remedy: string): Problem {
    const yaml = this.#yaml!;
    const { line, column } = yaml.position(span.start);
    const sourceLine = withoutSecrets(yaml.line(line));
    const rest = Math.max(1, sourceLine.trimEnd().length - column + 1);
    const width = Math.max(1, Math.min(span.end - span.start, rest));
    return { file: this.#file, line, column, width, path, what, remedy, sourceLine };
  }
}

/** A line of the file as it may be printed: where a hash belongs, people also write the password itself, and in URLs too. */
function withoutSecrets(line: string): string {
  const hidden = (_: string, name: string, value: string): string => name + '*'.repeat(value.length);
  return line
    .replace(/(passwordHash["']?\s*:\s*)("[^"]*"?|'[^']*'?|[^,}\s]+)/g, hidden)
    .replace(/(:\/\/)([^\s/@]+)(?=@)/g, hidden);
}

function invalid(file: string | null, problems: Problem[]): SluiceError {
  const sorted = problems
    .map((problem, order) => ({ problem, order }))
    .sort((a, b) => a.problem.line - b.problem.line || a.problem.column - b.problem.column || a.order - b.order)
    .map(({ problem }) => problem);
  const count = sorted.length === 1 ? 'one problem' : `${sorted.length} problems`;
  const name = file === null ? 'the settings' : file;
  return new SluiceError('CONFIG_INVALID', [`${count} in ${name}`, ...sorted.map(renderProblem)].join('\n'), {
    remedy: '',
    values: { problems: sorted },
  });
}

function freeze<T>(value: T): T {
  if (value !== null && typeof value === 'object' && !Object.isFrozen(value)) {
    for (const child of Object.values(value)) freeze(child);
    Object.freeze(value);
  }
  return value;
}
