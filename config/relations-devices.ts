import { deviceToJson, readDevice } from '../model/device.ts';
import { deviceFileProblems, devicesOf, readDeviceFile } from './device-file.ts';
import type { Finding } from './explain.ts';
import type { Path } from './problem.ts';
import { clip } from './quantity.ts';
import type { Relation } from './relations.ts';
import type { DraftConfig } from './schema.ts';

/** Problems of a file that are told at once; with the first ones mended, the others are seen. */
const PROBLEMS_MAX = 20;

export function deviceRelations(config: DraftConfig): Relation[] {
  const found: Relation[] = [];
  const seen = new Map<string, number>();
  for (const [i, fields] of devicesOf(config).entries()) {
    const base: Path = ['devices', 'registry', i];
    readDevice(deviceToJson(fields), ({ field, message }) => {
      const [first, ...rest] = field.split('.');
      const path: Path = [...base, first, ...(rest.length > 0 ? [rest.join('.')] : [])];
      found.push({ path, of: 'value', what: message, remedy: 'correct it', uses: [] });
    });
    const before = seen.get(fields.id);
    if (before !== undefined) {
      const what = `"${clip(fields.id)}" is the id of devices.registry[${before}] as well`;
      const other: Path = ['devices', 'registry', before, 'id'];
      found.push({
        path: [...base, 'id'],
        of: 'value',
        what,
        remedy: 'say all of a device in one entry',
        uses: [other],
      });
    } else seen.set(fields.id, i);
  }
  return found;
}

/** What is wrong in the file of devices, which is read for it. A file that cannot be read is told of elsewhere. */
export function deviceFileFindings(config: DraftConfig): Finding[] {
  const { file } = config.devices;
  if (file === null) return [];
  const path: Path = ['devices', 'file'];
  const list = readDeviceFile(file);
  const ids = new Set(config.devices.registry.map(({ id }) => id));
  const problems = deviceFileProblems(file, list);
  for (const { fields, line } of list.devices) {
    if (ids.has(fields.id)) problems.push(`${file}:${line}: ${fields.id} is in devices.registry as well`);
  }
  return problems
    .slice(0, PROBLEMS_MAX)
    .map((what) => ({ path, of: 'value', what, remedy: 'correct the file of devices' }));
}
