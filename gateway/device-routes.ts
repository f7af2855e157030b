import { DEVICE_SOURCES, type DeviceFields, deviceToJson, readDevice, sameDevice } from '../model/device.ts';
import { type ListProblem, readDeviceList } from '../model/device-list.ts';
import type { Route } from './api.ts';
import { type Command, type CommandAnswer, type CommandRequest, jsonBody, textBody } from './commands.ts';
import { deviceGroups, findDevice, type ListedDevice, listDevices } from './device-queries.ts';
import type { DeviceRegistry, Said, Wanted } from './device-registry.ts';
import { integer, oneOf, type Query, text, texts } from './params.ts';
import { HttpProblem } from './problem.ts';
import { deviceMetrics } from './queries.ts';
import type { StoreGate } from './store-gate.ts';

const METRICS_LISTED_MAX = 1_000;
const TAGS_MAX = 8;
const DEVICE_BYTES_MAX = 256 * 1024;
const IMPORT_BYTES_MAX = 32 * 1024 * 1024;
/** Problems that an answer lists. */
const PROBLEMS_MAX = 1000;

/** Devices as the API tells of them. The caller makes sure that the store answers. */
export function deviceRoutes(gate: StoreGate, registry: DeviceRegistry): Route[] {
  return [
    {
      path: '/api/devices',
      handle: async ({ query }) => {
        const limit = integer(query, 'limit', { min: 1, max: 1000, otherwise: 50 });
        const source = oneOf(query, 'source', ['', ...DEVICE_SOURCES], '');
        const found = await listDevices(gate, {
          search: text(query, 'search'),
          site: given(query, 'site'),
          model: given(query, 'model'),
          source: source === '' ? null : source,
          tags: texts(query, 'tag', TAGS_MAX),
          after: text(query, 'after'),
          limit: limit + 1,
        });
        const devices = found.slice(0, limit);
        return { devices, next: found.length > limit ? devices[devices.length - 1].device : null };
      },
    },
    { path: '/api/device-groups', handle: () => deviceGroups(gate) },
    {
      path: '/api/devices/:device',
      handle: async ({ path }) => {
        const [found, metrics] = await Promise.all([
          findDevice(gate, path.device),
          deviceMetrics(gate, path.device, METRICS_LISTED_MAX),
        ]);
        const device = overlaid(path.device, found, registry.recent(path.device));
        if (device === null && metrics.length === 0) throw unknown(path.device);
        return { ...(device ?? {}), device: path.device, metrics };
      },
    },
  ];
}

/** Changes of devices. Each answers when it is durable on the log; it is in the table, and known to the processors, soon after. */
export function deviceCommands(registry: DeviceRegistry): Command[] {
  const change = async (
    request: CommandRequest,
    decide: (said: Said) => DeviceFields | null,
  ): Promise<CommandAnswer> => {
    const id = request.path.device;
    assertFree(registry, id);
    let same: number | null = null;
    const versions = await registry.change([id], 'http', request.by, (all) => {
      const said = all.get(id) as Said;
      assertPreconditions(request, said);
      const fields = decide(said);
      if (fields !== null && said.entry?.source === 'http' && sameDevice(said.entry, fields)) {
        same = said.version;
        return [];
      }
      return [{ id, fields }];
    });
    const version = same ?? (versions.get(id) as number);
    // What changes nothing is not said again.
    return { status: same === null ? 202 : 200, body: { device: id, version }, headers: { etag: `"${version}"` } };
  };
  const path = '/api/devices/:device';
  const common = { path, bodyBytesMax: DEVICE_BYTES_MAX };
  return [
    {
      ...common,
      method: 'PUT',
      handle: (request) => change(request, () => fieldsOf(request.path.device, jsonBody(request))),
    },
    {
      ...common,
      method: 'PATCH',
      handle: (request) =>
        change(request, ({ entry }) => {
          const before = entry === null ? { id: request.path.device } : deviceToJson(entry);
          return fieldsOf(request.path.device, merged(before, jsonBody(request)));
        }),
    },
    {
      ...common,
      method: 'DELETE',
      handle: (request) =>
        change(request, ({ entry }) => {
          if (entry === null) throw unknown(request.path.device);
          return null;
        }),
    },
    {
      method: 'POST',
      path: '/api/devices/import',
      bodyBytesMax: IMPORT_BYTES_MAX,
      handle: (request) => importList(registry, request),
    },
  ];
}

/**
 * A list of devices (model/device-list.ts). `dryRun=true` only says what it would do. With problems nothing is taken, unless
 * `partial=true`: then what is right is.
 */
async function importList(registry: DeviceRegistry, request: CommandRequest): Promise<CommandAnswer> {
  const dryRun = oneOf(request.query, 'dryRun', ['true', 'false'], 'false') === 'true';
  const partial = oneOf(request.query, 'partial', ['true', 'false'], 'false') === 'true';
  const isCsv = request.type === 'text/csv';
  if (!isCsv && request.type !== 'application/json') {
    throw new HttpProblem(
      415,
      'TYPE_REFUSED',
      `the body is ${request.type || 'of no type'}`,
      'send text/csv or application/json',
    );
  }
  const list = readDeviceList(textBody(request.body), isCsv ? 'csv' : 'json');
  const problems: ListProblem[] = [...list.problems];
  const devices = list.devices.filter(({ fields, line }) => {
    const declared = registry.declaredIn(fields.id);
    if (declared === null) return true;
    problems.push({ line, column: 0, message: `id: ${fields.id} ${declaredWhere(declared)}` });
    return false;
  });
  problems.sort((a, b) => a.line - b.line || a.column - b.column);
  const isTaken = !dryRun && (problems.length === 0 || partial);
  const ids = devices.map(({ fields }) => fields.id);
  let changed = 0;
  await registry.change(ids, 'http', request.by, (said) => {
    const wanted: Wanted[] = [];
    for (const { fields } of devices) {
      const entry = said.get(fields.id)?.entry ?? null;
      if (entry === null || entry.source !== 'http' || !sameDevice(entry, fields))
        wanted.push({ id: fields.id, fields });
    }
    changed = wanted.length;
    return isTaken ? wanted : [];
  });
  const body = {
    devices: devices.length,
    changed,
    unchanged: devices.length - changed,
    taken: isTaken,
    problems: problems.slice(0, PROBLEMS_MAX),
    problemsLeftOut: Math.max(0, problems.length - PROBLEMS_MAX),
  };
  return { status: isTaken ? 202 : problems.length > 0 && !dryRun ? 422 : 200, body };
}

/** The table is a second or two behind the log: what was said meanwhile stands over its row. */
function overlaid(
  id: string,
  found: { device: ListedDevice; removed: boolean } | null,
  recent: Said | null,
): ListedDevice | null {
  const stored = found === null || found.removed ? null : found.device;
  if (recent === null || recent.version <= (found?.device.version ?? -1)) return stored;
  const { entry, version } = recent;
  if (entry === null) return stored?.firstSeenMs == null ? null : { ...stored, ...NOTHING_SAID, version };
  const { name, site, model, tags, thresholds } = deviceToJson(entry) as unknown as ListedDevice;
  return {
    firstSeenMs: null,
    changedMs: version,
    lastSeenMs: null,
    metrics: 0,
    ...stored,
    device: id,
    ...{ name, site, model, tags, thresholds },
    source: entry.source,
    known: true,
    version,
  };
}

const NOTHING_SAID = { name: '', site: '', model: '', tags: {}, thresholds: {}, source: 'seen', known: false } as const;

function assertFree(registry: DeviceRegistry, id: string): void {
  const declared = registry.declaredIn(id);
  if (declared === null) return;
  throw new HttpProblem(409, 'DEVICE_DECLARED', `${id} ${declaredWhere(declared)}`, 'change it there');
}

function declaredWhere(source: 'config' | 'file'): string {
  return source === 'config' ? 'is declared in the settings' : 'is declared in the file of devices';
}

/** RFC 9110, 13.1: the version is the entity tag. */
function assertPreconditions({ ifMatch, ifNoneMatch }: CommandRequest, { version, entry }: Said): void {
  const names = (header: string): boolean =>
    header === '*'
      ? entry !== null
      : header.split(',').some((tag) => tag.trim().replace(/^W\//, '') === `"${version}"`);
  if (ifMatch !== null && !names(ifMatch)) {
    throw new HttpProblem(412, 'VERSION_CONFLICT', `the version is ${version}`, 'read the device, and change it again');
  }
  if (ifNoneMatch !== null && names(ifNoneMatch)) {
    throw new HttpProblem(412, 'VERSION_CONFLICT', `it is there already, in version ${version}`);
  }
}

function fieldsOf(id: string, body: unknown): DeviceFields {
  const problems: string[] = [];
  const isObject = typeof body === 'object' && body !== null && !Array.isArray(body);
  const value = isObject ? { id, ...readable(body) } : body;
  const fields = readDevice(value, ({ field, message }) =>
    problems.push(field === '' ? message : `${field}: ${message}`),
  );
  if (fields !== null && fields.id !== id) problems.push(`id: the body is of ${fields.id}, and the path of ${id}`);
  if (fields === null || problems.length > 0) throw new HttpProblem(400, 'INPUT_INVALID', problems.join('; '));
  return fields;
}

/** What GET tells besides an entry may be sent back: it is passed over. */
function readable(body: object): object {
  const told = new Set(['device', 'known', 'source', 'version', 'firstSeenMs', 'changedMs', 'lastSeenMs', 'metrics']);
  return Object.fromEntries(Object.entries(body).filter(([name]) => !told.has(name)));
}

/** RFC 7396: null takes a member away, an object is merged, all else is put in the place. */
function merged(before: Record<string, unknown>, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const out = new Map(Object.entries(before));
  for (const [name, value] of Object.entries(patch)) {
    const old = out.get(name);
    const isObject = typeof old === 'object' && old !== null && !Array.isArray(old);
    if (value === null) out.delete(name);
    else out.set(name, isObject ? merged(old as Record<string, unknown>, value) : value);
  }
  return Object.fromEntries(out);
}

/** Null when the parameter is not there; it may be there and empty. */
function given(query: Query, name: string): string | null {
  return query[name] === undefined ? null : text(query, name);
}

function unknown(device: string): HttpProblem {
  return new HttpProblem(
    404,
    'DEVICE_UNKNOWN',
    `nothing is known of ${device}`,
    'check the name, publish a reading, or PUT an entry',
  );
}
