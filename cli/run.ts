import type { Logger } from '../model/logger.ts';
import { type Running, runUntilStopped } from './lifecycle.ts';
import { createLogger } from './logger.ts';
import { openDoorRole } from './roles/door.ts';
import { openGatewayRole } from './roles/gateway.ts';
import { openProcessorRole } from './roles/processor.ts';
import { openStoreRole } from './roles/store.ts';
import { checkRole, loadSettings, type Role, type Settings, type StartOptions } from './settings.ts';

const OPEN: Record<Role, (settings: Settings, logger: Logger) => Promise<Running>> = {
  store: openStoreRole,
  door: openDoorRole,
  processor: openProcessorRole,
  gateway: openGatewayRole,
};

/** `sluice run ROLE`: one role in this process, until a signal comes. */
export async function run(role: Role, options: StartOptions): Promise<void> {
  const settings = loadSettings(options);
  checkRole(role, settings.config);
  const logger = createLogger({ role, ...settings.config.logging });
  await runUntilStopped(() => OPEN[role](settings, logger), logger);
}
