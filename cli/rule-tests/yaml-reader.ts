import { formatPath, type Path, type Problem, renderProblem } from '../../config/problem.ts';
import { clip, describe, parseQuantity } from '../../config/quantity.ts';
import { nearest } from '../../config/suggest.ts';
import type { YamlText } from '../../config/yaml.ts';
import { SluiceError } from '../../model/errors.ts';
import { parseTime } from './times.ts';

/** Where something of a test file stands, for messages. */
export interface Place {
  line: number;
  column: number;
}

/**
 * Reads a test file value by value, and gathers what is wrong with its place. A value that is wrong reads as null, so that one run
 * shows all problems of a file.
 */
export class YamlReader {
  readonly file: string;
  readonly problems: Problem[] = [];
  readonly #yaml: YamlText;
  readonly #linesBefore: number;

  /** `linesBefore`: lines of the file above the text, which is then a block of it. */
  constructor(file: string, yaml: YamlText, linesBefore: number) {
    this.file = file;
    this.#yaml = yaml;
    this.#linesBefore = linesBefore;
    for (const { start, end, what, remedy } of yaml.problems) this.#add({ start, end }, '', what, remedy);
  }

  place(path: Path): Place {
    const { line, column } = this.#yaml.position(this.#yaml.locate(path, 'value').start);
    return { line: line + this.#linesBefore, column };
  }

  wrong(path: Path, what: string, remedy: string, of: 'key' | 'value' = 'value'): null {
    this.#add(this.#yaml.locate(path, of), formatPath(path), what, remedy);
    return null;
  }

  /** Throws INPUT_INVALID with all that was wrong. */
  throwIfWrong(): void {
    const { problems, file } = this;
    if (problems.length === 0) return;
    problems.sort((a, b) => a.line - b.line || a.column - b.column);
    const count = problems.length === 1 ? 'one problem' : `${problems.length} problems`;
    throw new SluiceError('INPUT_INVALID', [`${count} in ${file}`, ...problems.map(renderProblem)].join('\n'), {
      remedy: '',
      values: { problems },
    });
  }

  /** A mapping with no keys but those of `known`. */
  mapping(value: unknown, path: Path, known: readonly string[]): Map<string, unknown> | null {
    const map = this.anyMapping(value, path, `write some of ${known.join(', ')}`);
    if (map === null) return null;
    for (const key of map.keys()) {
      if (known.includes(key)) continue;
      const near = nearest(key, known);
      const remedy = near === null ? `known here: ${known.join(', ')}` : `did you mean \`${near}\`?`;
      this.wrong([...path, key], 'unknown name', remedy, 'key');
    }
    return map;
  }

  anyMapping(value: unknown, path: Path, remedy: string): Map<string, unknown> | null {
    if (value === null || typeof value !== 'object' || Array.isArray(value)) {
      return this.wrong(path, `${describe(value)} is not a mapping`, remedy);
    }
    return new Map(Object.entries(value));
  }

  list(value: unknown, path: Path, remedy: string): unknown[] | null {
    if (value === null || value === undefined) return [];
    return Array.isArray(value) ? value : this.wrong(path, `${describe(value)} is not a list`, remedy);
  }

  text(value: unknown, path: Path, remedy = 'write a text'): string | null {
    if (typeof value === 'string' && value !== '') return value;
    if (typeof value === 'number') {
      return this.wrong(path, `${value} is a number`, `put it in quotes: "${value}"`);
    }
    return this.wrong(path, value === '' ? 'an empty text' : `${describe(value)} is not a text`, remedy);
  }

  time(value: unknown, path: Path, dateMs: number): number | null {
    const ms = parseTime(value, dateMs);
    if (ms !== null) return ms;
    return this.wrong(
      path,
      `${describe(value)} is not a time`,
      'write a time of day as 12:00:00, or ISO 8601 as 2026-01-05T12:00:00Z',
    );
  }

  duration(value: unknown, path: Path): number | null {
    const parsed = parseQuantity(value, 'duration');
    return 'value' in parsed ? parsed.value : this.wrong(path, parsed.what, parsed.remedy);
  }

  count(value: unknown, path: Path, max: number): number | null {
    if (typeof value === 'number' && Number.isInteger(value) && value > 0 && value <= max) return value;
    return this.wrong(
      path,
      `${clip(describe(value))} is not a number of times`,
      `write a whole number from 1 to ${max}`,
    );
  }

  #add({ start, end }: { start: number; end: number }, path: string, what: string, remedy: string): void {
    const { line, column } = this.#yaml.position(start);
    const sourceLine = this.#yaml.line(line);
    const rest = Math.max(1, sourceLine.trimEnd().length - column + 1);
    const width = Math.max(1, Math.min(end - start, rest));
    const at = line + this.#linesBefore;
    this.problems.push({ file: this.file, line: at, column, width, path, what, remedy, sourceLine });
  }
}
