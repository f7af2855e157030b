import { formatQuantity } from './quantity.ts';
import { configJsonSchema, type SchemaNode } from './schema.ts';

/** What is generated from the schema: docs/configuration.md for people, docs/sluice.schema.json for editors. */

/** The JSON Schema that editors read, without our notes. */
export function editorSchema(): string {
  const schema = { title: 'Settings of Sluice (sluice.yaml)', ...forEditor(configJsonSchema()) };
  return `${JSON.stringify(schema, null, 2)}\n`;
}

function forEditor(node: SchemaNode): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(node)) {
    if (key.startsWith('x-')) continue;
    if (key === 'properties') {
      out[key] = Object.fromEntries(
        Object.entries(value as Record<string, SchemaNode>).map(([k, v]) => [k, forEditor(v)]),
      );
    } else if (key === 'items') out[key] = forEditor(value as SchemaNode);
    else if (key === 'anyOf') out[key] = (value as SchemaNode[]).map(forEditor);
    else out[key] = value;
  }
  // The loader reads an empty section or list as if it were not there.
  if (node['x-type'] === 'section' && out.type === 'object') out.type = ['object', 'null'];
  if (node['x-type'] === 'list' && out.type === 'array') out.type = ['array', 'null'];
  if (isEmptyMapping(out.default)) delete out.default;
  return out;
}

function isEmptyMapping(value: unknown): boolean {
  return value !== null && typeof value === 'object' && !Array.isArray(value) && Object.keys(value).length === 0;
}

/** Settings that stand together in practice, shown below their section. A test loads each. */
export const EXAMPLES: Readonly<Record<string, string>> = {
  mqtt: `mqtt:
  listen: 127.0.0.1:1883
  tlsListen: 0.0.0.0:8883
  tls:
    certFile: /etc/sluice/server.pem
    keyFile: /etc/sluice/server.key
`,
  access: `access:
  anonymous: never
  users:
    - name: greenhouse-01
      passwordHash: "scrypt$16384$8$1$c2FsdHNhbHRzYWx0c2FsdA==$a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2U="
      device: greenhouse-01
    - name: control-room
      passwordHash: "scrypt$16384$8$1$c2FsdHNhbHRzYWx0c2FsdA==$a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2U="
      role: operator
`,
  log: `log:
  partitions: 32
  kafka:
    brokers: [kafka-1.example:9093, kafka-2.example:9093]
    replicationFactor: 3
    tls: true
    sasl: { mechanism: scram-sha-512, username: sluice, passwordFile: /run/secrets/kafka }
`,
  store: `store:
  url: https://clickhouse.example:8443
  username: sluice
  passwordFile: /run/secrets/clickhouse
  readingsTtlMs: 365d
`,
  devices: `devices:
  registry:
    - { id: pump-7, name: Pump 7, site: north, model: P200, tags: { line: a }, thresholds: { pressure_max: 7.5 } }
  payload:
    - { match: "greenhouse-*", format: json }
    - { match: "*", format: json }
`,
  windows: `windows:
  - { name: 1m, sizeMs: 1m }
  - { name: 1h, sizeMs: 1h, metrics: [temperature, "bearing_*"], allowedLatenessMs: 10m }
  - { name: latency, sizeMs: 5m, metrics: [response_ms], aggregates: [p50, p99.9, { histogram: [10, 100, 1000] }] }
`,
  tiers: `tiers:
  - { name: hours, from: 1m, sizeMs: 1h, keepMs: 365d }
  - { name: days, from: hours, sizeMs: 1d }
`,
  alarms: `alarms:
  - name: zone-too-hot
    metric: temperature
    devices: ["greenhouse-*"]
    above: 35
    clear: 33
    forMs: 10s
    severity: major
    message: "{device}: air is {value} °C, above {threshold} °C"
`,
};

const INTRO = `# Settings

<!-- Generated from config/schema.ts by \`npm run docs\`. Change it there. -->

Sluice reads the file given with \`--config\`, else \`sluice.yaml\` of the working directory when it is there, else it uses the
defaults below. \`sluice validate FILE\` checks a file without starting anything. A file begins with \`version: 1\`; every
other line may be left away. [sluice.example.yaml](../sluice.example.yaml) is a commented file to begin with.

**Units.** A name ends in its unit. Settings in \`Ms\` take a whole number of milliseconds or a text such as \`250ms\`, \`30s\`,
\`5m\`, \`1h\`, \`7d\`. Settings in \`Bytes\` take a whole number of bytes or a text such as \`64KiB\`, \`1MiB\`, \`10GB\`
(\`KiB\` is 1024 bytes, \`KB\` 1000).

**Addresses** are \`HOST:PORT\`. An IPv6 host stands in brackets and then needs quotes: \`"[::1]:1883"\`. Port 0 takes any free port.

**Paths** in the file count from the folder of the file; those of the command line from the working directory.

**Command line.** These options of \`sluice start\` and \`sluice run\` take the place of what the file says:

| option | setting |
|---|---|
| \`--data DIR\` | \`dataDir\` |
| \`--mqtt HOST:PORT\` | \`mqtt.listen\` |
| \`--http HOST:PORT\` | \`gateway.listen\` |
| \`--clickhouse-http HOST:PORT\` | \`store.listen\` |
| \`--kafka HOST:PORT,...\` | \`log.kafka.brokers\` |
| \`--clickhouse URL\` | \`store.url\` |
| \`--health HOST:PORT\` (of \`run\`) | \`health.ROLE\` |

**Mistakes** stop the start. All of them are shown at once, each with its place, what is wrong, and what would be right:

    sluice.yaml:6:3: log.linger: unknown setting; did you mean \`lingerMs\`?
        6 |   linger: 5ms
          |   ^~~~~~

**In the editor.** With the YAML language server, the first line of the file gives completion and checks while typing:

    # yaml-language-server: $schema=docs/sluice.schema.json
`;

/** docs/configuration.md. */
export function referenceMarkdown(): string {
  const schema = configJsonSchema();
  const properties = Object.entries(schema.properties ?? {});
  const plain = properties.filter(([, node]) => rowsBelow(node) === null);
  const out = [INTRO, '## At the top', '', ...table(plain.map(([key, node]) => [key, node]))];
  for (const [key, node] of properties) {
    const below = rowsBelow(node);
    if (below === null) continue;
    out.push('', `## ${key}`, '', node.description ?? '');
    if (node['x-type'] === 'list') out.push('', `Default: ${defaultOf(node)}.`);
    out.push('', ...table(rowsOf(key, node)));
    if (Object.hasOwn(EXAMPLES, key)) out.push('', '```yaml', EXAMPLES[key].trimEnd(), '```');
  }
  return `${out.join('\n')}\n`;
}

type Row = readonly [path: string, node: SchemaNode];

/** The settings inside a section, or inside the entries of a list of sections; null for a plain setting. */
function rowsBelow(node: SchemaNode): { mark: string; properties: Record<string, SchemaNode> } | null {
  const candidates = node['x-type'] === 'level' ? [] : [node, ...(node.anyOf ?? [])];
  for (const candidate of candidates) {
    const items = candidate.items?.properties ?? ofAllKinds(candidate.items);
    if (items) return { mark: '[]', properties: items };
    if (candidate.properties) return { mark: '', properties: candidate.properties };
  }
  return null;
}

/** The settings of all kinds of a section together, each once and with the kinds that it is of; null where there are no kinds. */
function ofAllKinds(node: SchemaNode | undefined): Record<string, SchemaNode> | null {
  const sections = (node?.anyOf ?? []).flatMap(({ properties }) => (properties?.kind ? [properties] : []));
  if (sections.length < 2) return null;
  const rows: Record<string, SchemaNode> = {};
  for (const properties of sections) {
    for (const [key, child] of Object.entries(properties)) {
      const same = Object.entries(rows).find(([, known]) => sameSetting(known, child) && known['x-key'] === key);
      const kind = String(properties.kind.enum?.[0]);
      if (same === undefined) rows[`${key}#${kind}`] = { ...child, 'x-key': key, 'x-kinds': [kind] };
      else same[1]['x-kinds']?.push(kind);
    }
  }
  return Object.fromEntries(
    Object.entries(rows).map(([key, row]) => {
      const kinds = row['x-kinds'] ?? [];
      const which = kinds.length === sections.length || row['x-key'] === 'kind' ? '' : `(${kinds.join(', ')}) `;
      return [key, { ...row, description: `${which}${row.description ?? ''}` }];
    }),
  );
}

function sameSetting(a: SchemaNode, b: SchemaNode): boolean {
  return a.description === b.description && JSON.stringify(a.default) === JSON.stringify(b.default);
}

function rowsOf(path: string, node: SchemaNode): Row[] {
  const below = rowsBelow(node);
  if (below === null) return [];
  return Object.entries(below.properties).flatMap(([key, child]): Row[] => {
    const childPath = `${path}${below.mark}.${child['x-key'] ?? key}`;
    const isSection = child['x-type'] === 'section' && child['x-nullable'] !== true;
    return [...(isSection ? [] : [[childPath, child] as Row]), ...rowsOf(childPath, child)];
  });
}

function table(rows: readonly Row[]): string[] {
  const cell = (text: string): string => text.replaceAll('|', '\\|');
  return [
    '| setting | type | default | what it does |',
    '|---|---|---|---|',
    ...rows.map(
      ([path, node]) =>
        `| \`${path}\` | ${cell(typeOf(node))} | ${cell(defaultOf(node))} | ${cell(node.description ?? '')} |`,
    ),
  ];
}

function typeOf(node: SchemaNode): string {
  const kind = kindOf(node);
  if (node['x-nullable'] !== true) return kind;
  return kind.includes(',') ? `${kind}; or null` : `${kind} or null`;
}

function kindOf(node: SchemaNode): string {
  const inner = node['x-nullable'] === true ? (node.anyOf?.[0] ?? node) : node;
  const range = (low: string | null, high: string | null): string => {
    if (low !== null && high !== null) return `, ${low} to ${high}`;
    return low !== null ? `, ${low} or more` : high !== null ? `, up to ${high}` : '';
  };
  switch (inner['x-type']) {
    case 'duration':
    case 'bytes': {
      const dimension = inner['x-type'];
      const show = (value: number | undefined): string | null =>
        value === undefined ? null : formatQuantity(value, dimension);
      return `${dimension === 'duration' ? 'ms' : 'bytes'}${range(show(inner['x-min']), show(inner['x-max']))}`;
    }
    case 'address':
      return 'HOST:PORT';
    case 'level':
      return 'number or {device, default}';
    case 'path':
      return 'path';
    case 'section':
      return 'mapping';
    case 'mapping of texts':
    case 'mapping of numbers':
      return inner['x-type'];
    case 'list':
      return rowsBelow(inner) === null && inner.items?.anyOf === undefined ? 'list of texts' : 'list';
  }
  if (inner.enum) return inner.enum.map((value) => `\`${String(value)}\``).join(', ');
  if (inner.const !== undefined) return `\`${String(inner.const)}\``;
  if (inner.type === 'integer') {
    const show = (value: number | undefined): string | null => (value === undefined ? null : String(value));
    return `whole number${range(show(inner.minimum), show(inner.maximum))}`;
  }
  if (inner.type === 'number') return 'number';
  if (inner.type === 'boolean') return 'true or false';
  return 'text';
}

function defaultOf(node: SchemaNode): string {
  if (node.default === undefined) return 'required';
  if (typeof node.default === 'string') return `\`${node.default}\``;
  return `\`${JSON.stringify(node.default).replaceAll('":', '": ').replaceAll(',"', ', "').replaceAll('"', '')}\``;
}
