import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../config/load.ts';
import { readYaml } from '../../config/yaml.ts';

/**
 * No Prometheus runs where these tests run (it comes as an image only): the files are held to the format in Prometheus's documentation,
 * to the compose file's settings, and to the list of metrics in docs/metrics.md, which test/operators.test.ts holds to the program.
 */

const root = fileURLToPath(new URL('../..', import.meta.url));
const read = (file: string): string => readFileSync(join(root, file), 'utf8');

function yamlOf<T>(file: string): T {
  const yaml = readYaml(read(file));
  expect(yaml.problems, file).toEqual([]);
  return yaml.value as T;
}

interface Rule {
  alert: string;
  expr: string;
  for: string;
  labels: Record<string, string>;
  annotations: Record<string, string>;
}

const { groups } = yamlOf<{ groups: { name: string; rules: Rule[] }[] }>('docker/prometheus/alerts.yaml');
const rules = groups.flatMap((group) => group.rules);
const documented = new Map(
  [
    ...read('docs/metrics.md').matchAll(
      /^\| `(sluice_\w+)`\s*\| (counter|gauge|histogram|summary)\s*\|[^|]*\|([^|]*)\|/gm,
    ),
  ].map(([, name, type, labels]) => [name, { type, labels: [...labels.matchAll(/`(\w+)`/g)].map((m) => m[1]) }]),
);

/** Metric names that an expression uses, with the label names that it asks for. */
function metricsIn(expr: string): string[] {
  const bare = expr.replace(/"[^"]*"/g, '""');
  return [...bare.matchAll(/\b(sluice_\w+|up)\b/g)].map((m) => m[1]);
}

describe('alerts.yaml', () => {
  it('has rules of the form that Prometheus reads', () => {
    expect(rules.length).toBeGreaterThan(20);
    expect(new Set(groups.map((g) => g.name)).size).toBe(groups.length);
    expect(new Set(rules.map((r) => r.alert)).size).toBe(rules.length);
    for (const rule of rules) {
      expect(Object.keys(rule).sort(), rule.alert).toEqual(['alert', 'annotations', 'expr', 'for', 'labels']);
      expect(rule.alert).toMatch(/^Sluice[A-Za-z]+$/);
      expect(rule.for, rule.alert).toMatch(/^\d+[smh]$/);
      expect(['warning', 'critical'], rule.alert).toContain(rule.labels.severity);
    }
  });

  it('says what has happened and what to do', () => {
    for (const { alert, annotations } of rules) {
      expect(Object.keys(annotations).sort(), alert).toEqual(['description', 'summary']);
      expect(annotations.summary.length, alert).toBeGreaterThan(15);
      expect(annotations.description, alert).toMatch(/^[A-Z].{30,}\.$/s);
      for (const text of Object.values(annotations)) {
        for (const [, template] of text.matchAll(/\{\{(.*?)\}\}/g)) {
          expect(template.trim(), alert).toMatch(/^\$(value|labels\.\w+)( \| humanize(Duration|Percentage)?)?$/);
        }
      }
    }
  });

  it('asks only for metrics that there are, in a way that suits their type', () => {
    expect(documented.size).toBeGreaterThan(80);
    for (const { alert, expr } of rules) {
      const names = metricsIn(expr);
      expect(names.length, alert).toBeGreaterThan(0);
      for (const name of names) {
        if (name === 'up') continue;
        const isBucket = name.endsWith('_bucket');
        const found = documented.get(isBucket ? name.slice(0, -'_bucket'.length) : name);
        expect(found, `${alert}: ${name}`).toBeDefined();
        expect(found?.type === 'histogram', `${alert}: ${name}`).toBe(isBucket);
        // The value of a counter says how long the process has lived; only its growth says something.
        const grows = new RegExp(`(rate|increase)\\(${name}(\\{[^}]*\\})?\\[\\d+m\\]\\)`).test(expr);
        if (found?.type === 'counter' || isBucket)
          expect(grows, `${alert}: ${name} without rate or increase`).toBe(true);
        else expect(grows, `${alert}: rate of the gauge ${name}`).toBe(false);
      }
    }
  });

  it('has brackets that match, and labels in its texts that the result has', () => {
    for (const { alert, expr, annotations } of rules) {
      const open: string[] = [];
      for (const c of expr.replace(/"[^"]*"/g, '')) {
        if ('([{'.includes(c)) open.push(c);
        if (')]}'.includes(c)) expect('([{'.indexOf(open.pop() ?? ' '), alert).toBe(')]}'.indexOf(c));
      }
      expect(open, alert).toEqual([]);
      const kept = /^\w+ by \(([^)]*)\)/.exec(expr)?.[1].split(', ');
      const isSummed = /^(sum|histogram_quantile)\(/.test(expr);
      const [first] = metricsIn(expr);
      for (const [, label] of Object.values(annotations)
        .join(' ')
        .matchAll(/\$labels\.(\w+)/g)) {
        const has = kept ?? (isSummed ? [] : [...(documented.get(first)?.labels ?? []), 'instance', 'job']);
        expect(has, `${alert}: ${label}`).toContain(label);
      }
    }
  });
});

describe('prometheus.yaml', () => {
  it('asks every role that compose.yaml runs, at the port of its health listener', () => {
    const prometheus = yamlOf<{
      rule_files: string[];
      scrape_configs: { job_name: string; dns_sd_configs: { names: string[]; port: number }[] }[];
    }>('docker/prometheus/prometheus.yaml');
    const [job] = prometheus.scrape_configs;
    const asked = Object.fromEntries(job.dns_sd_configs.map(({ names, port }) => [names[0], port]));
    const { health } = loadConfig({ cwd: root, file: 'docker/sluice.compose.yaml', checkFiles: false });
    expect(asked).toEqual({
      door: health.door?.port,
      processor: health.processor?.port,
      gateway: health.gateway?.port,
    });
    const { services } = yamlOf<{
      services: Record<string, { volumes?: string[]; healthcheck?: { test?: string[] } }>;
    }>('docker/compose.yaml');
    const mounted = (services.prometheus.volumes ?? []).map((v) => v.split(':')[1]);
    for (const file of prometheus.rule_files) expect(mounted).toContain(file);
    for (const [role, port] of Object.entries(asked)) {
      expect(services[role].healthcheck?.test?.join(' '), role).toContain(`http://127.0.0.1:${port}/ready`);
    }
    expect(rules.find((r) => r.expr.includes('up{'))?.expr).toContain(`job="${job.job_name}"`);
  });
});
