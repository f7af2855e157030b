import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SluiceError } from '../model/errors.ts';
import { WINDOW_DEFAULTS } from '../model/window.ts';
import { configFileOf, type LoadOptions, loadConfig, withExamples } from './load.ts';
import { type Problem, problemLine } from './problem.ts';
import type { Config } from './schema.ts';
import { warningsOf } from './warnings.ts';

const HASH = `scrypt$16384$8$1$${Buffer.alloc(16, 1).toString('base64')}$${Buffer.alloc(32, 2).toString('base64')}`;

function errorOf(options: LoadOptions): SluiceError {
  try {
    loadConfig(options);
  } catch (error) {
    expect(error).toBeInstanceOf(SluiceError);
    return error as SluiceError;
  }
  throw new Error('loaded, but should not have');
}

function problemsOf(options: LoadOptions): string[] {
  const error = errorOf(options);
  expect(error.code).toBe('CONFIG_INVALID');
  return (error.values.problems as Problem[]).map(problemLine);
}

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'sluice-config-'));
});
afterAll(() => rmSync(dir, { recursive: true }));

describe('an expression', () => {
  it('is refused with the place inside its text', () => {
    const text = [
      'version: 1',
      'derived:',
      '  - { name: power, expression: metrics.voltage * current }',
      '  - name: kelvin',
      '    expression: "m.celsius +"',
      '  - name: both',
      '    expression: |',
      '      m.a > 1',
      '      && m.b >> 2',
    ].join('\n');
    expect(problemsOf({ text })).toEqual([
      'sluice.yaml:3:50: derived[0].expression: not an expression: unknown variable: current; see docs/expressions.md for names and functions',
      'sluice.yaml:5:29: derived[1].expression: not an expression: unexpected token: EOF; see docs/expressions.md for what may be written',
      expect.stringMatching(/^sluice\.yaml:7:17: derived\[2\]\.expression: not an expression/),
    ]);
  });

  it('derives from what is there, and above', () => {
    const text = [
      'version: 1',
      'derived:',
      '  - { name: a, expression: m.b + 1 }',
      '  - { name: b, expression: m.b + 1 }',
      '  - { name: b, expression: ts }',
    ].join('\n');
    expect(problemsOf({ text }).map((line) => line.replace(/^sluice\.yaml:/, ''))).toEqual([
      '3:28: derived[0].expression: "b" is derived further below; move this entry behind it',
      '4:28: derived[1].expression: "b" is computed from itself; choose another name',
      '5:13: derived[2].name: "b" is given to two derived metrics; choose another name',
      '5:28: derived[2].expression: names no metric, so that it is never due; name one, as metrics.voltage',
    ]);
  });
});

describe('loadConfig', () => {
  it('gives defaults that suit a laptop when there is no file', () => {
    const config = loadConfig({ cwd: dir });
    expect(config.mqtt.listen).toEqual({ host: '127.0.0.1', port: 1883 });
    expect(config.gateway.listen).toEqual({ host: '127.0.0.1', port: 8080 });
    expect(config.store.listen).toEqual({ host: '127.0.0.1', port: 8123 });
    expect(config.store.url).toBeNull();
    expect(config.log.kafka.brokers).toEqual([]);
    expect(config.access).toEqual({ anonymous: 'loopback', users: [] });
    expect(config.dataDir).toBe(join(dir, 'data'));
    expect(config.windows).toEqual([
      {
        ...WINDOW_DEFAULTS,
        name: '1m',
        kind: 'tumbling',
        sizeMs: 60_000,
        outOfOrderMs: 2_000,
        allowedLatenessMs: 60_000,
      },
    ]);
    expect(config.alarms).toEqual([]);
    expect(warningsOf(config)).toEqual([]);
  });

  it('gives plain data that survives JSON and cannot be changed', () => {
    const config = loadConfig({ text: 'version: 1\nalarms: [{ name: a, metric: t, above: 1 }]\n' });
    expect(JSON.parse(JSON.stringify(config))).toEqual(config);
    const frozen = (value: unknown): boolean =>
      value === null || typeof value !== 'object' || (Object.isFrozen(value) && Object.values(value).every(frozen));
    expect(frozen(config)).toBe(true);
  });

  it('takes sluice.yaml of the working directory, and the file that is given before it', () => {
    const cwd = mkdtempSync(join(dir, 'cwd-'));
    expect(configFileOf({ cwd })).toBeNull();
    writeFileSync(join(cwd, 'sluice.yaml'), 'version: 1\nlog: { partitions: 3 }\n');
    writeFileSync(join(cwd, 'other.yaml'), '\ufeffversion: 1\nlog: { partitions: 5 }\n');
    expect(configFileOf({ cwd })).toBe('sluice.yaml');
    expect(loadConfig({ cwd }).log.partitions).toBe(3);
    expect(loadConfig({ cwd, file: 'other.yaml' }).log.partitions).toBe(5);
  });

  it('says what is the matter with a file that cannot be read', () => {
    expect(errorOf({ cwd: dir, file: 'none.yaml' }).toLine()).toBe(
      `CONFIG_INVALID: none.yaml: there is no such file; looked for ${join(dir, 'none.yaml')}; give the settings file with --config, or copy sluice.example.yaml`,
    );
    expect(errorOf({ cwd: dir, file: '.' }).message).toBe('.: is a folder; give the file inside it, as sluice.yaml');
    writeFileSync(join(dir, 'latin1.yaml'), Buffer.from('version: 1\n# gr\xfcn\n', 'latin1'));
    expect(errorOf({ cwd: dir, file: 'latin1.yaml' }).message).toBe('latin1.yaml: is not UTF-8 text; save it as UTF-8');
  });

  it('counts relative paths from the folder of the file, and those of the command line from the working directory', () => {
    const text = 'version: 1\nstore: { url: http://127.0.0.1:8123, passwordFile: secret }\n';
    const file = join('etc', 'sluice.yaml');
    const config = loadConfig({ cwd: '/srv', file, text, checkFiles: false });
    expect(config.dataDir).toBe('/srv/etc/data');
    expect(config.store.passwordFile).toBe('/srv/etc/secret');
    expect(loadConfig({ cwd: '/srv', file, text, overrides: { data: 'x' }, checkFiles: false }).dataDir).toBe('/srv/x');
  });

  it('checks that certificates and password files are there', () => {
    writeFileSync(join(dir, 'a.pem'), '');
    const text = 'version: 1\nmqtt:\n  tlsListen: 127.0.0.1:8883\n  tls: { certFile: a.pem, keyFile: b.pem }\n';
    expect(problemsOf({ cwd: dir, text })).toEqual([
      `sluice.yaml:4:36: mqtt.tls.keyFile: there is no file ${join(dir, 'b.pem')}; correct the path; a relative one counts from the folder of the settings file`,
    ]);
    expect(loadConfig({ cwd: dir, text, checkFiles: false }).mqtt.tls.certFile).toBe(join(dir, 'a.pem'));
  });

  it('takes quantities as numbers and as texts', () => {
    const { log, store } = loadConfig({
      text: 'version: 1\nlog: { lingerMs: 20, tickMs: 0.5s, retention: { ageMs: 36h, bytesMax: 1GB } }\nstore: { readingsTtlMs: 90d }\n',
    });
    expect(log.lingerMs).toBe(20);
    expect(log.tickMs).toBe(500);
    expect(log.retention).toEqual({ ageMs: 129_600_000, bytesMax: 1_000_000_000 });
    expect(store.readingsTtlMs).toBe(7_776_000_000);
  });

  it('reads sections and lists whose lines are all commented out, anchors, merge keys, and JSON', () => {
    const yaml = `version: 1
mqtt:
access:
  users:
windows:
alarms:
  - &hot { name: hot, metric: temperature, above: 35, clear: 33 }
  - { <<: *hot, name: hotter, above: 40 }
`;
    const config = loadConfig({ text: yaml });
    expect(config.mqtt.listen).toEqual({ host: '127.0.0.1', port: 1883 });
    expect(config.windows).toEqual([]);
    expect(config.alarms).toMatchObject([
      { name: 'hot', above: 35, clear: 33 },
      { name: 'hotter', above: 40, clear: 33 },
    ]);
    expect(loadConfig({ text: '{"version": 1, "log": {"partitions": 2}}' }).log.partitions).toBe(2);
    expect(problemsOf({ text: yaml.replace('above: 40', 'above: 30') })).toEqual([
      'sluice.yaml:7:62: alarms[1].clear: 33 is above the threshold 30: the alarm would clear while it is raised; write 30 or less',
    ]);
  });

  it('fills in what an alarm rule leaves open', () => {
    const text = 'version: 1\nalarms: [{ name: a, metric: t, above: 1 }, { name: b, metric: t, below: -2.5 }]\n';
    expect(loadConfig({ text }).alarms).toEqual([
      expect.objectContaining({ kind: 'threshold', above: 1, below: null, clear: 1, forMs: 0, severity: 'warning' }),
      expect.objectContaining({ kind: 'threshold', above: null, below: -2.5, clear: -2.5, devices: [] }),
    ]);
  });

  it('takes one payload format for all devices, or a list', () => {
    const payload = (text: string): unknown =>
      loadConfig({ text: `version: 1\ndevices:\n  payload: ${text}\n` }).devices.payload;
    expect(payload('{ format: json }')).toEqual([{ match: '*', format: 'json' }]);
    expect(payload('[{ match: "a-*" }]')).toEqual([{ match: 'a-*', format: 'json' }]);
    expect(problemsOf({ text: 'version: 1\ndevices:\n  payload: { format: json, mach: "*" }\n' })[0]).toMatch(
      /3:28: .*unknown setting/,
    );
    expect(problemsOf({ text: 'version: 1\ndevices:\n  payload: json\n' })[0]).toMatch(
      /3:12: .*not a mapping or a list/,
    );
  });

  it('takes TLS alone', () => {
    const text = 'version: 1\nmqtt: { listen: null, tlsListen: "[::]:8883", tls: { certFile: a, keyFile: b } }\n';
    const { mqtt } = loadConfig({ text, checkFiles: false });
    expect(mqtt.listen).toBeNull();
    expect(mqtt.tlsListen).toEqual({ host: '::', port: 8883 });
    expect(problemsOf({ text: 'version: 1\nmqtt: { listen: null }\n' })).toEqual([
      'sluice.yaml:2:17: mqtt.listen: no address is left for devices to connect to; set mqtt.listen or mqtt.tlsListen, as 127.0.0.1:1883',
    ]);
  });
});

describe('the command line', () => {
  it('takes the place of the file', () => {
    const config = loadConfig({
      text: 'version: 1\nmqtt: { listen: 0.0.0.0:1, connectionsMax: 5 }\n',
      overrides: {
        mqtt: '[::1]:0',
        http: 'localhost:0',
        clickhouseHttp: '127.0.0.1:9',
        kafka: 'a:1, b:2',
        clickhouse: 'http://db:8123',
      },
    });
    expect(config.mqtt).toMatchObject({ listen: { host: '::1', port: 0 }, connectionsMax: 5 });
    expect(config.gateway.listen).toEqual({ host: 'localhost', port: 0 });
    expect(config.log.kafka.brokers).toEqual(['a:1', 'b:2']);
    expect(config.store.url).toBe('http://db:8123');
  });

  it('is checked like the file, with the option as the place', () => {
    expect(
      problemsOf({ cwd: dir, overrides: { mqtt: '1883', data: '', kafka: 'a:9092,', clickhouse: 'tcp://x:9000' } }),
    ).toEqual([
      'option --data: dataDir: an empty path; write the path of a file or folder',
      'option --mqtt: mqtt.listen: "1883" is not HOST:PORT; write 127.0.0.1:1883 for this machine only, or 0.0.0.0:1883',
      expect.stringMatching(/^option --kafka: log\.kafka\.brokers\[1\]: "" is not HOST:PORT/),
      expect.stringMatching(/^option --clickhouse: store\.url: tcp:\/\/ is not ClickHouse's HTTP interface/),
    ]);
    // One option against a default, and one against a line of the file: shown where somebody wrote something.
    expect(problemsOf({ cwd: dir, overrides: { mqtt: '127.0.0.1:8080' } })).toEqual([
      'option --mqtt: gateway.listen: 127.0.0.1:8080 is the same port as mqtt.listen 127.0.0.1:8080; choose another port',
    ]);
    expect(problemsOf({ text: 'version: 1\nmqtt: 5\n', overrides: { mqtt: '127.0.0.1:1' } })).toEqual([
      'sluice.yaml:2:7: mqtt: 5 is not a mapping; write settings as NAME: VALUE below it',
    ]);
  });
});

describe('problems', () => {
  it('are all told at once, those of relations too, in the order of the file', () => {
    const text = `version: 2
mqtt: { listen: 1883, conectionsMax: 5 }
log: { partitions: 2, lingerMs: 5 sec }
processors: { workers: 4, checkpointMs: -1 }
access:
  users:
    - { name: a, role: boss }
    - { name: b, passwordHash: "${HASH}", role: operator, device: x }
    - { name: b, passwordHash: "${HASH}" }
windows:
  - { sizeMs: 7m }
  - { name: w, sizeMs: 7m }
alarms:
  - { name: a, metric: t, above: hot, clear: 5 }
  - { name: a, metric: t, above: 5, clear: 8, severity: bad }
  - { name: c, metric: t }
`;
    expect(problemsOf({ text }).map((line) => line.split(': ').slice(0, 2).join(': '))).toEqual([
      'sluice.yaml:1:10: version',
      'sluice.yaml:2:17: mqtt.listen',
      'sluice.yaml:2:23: mqtt.conectionsMax',
      'sluice.yaml:3:33: log.lingerMs',
      'sluice.yaml:4:24: processors.workers',
      'sluice.yaml:4:41: processors.checkpointMs',
      'sluice.yaml:7:7: access.users[0].passwordHash',
      'sluice.yaml:7:24: access.users[0].role',
      expect.stringMatching(/^sluice\.yaml:8:\d+: access\.users\[1\]\.device$/),
      'sluice.yaml:9:15: access.users[2].name',
      'sluice.yaml:11:5: windows[0].name',
      'sluice.yaml:12:24: windows[1].sizeMs',
      'sluice.yaml:14:34: alarms[0].above',
      'sluice.yaml:15:13: alarms[1].name',
      'sluice.yaml:15:44: alarms[1].clear',
      'sluice.yaml:15:57: alarms[1].severity',
      'sluice.yaml:16:5: alarms[2]',
    ]);
  });

  it('do not judge a default that stands in for a wrong value', () => {
    // partitions is wrong, so nothing can be said about the workers; `above` is wrong, so there is a threshold after all.
    const text =
      'version: 1\nlog: { partitions: none }\nprocessors: { workers: 16 }\nalarms: [{ name: a, metric: t, above: x }]\n';
    expect(problemsOf({ text }).map((line) => line.split(': ')[1])).toEqual(['log.partitions', 'alarms[0].above']);
  });

  it('never show a password', () => {
    const text =
      'version: 1\naccess:\n  users: [{ name: a, passwordHash: hunter2, role: x }]\nstore: { url: "http://u:hunter2@h:1" }\n';
    const error = errorOf({ text });
    expect((error.values.problems as Problem[]).length).toBe(3);
    expect(error.message).not.toContain('hunter2');
    expect(JSON.stringify(error.values)).not.toContain('hunter2');
  });

  it('take a name from the file for a name, whatever it is', () => {
    const text =
      'version: 1\n__proto__: { polluted: 1 }\nconstructor: 1\nlog: { __proto__: { partitions: 3 }, toString: 1 }\n';
    expect(problemsOf({ text }).map((line) => line.split(': ').slice(0, 3).join(': '))).toEqual([
      'sluice.yaml:2:1: __proto__: unknown setting; known here',
      'sluice.yaml:3:1: constructor: unknown setting; known here',
      'sluice.yaml:4:8: log.__proto__: unknown setting; known here',
      'sluice.yaml:4:38: log.toString: unknown setting; known here',
    ]);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });

  it('end a bomb of aliases, and a list that holds itself', () => {
    const levels = Array.from({ length: 9 }, (_, i) => `l${i + 1}: &l${i + 1} [${Array(9).fill(`*l${i}`).join(', ')}]`);
    expect(problemsOf({ text: `version: 1\nl0: &l0 [x]\n${levels.join('\n')}\n` })[0]).toContain(
      'cannot be read as YAML',
    );
    expect(problemsOf({ text: 'version: 1\nwindows: &w [*w]\n' })[0]).toContain(
      'sluice.yaml:2:14: *w refers to itself',
    );
    expect(problemsOf({ text: `version: 1\nwindows: ${'['.repeat(20_000)}` }).length).toBeGreaterThan(0);
  });

  it('are what the golden file says, for typical mistakes', () => {
    const golden = readFileSync(fileURLToPath(new URL('mistakes.golden.txt', import.meta.url)), 'utf8');
    const cases = golden.split('\n=== ').slice(1);
    expect(cases.length).toBeGreaterThan(50);
    for (const one of cases) {
      const [name, ...rest] = one.split('\n');
      const [text, expected] = rest.join('\n').split('---\n');
      const [, ...printed] = errorOf({ text, checkFiles: false }).message.split('\n');
      expect(printed.join('\n'), name).toBe(expected.trimEnd());
    }
  });
});

describe('withExamples', () => {
  it('adds rules and devices, but not over those of the same name', () => {
    const text =
      'version: 1\nalarms: [{ name: a, metric: t, above: 1 }]\ndevices: { registry: [{ id: d, site: here }] }\n';
    const config = loadConfig({ text });
    const rules = loadConfig({
      text: 'version: 1\nalarms: [{ name: a, metric: u, above: 2 }, { name: b, metric: u, above: 2 }]\n',
    }).alarms;
    const fields = { name: '', model: '', tags: new Map([['line', 'a']]), thresholds: new Map() };
    const devices = ['d', 'e'].map((id) => ({ id, site: 'there', ...fields }));
    const more = withExamples(config, { alarms: rules, devices });
    expect(more.devices.registry).toMatchObject([
      { id: 'd', site: 'here' },
      { id: 'e', site: 'there', tags: [['line', 'a']] },
    ]);
    expect(more.alarms).toMatchObject([
      { name: 'a', metric: 't' },
      { name: 'b', metric: 'u' },
    ]);
    expect(Object.isFrozen(more)).toBe(true);
    expect(config.alarms.length).toBe(1);
  });
});

describe('warningsOf', () => {
  const warnings = (body: string): string[] =>
    warningsOf(loadConfig({ text: `version: 1\n${body}`, checkFiles: false }) satisfies Config);

  it('names what others could do over the network', () => {
    expect(warnings('mqtt: { listen: "0.0.0.0:1883" }\naccess: { anonymous: always }\n')[0]).toContain(
      'may publish as any device',
    );
    expect(warnings('mqtt: { listen: "[::]:1883" }\n')[0]).toContain(
      'Nobody can connect to [::]:1883 from another machine yet',
    );
    const users = `access: { users: [{ name: a, passwordHash: "${HASH}" }] }\n`;
    expect(warnings(`mqtt: { listen: "10.0.0.1:1883" }\n${users}`)[0]).toContain('in the clear');
    expect(warnings(users)).toEqual([]);
    expect(warnings('gateway: { listen: "0.0.0.0:8080" }\n')[0]).toContain('ask for no password');
    expect(warnings('store: { listen: "0.0.0.0:8123" }\n')[0]).toContain('others can read all data');
    expect(warnings('store: { listen: "0.0.0.0:8123", readOnly: false }\n')[0]).toContain('delete all data');
    expect(warnings('store: { url: "http://db:8123", passwordFile: p }\n')[0]).toContain('use https');
    expect(warnings('store: { url: "http://[::1]:8123", passwordFile: p }\n')).toEqual([]);
    const sasl = 'sasl: { mechanism: plain, username: u, passwordFile: p }';
    expect(warnings(`log: { kafka: { brokers: ["k:1"], ${sasl} } }\n`)[0]).toContain('log.kafka.tls is false');
  });
});
