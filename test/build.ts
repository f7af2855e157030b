import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/**
 * Tests that start real processes and worker threads run what is in `dist`, so it is compiled once before any test.
 * The compiler is incremental: with nothing changed this takes well under a second.
 */
export function setup(): void {
  const root = fileURLToPath(new URL('..', import.meta.url));
  execFileSync('npm', ['run', '--silent', 'build'], { cwd: root, stdio: 'inherit' });
}
