import { readFileSync } from 'node:fs';
import type { DeviceFields } from '../model/device.ts';
import { type DeviceList, readDeviceList } from '../model/device-list.ts';
import { SluiceError } from '../model/errors.ts';
import type { Config } from './schema.ts';

/** The devices of a file, and what is wrong in it. Throws CONFIG_INVALID when it cannot be read. */
export function readDeviceFile(path: string): DeviceList {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(readFileSync(path));
  } catch (cause) {
    const what = cause instanceof TypeError ? 'it is not UTF-8 text' : (cause as Error).message;
    throw new SluiceError('CONFIG_INVALID', `the file of devices ${path} cannot be read: ${what}`, { cause });
  }
  return readDeviceList(text, path.endsWith('.json') ? 'json' : 'csv');
}

/** Each problem of a list as FILE:LINE:COLUMN. */
export function deviceFileProblems(path: string, { problems }: DeviceList): string[] {
  return problems.map(({ line, column, message }) => `${line === 0 ? path : `${path}:${line}:${column}`}: ${message}`);
}

/** The devices that the settings themselves declare. */
export function devicesOf({ devices }: { devices: Pick<Config['devices'], 'registry'> }): DeviceFields[] {
  return devices.registry.map(({ tags, thresholds, ...fields }) => ({
    ...fields,
    tags: new Map(tags as readonly [string, string][]),
    thresholds: new Map(thresholds as readonly [string, number][]),
  }));
}
