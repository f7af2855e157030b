import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, it } from 'vitest';

it('a role lives until it is told to stop, also while nothing of it is open', async () => {
  const lifecycle = new URL('../dist/cli/lifecycle.js', import.meta.url).href;
  const script = `
    import { runUntilStopped } from ${JSON.stringify(lifecycle)};
    const idle = { failed: new Promise(() => {}), observed: {}, close: async () => console.log('closed') };
    setTimeout(() => console.log('idle'), 50);
    await runUntilStopped(async () => idle, { error: console.error });`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  let output = '';
  for await (const chunk of child.stdout) {
    output += chunk;
    // After the last timer the event loop is empty, unless something holds it.
    if (output === 'idle\n') setTimeout(() => child.kill('SIGTERM'), 300);
  }
  expect(output).toBe('idle\nclosed\n');
  expect(await exited).toEqual([0, null]);
});
