import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { SCENARIOS } from '../device-sim/scenario.ts';
import { matcher } from '../model/pattern.ts';
import { loadConfig } from './load.ts';
import { EXAMPLES, editorSchema, referenceMarkdown } from './reference.ts';
import { configJsonSchema, type SchemaNode } from './schema.ts';

const root = new URL('..', import.meta.url);
const read = (file: string): string => readFileSync(fileURLToPath(new URL(file, root)), 'utf8');

describe('the reference', () => {
  it('is committed as it is generated (npm run docs writes it anew)', () => {
    expect(read('docs/configuration.md')).toBe(referenceMarkdown());
    expect(read('docs/sluice.schema.json')).toBe(editorSchema());
  });

  it('describes every setting, and names units last', () => {
    const wrong: string[] = [];
    const visit = (path: string, node: SchemaNode): void => {
      for (const [key, child] of Object.entries(node.properties ?? {})) {
        const here = `${path}.${key}`;
        if ((child.description ?? '').length < 8) wrong.push(`${here}: no description`);
        if (child['x-type'] === 'duration' && !key.endsWith('Ms') && !key.endsWith('MsMax')) {
          if (!/Max(Ms)$/.test(key)) wrong.push(`${here}: a time without Ms`);
        }
        if (child['x-type'] === 'bytes' && !/Bytes(Max)?$|^bytesMax$/.test(key))
          wrong.push(`${here}: a size without Bytes`);
        visit(here, child);
      }
      if (node.items) visit(`${path}[]`, node.items);
      for (const option of node.anyOf ?? []) visit(path, option);
    };
    visit('', configJsonSchema());
    expect(wrong).toEqual([]);
  });

  it('gives defaults that are the defaults', () => {
    const defaults = loadConfig({ text: 'version: 1' });
    const lines: string[] = ['version: 1'];
    const write = (node: SchemaNode, indent: string): void => {
      for (const [key, child] of Object.entries(node.properties ?? {})) {
        if (key === 'version') continue;
        if (child.properties && child['x-nullable'] !== true) {
          lines.push(`${indent}${key}:`);
          write(child, `${indent}  `);
        } else lines.push(`${indent}${key}: ${JSON.stringify(child.default)}`);
      }
    };
    write(configJsonSchema(), '');
    expect(lines.length).toBeGreaterThan(50);
    expect(loadConfig({ text: lines.join('\n') })).toEqual(defaults);
  });

  it('has examples that load', () => {
    for (const [section, text] of Object.entries(EXAMPLES)) {
      expect(() => loadConfig({ text: `version: 1\n${text}`, checkFiles: false }), section).not.toThrow();
    }
  });
});

describe('sluice.example.yaml', () => {
  const text = read('sluice.example.yaml');
  const config = loadConfig({ text });

  it("declares the devices' payload and registry, windows and alarm rules of several kinds, and points editors to the schema", () => {
    expect(config.devices.payload.length).toBe(2);
    expect(config.devices.registry.length).toBe(3);
    expect(config.derived.length).toBe(1);
    expect([...new Set(config.windows.map(({ kind }) => kind))]).toEqual(['tumbling', 'hopping', 'session']);
    expect([...new Set(config.alarms.map(({ kind }) => kind))]).toEqual(['threshold', 'silence', 'combination']);
    const schema = /^# yaml-language-server: \$schema=(\S+)$/m.exec(text)?.[1];
    expect(() => read(schema ?? 'nothing')).not.toThrow();
  });

  it('loads with every commented setting put in force as well', () => {
    const all = text
      .replace(/^( *)# ((?: *)(?:- )?[A-Za-z]+:(?: .*)?)$/gm, '$1$2')
      .replaceAll('scrypt$16384$8$1$...', `scrypt$16384$8$1$${'c2Fs'.repeat(6)}$${'a2V5'.repeat(8)}`);
    expect(all).toContain('\n  tlsListen: 0.0.0.0:8883');
    expect(all).toContain('\n    brokers: [');
    const full = loadConfig({ text: all, checkFiles: false });
    expect(full.access.users.length).toBe(2);
    expect(full.log.kafka.brokers.length).toBe(3);
    expect(full.store.url).not.toBeNull();
  });

  it('has the rules that the simulated fleets suggest', () => {
    const suggested = new Map(
      [...SCENARIOS.values()].flatMap((s) => s.rules.map((rule) => [rule.name, rule] as const)),
    );
    const common = config.alarms.filter(({ name }) => suggested.has(name));
    expect(common.map(({ name }) => name)).toEqual(['zone-too-hot', 'soil-too-dry', 'vibration-high']);
    for (const alarm of common) expect(alarm).toMatchObject({ ...suggested.get(alarm.name) });
  });

  it('has rules that the simulated fleets raise, and clear again', () => {
    for (const rule of config.alarms.filter(({ name }) =>
      [...SCENARIOS.values()].some((s) => s.rules.some((r) => r.name === name)),
    )) {
      if (rule.kind !== 'threshold') throw new Error(`${rule.name} is no threshold`);
      const scenario = [...SCENARIOS.values()].find((s) => s.rules.some((r) => r.name === rule.name))!;
      expect(scenario.metrics.map((m) => m.name)).toContain(rule.metric);
      const matches = matcher(rule.devices);
      let raised = 0;
      let cleared = 0;
      for (let index = 0; index < scenario.devicesDefault && (raised === 0 || cleared === 0); index++) {
        const device = scenario.device(1, index);
        expect(matches(device.id), `${rule.name} for ${device.id}`).toBe(true);
        let since: number | null = null;
        let open = false;
        for (let tsMs = 1_700_000_000_000; tsMs < 1_700_000_000_000 + 3_600_000; tsMs += 1_000) {
          const reading = device.read(tsMs)[rule.metric] as number;
          const beyond = rule.above !== null ? reading > rule.above : reading < rule.below!;
          const clear = rule.above !== null ? reading <= rule.clear : reading >= rule.clear;
          since = beyond ? (since ?? tsMs) : null;
          if (!open && since !== null && tsMs - since >= rule.forMs) {
            open = true;
            raised++;
          } else if (open && clear) {
            open = false;
            cleared++;
          }
        }
      }
      expect(raised, rule.name).toBeGreaterThan(0);
      expect(cleared, rule.name).toBeGreaterThan(0);
    }
  });
});
