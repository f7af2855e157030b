import { deviceFileProblems, devicesOf, readDeviceFile } from '../config/device-file.ts';
import type { Config } from '../config/schema.ts';
import type { Declared } from '../gateway/device-registry.ts';
import type { Clock, TimerHandle } from '../model/clock.ts';
import type { Logger } from '../model/logger.ts';

const LOOK_MS = 5_000;

/**
 * Hands on the devices that settings and file declare, now and whenever the file says something else: it is read every five
 * seconds, which is surer than being told of changes. While something is wrong in it, what it said before holds.
 */
export function watchDeclaredDevices(
  config: Config,
  declare: (devices: Declared[]) => void,
  clock: Clock,
  logger: Logger,
): TimerHandle {
  const fixed = devicesOf(config).map((fields): Declared => ({ source: 'config', fields }));
  const { file } = config.devices;
  if (file === null) {
    declare(fixed);
    return { cancel: () => undefined };
  }
  const names = new Set(fixed.map(({ fields }) => fields.id));
  let known: string | null = null;
  let failed = '';
  const look = (): void => {
    timer = clock.after(LOOK_MS, look);
    try {
      const list = readDeviceFile(file);
      const problems = deviceFileProblems(file, list);
      for (const { fields, line } of list.devices) {
        if (names.has(fields.id)) problems.push(`${file}:${line}: ${fields.id} is in devices.registry as well`);
      }
      const content = JSON.stringify(list.devices.map(({ fields: f }) => [f, [...f.tags], [...f.thresholds]]));
      if (problems.length > 0) throw new Error(problems.slice(0, 20).join('; '));
      failed = '';
      if (content === known) return;
      if (known !== null) logger.info('the file of devices was read again', { file, devices: list.devices.length });
      known = content;
      declare([...fixed, ...list.devices.map(({ fields }): Declared => ({ source: 'file', fields }))]);
    } catch (error) {
      const reason = (error as Error).message;
      if (reason !== failed) logger.error('the file of devices is wrong; what it said before holds', { file, reason });
      failed = reason;
    }
  };
  let timer: TimerHandle;
  look();
  return { cancel: () => timer.cancel() };
}
