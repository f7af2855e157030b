import { z } from 'zod';
import { address, checkedText, choice, duration, path, section } from './fields.ts';
import { maintenanceSection } from './schema-alarm-life.ts';
import { alarmsSection } from './schema-alarms.ts';
import { derivedSection } from './schema-derived.ts';
import { devicesSection } from './schema-devices.ts';
import { accessSection, mqttSection } from './schema-door.ts';
import { logSection, processorsSection, storeSection } from './schema-engines.ts';
import { tiersSection } from './schema-tiers.ts';
import { windowsSection } from './schema-windows.ts';

/** The one schema of `sluice.yaml`: it reads the file, and gives the editor's JSON Schema and docs/configuration.md. */
export const VERSION = 1;

const healthAddress = (role: string) =>
  address(`Where the ${role} answers /health, /ready and /metrics for itself; null for nowhere.`)
    .nullable()
    .prefault(null);

const healthSection = section(
  'Small HTTP listeners by which each role answers for itself, for orchestrators, load balancers and Prometheus: /health and /ready (200, or 503 with the reasons) and /metrics. There is no password on them.',
  {
    door: healthAddress('door'),
    processor: healthAddress('processor'),
    store: healthAddress('embedded store'),
    gateway: healthAddress('gateway'),
  },
);

export const configSchema = z.strictObject({
  version: z
    .literal(VERSION)
    .describe('Version of this format. Always 1; a later Sluice that reads another will say so.'),
  dataDir: path(
    'Folder of the embedded log, the checkpoints and the embedded store. A relative path counts from the folder of this file, and from the working directory when it is given as --data.',
  ).default('./data'),
  mqtt: mqttSection.prefault({}),
  access: accessSection.prefault({}),
  log: logSection.prefault({}),
  processors: processorsSection.prefault({}),
  store: storeSection.prefault({}),
  ledger: section('The ledger: what became of the messages of each device, by minute and hop (`sluice audit`).', {
    flushMs: duration(
      'How often counts are written by the door and by the processors. Less shows them sooner, and writes more; a crash of the door leaves at most this much without its own count.',
      { min: 100, max: 60_000 },
    ).prefault('10s'),
    ttlMs: duration('Counts older than this are deleted; null keeps them for ever.', { min: 3_600_000 })
      .nullable()
      .prefault('90d'),
  }).prefault({}),
  gateway: section('The HTTP API and the page.', {
    listen: address(
      'Where the page and the HTTP API are served. There is no password on them: make it reachable for others only behind a proxy that asks for one.',
    ).prefault('127.0.0.1:8080'),
    commands: choice(
      'Who may change something over HTTP (devices, alarms): `loopback` those on this machine, `anyone` everybody who reaches the gateway, which is for a proxy in front that asks for a password, `nobody`. Pages of other sites never may.',
      ['loopback', 'anyone', 'nobody'],
    ).default('loopback'),
    userHeader: checkedText(
      'Header in which a proxy in front says who asks, as X-Forwarded-User; null where there is none. It stands beside each change.',
      (text) =>
        /^[A-Za-z0-9-]{1,64}$/.test(text)
          ? null
          : { what: 'not the name of a header', remedy: 'write letters, digits and dashes' },
    )
      .nullable()
      .prefault(null),
  }).prefault({}),
  health: healthSection.prefault({}),
  logging: section('What the program writes about itself, to standard error.', {
    level: choice('How much: each level includes those after it.', [
      'debug',
      'info',
      'warn',
      'error',
      'silent',
    ]).default('info'),
    format: choice(
      '`pretty` for people, `json` for log collectors; `auto` is pretty on a terminal and JSON elsewhere.',
      ['pretty', 'json', 'auto'],
    ).default('auto'),
  }).prefault({}),
  devices: devicesSection.prefault({}),
  derived: derivedSection,
  windows: windowsSection,
  tiers: tiersSection,
  alarms: alarmsSection,
  maintenance: maintenanceSection,
});

type ReadonlyDeep<T> = T extends readonly (infer Item)[]
  ? readonly ReadonlyDeep<Item>[]
  : T extends object
    ? { readonly [Key in keyof T]: ReadonlyDeep<T[Key]> }
    : T;

/** The settings after every check: plain, frozen data. Paths are absolute, times are ms, sizes are bytes. */
export type Config = ReadonlyDeep<z.output<typeof configSchema>>;
/** The same, while the loader still works at it. */
export type DraftConfig = z.output<typeof configSchema>;

export type MqttConfig = Config['mqtt'];
export type AccessConfig = Config['access'];
export type AccessUser = AccessConfig['users'][number];
export type LogConfig = Config['log'];
export type KafkaConfig = LogConfig['kafka'];
export type ProcessorsConfig = Config['processors'];
export type StoreConfig = Config['store'];
export type GatewayConfig = Config['gateway'];
export type HealthConfig = Config['health'];
export type LoggingConfig = Config['logging'];
export type DevicesConfig = Config['devices'];

/** A node of a JSON Schema, as far as this program reads its own. */
export interface SchemaNode {
  type?: string | string[];
  description?: string;
  default?: unknown;
  properties?: Record<string, SchemaNode>;
  required?: string[];
  items?: SchemaNode;
  anyOf?: SchemaNode[];
  oneOf?: SchemaNode[];
  enum?: unknown[];
  const?: unknown;
  minimum?: number;
  maximum?: number;
  pattern?: string;
  additionalProperties?: boolean | SchemaNode;
  'x-type'?: string;
  'x-nullable'?: boolean;
  'x-min'?: number;
  'x-max'?: number;
  /** In the reference, where settings of several kinds of a section stand together. */
  'x-key'?: string;
  'x-kinds'?: string[];
}

/** The settings as a JSON Schema (draft 7, which the YAML language server reads best), with our `x-` notes in it. */
export function configJsonSchema(): SchemaNode {
  jsonSchema ??= hoist(z.toJSONSchema(configSchema, { io: 'input', target: 'draft-07' }) as SchemaNode);
  return jsonSchema;
}

/** Made once, and only when something is wrong or asked for. */
let jsonSchema: SchemaNode | null = null;

/** A setting that may be null is a choice of two; what is said of the other one is said of the setting. */
function hoist(node: SchemaNode): SchemaNode {
  const { oneOf, ...out }: SchemaNode = { ...node };
  if (oneOf) out.anyOf = oneOf;
  if (node.properties) {
    out.properties = Object.fromEntries(Object.entries(node.properties).map(([key, child]) => [key, hoist(child)]));
  }
  if (node.items) out.items = hoist(node.items);
  if (out.anyOf) out.anyOf = out.anyOf.map(hoist);
  const [some, none, ...more] = out.anyOf ?? [];
  if (none?.type === 'null' && more.length === 0) {
    out.description ??= some.description;
    out['x-type'] ??= some['x-type'];
    out['x-nullable'] = true;
  }
  return out;
}
