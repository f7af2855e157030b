/** Something wrong in the settings: where it stands, what is wrong, and what would be right. */
export interface Problem {
  /** The file as it was named, or `option --mqtt` for a value of the command line. */
  file: string;
  /** 1-based; 0 when the problem is not in a file's text. */
  line: number;
  column: number;
  /** Characters of the value on its first line, at least 1. */
  width: number;
  /** Path of the setting, as `log.lingerMs` or `alarms[2].clear`; empty for the file as a whole. */
  path: string;
  what: string;
  remedy: string;
  /** The line of the file; empty when there is none. */
  sourceLine: string;
}

/** A path inside the settings: keys of mappings and indexes of lists. */
export type Path = readonly (string | number)[];

export function formatPath(path: Path): string {
  let out = '';
  for (const part of path) {
    if (typeof part === 'number') out += `[${part}]`;
    else if (/^[A-Za-z_$][\w$-]*$/.test(part)) out += out === '' ? part : `.${part}`;
    else out += `[${JSON.stringify(part)}]`;
  }
  return out;
}

/** `file:line:column: path: what; remedy`, without the source line. */
export function problemLine(problem: Problem): string {
  const place = problem.line > 0 ? `${problem.file}:${problem.line}:${problem.column}` : problem.file;
  const path = problem.path === '' ? '' : `${problem.path}: `;
  const remedy = problem.remedy === '' ? '' : `; ${problem.remedy}`;
  return `${place}: ${path}${problem.what}${remedy}`;
}

const LINE_CHARS_MAX = 120;

/** The problem as a compiler prints it: the line above, then the line of the file with the value marked below it. */
export function renderProblem(problem: Problem): string {
  const head = problemLine(problem);
  if (problem.line === 0 || problem.sourceLine === '') return head;
  const number = String(problem.line).padStart(5);
  // Tabs would shift the mark; a long line is cut around the value.
  const flat = problem.sourceLine.replace(/[\p{Cc}\u2028\u2029]/gu, ' ');
  const from = problem.column - 1 > LINE_CHARS_MAX - 40 ? problem.column - 1 - 40 : 0;
  const shown = flat.slice(from, from + LINE_CHARS_MAX);
  const at = problem.column - 1 - from;
  const width = Math.max(1, Math.min(problem.width, shown.length - at));
  return [
    head,
    `${number} | ${shown.trimEnd()}`,
    `${' '.repeat(number.length)} | ${' '.repeat(at)}^${'~'.repeat(width - 1)}`,
  ].join('\n');
}
