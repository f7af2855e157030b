import { type DeviceFields, type DeviceSource, deviceFromJson, deviceToJson, isDeviceId } from './device.ts';
import { SluiceError } from './errors.ts';

/**
 * An operation: a change that people or programs ask for, and that the engine has to know of at a definite place of the log.
 * The gateway appends it to the topic OPERATIONS; the door takes it from there and writes it into the telemetry partition that it
 * concerns (or into each, when it concerns no single device), as a message with an empty device and the topic OPERATION_TOPIC.
 * There a processor finds it between the readings, and a replay finds it at the same place.
 *
 * It may come more than once: processors know by `version` (devices) or `id` what they have had. As JSON:
 *
 *     { "kind": "device", "id": "…", "atMs": 1700000000000, "by": "ann", "device": "pump-7", "version": 1700000000000,
 *       "expects": null, "source": "http", "entry": { … } | null }
 *     { "kind": "alarm", "id", "atMs", "by", "action": "acknowledge", "device": "pump-7" | null, "rule": "hot" | null,
 *       "alarm": "…" | null, "text": "", "untilMs": null }
 *     { "kind": "maintenance", "id", "atMs", "by", "window": "w1", "removed": false, "fromMs", "untilMs",
 *       "sites": [], "devices": [], "rules": [], "text": "" }
 */
export type Operation = DeviceOperation | AlarmOperation | MaintenanceOperation;

/** Topic of the message that carries an operation on a telemetry partition; its device is empty. */
export const OPERATION_TOPIC = '$op';

interface Asked {
  /** Unique. */
  id: string;
  /** When it was asked for, ms by the clock of whoever took it. */
  atMs: number;
  /** Who asked for it; empty when nobody said. */
  by: string;
}

/** An entry of the registry, or its removal. */
export interface DeviceOperation extends Asked {
  kind: 'device';
  device: string;
  /** Grows from each change of a device to the next: ms since the epoch, or one more than the version before. */
  version: number;
  /** The version that it builds on; it is passed over when the device has another by then. Null: whatever it has. */
  expects: number | null;
  source: DeviceSource;
  /** Null removes the entry. */
  entry: DeviceFields | null;
}

export const ALARM_ACTIONS = [
  'acknowledge',
  'comment',
  'shelve',
  'unshelve',
  'reset',
  'out-of-service',
  'in-service',
] as const;
export type AlarmAction = (typeof ALARM_ACTIONS)[number];

/** What an operator does with an alarm, or with a rule on a device. */
export interface AlarmOperation extends Asked {
  kind: 'alarm';
  action: AlarmAction;
  /** Null: the rule on every device. */
  device: string | null;
  rule: string | null;
  /** The id of one alarm; null: whichever is open. */
  alarm: string | null;
  text: string;
  /** When a shelving ends, ms; null for the other actions. */
  untilMs: number | null;
}

/** A planned span of time in which alarms of what it names are expected. Empty lists name everything. */
export interface MaintenanceOperation extends Asked {
  kind: 'maintenance';
  /** Names the span; the same name again changes it. */
  window: string;
  removed: boolean;
  fromMs: number;
  untilMs: number;
  sites: readonly string[];
  devices: readonly string[];
  rules: readonly string[];
  text: string;
}

const TIME_MS_MAX = Date.UTC(2200, 0, 1) - 1;
/** Twice of a version is exact as well (DeviceRow.revision). */
const VERSION_MAX = 2 ** 52;

const utf8 = new TextEncoder();
const fatalUtf8 = new TextDecoder('utf-8', { fatal: true });

/** The one device that an operation concerns; null: it is for every partition. */
export function deviceOf(operation: Operation): string | null {
  return operation.kind === 'maintenance' ? null : operation.device;
}

export function encodeOperation(operation: Operation): Uint8Array<ArrayBuffer> {
  if (operation.kind !== 'device') return utf8.encode(JSON.stringify(operation));
  const { entry } = operation;
  return utf8.encode(JSON.stringify({ ...operation, entry: entry === null ? null : deviceToJson(entry) }));
}

/** Throws INPUT_INVALID when the bytes are not an operation. */
export function decodeOperation(bytes: Uint8Array): Operation {
  let value: unknown;
  try {
    value = JSON.parse(fatalUtf8.decode(bytes));
  } catch (cause) {
    throw new SluiceError('INPUT_INVALID', 'an operation is not JSON', { cause });
  }
  return operationFromJson(value);
}

/** Throws INPUT_INVALID with the member that is wrong. */
export function operationFromJson(value: unknown): Operation {
  const from = new Members(value);
  const asked = { id: from.text('id'), atMs: from.time('atMs'), by: from.text('by') };
  if (asked.id === '') from.refuse('id', 'is empty');
  const kind = from.text('kind');
  if (kind === 'device') return { kind, ...asked, ...deviceChange(from) };
  if (kind === 'alarm') {
    const device = from.textOrNull('device');
    if (device !== null && !isDeviceId(device)) from.refuse('device', 'is no device id');
    return {
      kind,
      ...asked,
      action: from.oneOf('action', ALARM_ACTIONS),
      device,
      rule: from.textOrNull('rule'),
      alarm: from.textOrNull('alarm'),
      text: from.text('text'),
      untilMs: from.timeOrNull('untilMs'),
    };
  }
  if (kind === 'maintenance') {
    return {
      kind,
      ...asked,
      window: from.text('window'),
      removed: from.flag('removed'),
      fromMs: from.time('fromMs'),
      untilMs: from.time('untilMs'),
      sites: from.texts('sites'),
      devices: from.texts('devices'),
      rules: from.texts('rules'),
      text: from.text('text'),
    };
  }
  return from.refuse('kind', 'is not device, alarm or maintenance');
}

function deviceChange(from: Members): Pick<DeviceOperation, 'device' | 'version' | 'expects' | 'source' | 'entry'> {
  const device = from.text('device');
  if (!isDeviceId(device)) from.refuse('device', 'is no device id');
  const json = from.get('entry');
  const entry = json === null ? null : deviceFromJson(json);
  if (entry !== null && entry.id !== device) from.refuse('entry', 'is of another device');
  return {
    device,
    version: from.number('version', VERSION_MAX),
    expects: from.get('expects') === null ? null : from.number('expects', VERSION_MAX),
    source: from.oneOf('source', ['config', 'file', 'http'] as const),
    entry,
  };
}

/** Members of an object that somebody else wrote, each looked at as it is taken. */
class Members {
  readonly #members: Map<string, unknown>;

  constructor(value: unknown) {
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    if (!isObject) throw new SluiceError('INPUT_INVALID', 'an operation is a JSON object');
    this.#members = new Map(Object.entries(value));
  }

  get(name: string): unknown {
    return this.#members.get(name) ?? null;
  }

  text(name: string): string {
    const value = this.get(name);
    return typeof value === 'string' ? value : this.refuse(name, 'is not text');
  }

  textOrNull(name: string): string | null {
    return this.get(name) === null ? null : this.text(name);
  }

  number(name: string, max: number): number {
    const value = this.get(name);
    const good = typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= max;
    return good ? value : this.refuse(name, `is not a whole number from 0 to ${max}`);
  }

  /** Of the years 1970 to 2199, in which the store keeps times. */
  time(name: string): number {
    return this.number(name, TIME_MS_MAX);
  }

  timeOrNull(name: string): number | null {
    return this.get(name) === null ? null : this.time(name);
  }

  flag(name: string): boolean {
    const value = this.get(name);
    return typeof value === 'boolean' ? value : this.refuse(name, 'is not true or false');
  }

  texts(name: string): string[] {
    const value = this.get(name);
    const good = Array.isArray(value) && value.every((item) => typeof item === 'string');
    return good ? value : this.refuse(name, 'is not a list of texts');
  }

  oneOf<T extends string>(name: string, values: readonly T[]): T {
    const value = this.get(name);
    const found = values.find((one) => one === value);
    return found ?? this.refuse(name, `is not one of ${values.join(', ')}`);
  }

  refuse(name: string, what: string): never {
    throw new SluiceError('INPUT_INVALID', `\`${name}\` of an operation ${what}`, { values: { member: name } });
  }
}
