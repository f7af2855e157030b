import { execFile, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { projectRoot } from '../children.ts';

/** A peer in Go: its source is bench/peers/NAME, its program .cache/peers/NAME, built when it is absent or older than the source. */

/** Why it can be neither found nor built; null when it can. */
export function goMissing(name: string): string | null {
  if (isBuilt(name)) return null;
  return spawnSync('go', ['version']).error === undefined ? null : `Go, which builds ${name}, is not installed`;
}

/** The program's path. The first build fetches its modules, which takes a few minutes. Rejects with the compiler's words. */
export async function goProgram(name: string): Promise<string> {
  const program = programOf(name);
  if (isBuilt(name)) return program;
  mkdirSync(join(projectRoot(), '.cache/peers'), { recursive: true });
  await promisify(execFile)('go', ['build', '-trimpath', '-o', program, '.'], { cwd: sourceOf(name) });
  return program;
}

function isBuilt(name: string): boolean {
  const program = programOf(name);
  if (!existsSync(program)) return false;
  const source = sourceOf(name);
  const newest = Math.max(
    ...readdirSync(source)
      .filter((file) => file.endsWith('.go') || file.startsWith('go.'))
      .map((file) => statSync(join(source, file)).mtimeMs),
  );
  return statSync(program).mtimeMs >= newest;
}

function sourceOf(name: string): string {
  return join(projectRoot(), 'bench/peers', name);
}

function programOf(name: string): string {
  return join(projectRoot(), '.cache/peers', name);
}
