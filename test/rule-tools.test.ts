import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectAsync } from 'mqtt';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually, main, type Program, startProgram } from './program.ts';

/** `sluice why`, `why-not`, `backtest` and `test` as a user runs them, beside the running program. */

const RULE = '- { name: hot, metric: t, above: 30, clear: 25, forMs: 2s, message: "{device} is at {value}" }';
const config = `version: 1\nwindows: []\nderived:\n  - { name: twice, expression: metrics.t * 2 }\nalarms:\n  ${RULE}\n`;

async function sluice(args: string[], cwd: string): Promise<{ code: number | null; out: string; err: string }> {
  const child = spawn(process.execPath, [main, ...args], { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let err = '';
  child.stdout.on('data', (chunk) => (out += chunk));
  child.stderr.on('data', (chunk) => (err += chunk));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, out, err };
}

describe('beside the running program', () => {
  let program: Program;
  let dir = '';
  let where: string[] = [];
  let id = '';

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'sluice-rules-'));
    program = await startProgram({ config });
    where = ['--config', program.configFile, '--data', program.dataDir];
    where.push('--clickhouse-http', program.clickhouseUrl.replace('http://', ''));
    const client = await connectAsync(program.mqttUrl, { clientId: 'pump-1' });
    const fromMs = Date.now() - 20_000;
    const values = [20, 28, 31, 33, 32, 31, 24, 20, 31, 22];
    for (const [i, t] of values.entries()) {
      const payload = JSON.stringify({ ts: fromMs + i * 1000, t });
      await client.publishAsync('devices/pump-1/telemetry', payload, { qos: 1 });
    }
    await client.endAsync();
    id = await eventually('the alarm to be cleared', async () => {
      const rows = await program.query<{ id: string }>("SELECT id FROM sluice.alarms FINAL WHERE state = 'cleared'");
      return rows[0]?.id;
    });
    await eventually('all readings', async () => {
      const [row] = await program.query<{ n: number | string }>('SELECT count() AS n FROM sluice.readings FINAL');
      return Number(row.n) === values.length * 2;
    });
  }, 240_000);

  afterAll(async () => {
    await program?.remove();
    await rm(dir, { recursive: true, force: true });
  });

  it('tells why an alarm came', async () => {
    const { code, out, err } = await sluice(['why', id.slice(0, 8), ...where], dir);
    expect([code, err]).toEqual([0, '']);
    expect(out).toMatch(/^hot on pump-1: warning, normal\n {2}pump-1 is at 32/);
    expect(out).toContain('in the present settings it is the same');
    expect(out).toMatch(/raised {2}\(unacknowledged, warning, value 32\)/);
    expect(out).toMatch(/decided by t = 32.*partition \d+, offset \d+, message \d+\n\s+\{"ts":\d+,"t":32\}/);
    expect(out).toMatch(/cleared {2}\(normal, warning, value 24\)/);
    expect(out).toMatch(/→ .*Z {2}32\n/);
    expect((await sluice(['why', 'ffffffff', ...where], dir)).code).toBe(2);
  });

  it('tells why an alarm did not come', async () => {
    const near = await sluice(['why-not', 'hot', 'pump-1', ...where, '--from', '1h'], dir);
    expect([near.code, near.err]).toEqual([0, '']);
    expect(near.out).toContain('✓ t: 10 readings');
    expect(near.out).toMatch(/✓ t above 30 \(warning\): highest 33/);
    expect(near.out).toContain(id);
    const never = await sluice(['why-not', 'hot', 'pump-9', ...where], dir);
    expect([never.code, never.out.includes('✗ the device was not heard of')]).toEqual([2, true]);
    const unknown = await sluice(['why-not', 'hott', 'pump-1', ...where], dir);
    expect([unknown.code, unknown.err]).toEqual([1, expect.stringContaining('did you mean hot?')]);
  });

  it('runs other rules over the log, and over the store', async () => {
    const rules = join(dir, 'rules.yaml');
    await writeFile(
      rules,
      'alarms:\n  - { name: hot, metric: t, above: 30, clear: 25 }\n  - { name: warm, metric: t, above: 27 }\n',
    );
    for (const source of ['log', 'store']) {
      const { code, out, err } = await sluice(
        ['backtest', '--rules', rules, '--source', source, '--from', '1h', '--json', ...where],
        dir,
      );
      expect([code, err]).toEqual([0, '']);
      const { difference, input } = JSON.parse(out);
      expect([input.messages, input.readings]).toEqual([10, 10]);
      expect(difference.rules).toMatchObject([
        {
          rule: 'hot',
          deployed: 1,
          candidate: 2,
          more: 1,
          longer: 1,
          deployedNotifications: 2,
          candidateNotifications: 4,
        },
        { rule: 'warm', in: 'candidate', deployed: 0, candidate: 2, more: 2 },
      ]);
    }
    const table = await sluice(['backtest', '--rules', rules, '--against', 'table', '--from', '1h', ...where], dir);
    expect([table.code, table.err]).toEqual([0, '']);
    expect(table.out).toMatch(/hot\s+1\s+→ 2\s+1\s+–\s+1/);
    const wrong = join(dir, 'wrong.yaml');
    await writeFile(wrong, 'alarms:\n  - { name: hot, metric: t, abov: 30 }\n');
    const refused = await sluice(['backtest', '--rules', wrong, ...where], dir);
    expect([refused.code, refused.err]).toEqual([1, expect.stringMatching(/wrong\.yaml:2:29: .*did you mean `above`/)]);
  });
});

it('runs rule tests, with exit codes and JUnit XML', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'sluice-rule-tests-'));
  try {
    const test = (at: string): string =>
      `settings: sluice.yaml\nname: hot\ninput: [{ device: p, from: 12:00:00, every: 1s, values: { t: [31, 31, 31] } }]\nexpect: { alarms: [{ rule: hot, at: ${at} }] }\n`;
    await writeFile(join(dir, 'sluice.yaml'), config);
    await writeFile(join(dir, 'a.test.yaml'), test('12:00:02'));
    const good = await sluice(['test', '--junit', 'out.xml'], dir);
    expect([good.code, good.err]).toEqual([0, '']);
    expect(good.out).toMatch(/✓ hot .*\n\n1 test in 1 file: 1 passed/);
    await writeFile(join(dir, 'b.test.yaml'), test('12:00:03'));
    const bad = await sluice(['test', '--json'], dir);
    expect([bad.code, JSON.parse(bad.out).failed]).toEqual([2, 1]);
    await writeFile(join(dir, 'c.test.yaml'), 'input: 3\n');
    expect((await sluice(['test'], dir)).code).toBe(1);
    expect((await sluice(['test', 'none.yaml'], dir)).code).toBe(1);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});

it('puts a simulated day onto the log, and runs rules over it', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'sluice-day-'));
  try {
    await writeFile(
      join(dir, 'sluice.yaml'),
      'version: 1\nwindows: []\nalarms:\n  - { name: v, metric: vibration, above: 7.1, clear: 4.5 }\n',
    );
    await writeFile(join(dir, 'rules.yaml'), 'alarms:\n  - { name: v, metric: vibration, above: 5, clear: 4.5 }\n');
    const args = ['--into-log', '--devices', '5', '--rate-hz', '0.1', '--seconds', '86400', '--json'];
    const made = await sluice(['simulate', 'factory', ...args], dir);
    expect([made.code, JSON.parse(made.out).messages]).toEqual([0, 43_200]);
    const tried = await sluice(['backtest', '--rules', 'rules.yaml', '--from', '1d', '--json'], dir);
    expect([tried.code, tried.err]).toEqual([0, '']);
    const [rule] = JSON.parse(tried.out).difference.rules;
    expect(rule.candidateMs).toBeGreaterThan(rule.deployedMs);
    expect(rule.same + rule.longer + rule.shorter + rule.more).toBe(rule.candidate);
    expect(rule.same + rule.longer + rule.shorter + rule.fewer).toBe(rule.deployed);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});
