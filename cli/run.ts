import { warningsOf } from '../config/warnings.ts';
import { systemClock } from '../model/clock.ts';
import type { Logger } from '../model/logger.ts';
import { QuietGarbage } from '../model/quiet-garbage.ts';
import { watchYoungGarbage } from '../model/young-garbage.ts';
import { type Running, runUntilStopped } from './lifecycle.ts';
import { createLogger } from './logger.ts';
import { lowerPriority, niceOf } from './priority.ts';
import type { Role } from './roles.ts';
import { checkRole, loadSettings, type Settings, type StartOptions } from './settings.ts';

/** Each process loads the code of its own role only: the engines and brokers of the others would cost it memory. */
const OPEN: Record<Role, (settings: Settings, logger: Logger) => Promise<Running>> = {
  store: async (settings, logger) => (await import('./roles/store.ts')).openStoreRole(settings, logger),
  door: async (settings, logger) => (await import('./roles/door.ts')).openDoorRole(settings, logger),
  processor: async (settings, logger) => (await import('./roles/processor.ts')).openProcessorRole(settings, logger),
  gateway: async (settings, logger) => (await import('./roles/gateway.ts')).openGatewayRole(settings, logger),
};

const QUIET_GARBAGE_CHECK_MS = 1000;

/** `sluice run ROLE`: one role in this process, until a signal comes. */
export async function run(role: Role, options: StartOptions): Promise<void> {
  const settings = loadSettings(options, role);
  checkRole(role, settings.config);
  const logger = createLogger({ role, ...settings.config.logging });
  // Under a supervisor these have been told once, for all roles.
  if (process.connected !== true) for (const warning of warningsOf(settings.config)) logger.warn(warning);
  lowerPriority(niceOf(role, settings.config), logger);
  watchYoungGarbage();
  const leftovers = new QuietGarbage(QUIET_GARBAGE_CHECK_MS);
  setInterval(() => leftovers.check(), QUIET_GARBAGE_CHECK_MS).unref();
  await runUntilStopped(() => openWithHealth(role, settings, logger), logger);
}

/** The health listener comes first and goes last, so that whoever asks always gets an answer. */
async function openWithHealth(role: Role, settings: Settings, logger: Logger): Promise<Running> {
  const address = settings.config.health[role];
  if (address === null) return OPEN[role](settings, logger);
  const { openHealthListener } = await import('./health-listener.ts');
  const health = await openHealthListener({ role, address, clock: systemClock, logger });
  const running = await OPEN[role](settings, logger);
  health.observe(running.observed);
  return {
    failed: running.failed,
    observed: running.observed,
    async close() {
      health.draining();
      await running.close();
      await health.close();
    },
  };
}
