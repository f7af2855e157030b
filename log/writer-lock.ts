import { linkSync, mkdirSync, readdirSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SluiceError } from '../model/errors.ts';

/**
 * Keeps a directory to one writing process. The lock is a numbered file, `writer.lock.N`, that names its process; the highest
 * number counts. A process takes the lock by creating N + 1 (a hard link, which only one can make) after it has seen that the
 * process of N is gone, so that two that find a dead owner at the same moment cannot both win. A killed process blocks
 * nothing: its id is either free, or belongs to a process that started at another time.
 */
export interface WriterLock {
  release(): void;
}

const PREFIX = 'writer.lock.';

interface Owner {
  pid: number;
  /** Start time of the process in clock ticks since boot (Linux), which tells a reused id; null where unknown. */
  started: string | null;
}

/** Takes the lock, or throws LOG_LOCKED with the id of the process that has it. */
export function takeWriterLock(dir: string): WriterLock {
  mkdirSync(dir, { recursive: true });
  const content = JSON.stringify({ pid: process.pid, started: startOf(process.pid) } satisfies Owner);
  const draft = join(dir, `${PREFIX}draft-${process.pid}-${Math.random().toString(36).slice(2)}`);
  writeFileSync(draft, content);
  try {
    for (;;) {
      const newest = newestOf(dir);
      const owner = newest === 0 ? null : ownerOf(join(dir, PREFIX + newest));
      if (owner !== null && isAlive(owner)) {
        throw new SluiceError('LOG_LOCKED', `process ${owner.pid} already writes to ${dir}`, {
          values: { dir, pid: owner.pid },
        });
      }
      const path = join(dir, PREFIX + (newest + 1));
      if (!link(draft, path)) continue;
      if (newest > 0) removeQuietly(join(dir, PREFIX + newest));
      return { release: () => writeFileSync(path, '') };
    }
  } finally {
    removeQuietly(draft);
  }
}

/** The process that writes to a directory, or null; looks only, and takes nothing. */
export function writerOf(dir: string): number | null {
  try {
    const newest = newestOf(dir);
    const owner = newest === 0 ? null : ownerOf(join(dir, PREFIX + newest));
    return owner !== null && isAlive(owner) ? owner.pid : null;
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return null;
    throw error;
  }
}

function newestOf(dir: string): number {
  let newest = 0;
  for (const name of readdirSync(dir)) {
    if (!name.startsWith(PREFIX)) continue;
    const number = Number(name.slice(PREFIX.length));
    if (Number.isInteger(number) && number > newest) newest = number;
  }
  return newest;
}

/** Null when the lock was released, or replaced meanwhile (the next try to create a file tells). */
function ownerOf(path: string): Owner | null {
  try {
    const text = readFileSync(path, 'utf8');
    return text === '' ? null : (JSON.parse(text) as Owner);
  } catch {
    return null;
  }
}

function isAlive(owner: Owner): boolean {
  try {
    process.kill(owner.pid, 0);
  } catch (error) {
    // EPERM: it is there, and belongs to another user.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  const started = startOf(owner.pid);
  return owner.started === null || started === owner.started;
}

/** Field 22 of /proc/PID/stat; null elsewhere than on Linux, `ended` for a process that is dead but not yet waited for. */
function startOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name, in parentheses, may hold spaces; the fields are counted from behind it.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? 'ended' : fields[19];
  } catch {
    return null;
  }
}

function link(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

function removeQuietly(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Somebody else was faster.
  }
}
