import { readFileSync } from 'node:fs';

/**
 * How many files this process may have open (`ulimit -n`), sockets included; undefined where it cannot be told. Node raises the
 * soft limit to the hard one when it starts.
 */
export function openFilesMax(): number | undefined {
  try {
    const line = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'));
    return line === null ? undefined : Number(line[1]);
  } catch {
    return undefined;
  }
}
