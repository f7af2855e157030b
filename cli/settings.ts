import { resolve } from 'node:path';
import { formatAddress } from '../config/address.ts';
import { configFileOf, loadConfig, withExamples } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { scenarioOf, suggestedDevices, suggestedRules } from '../device-sim/scenario.ts';
import { SluiceError } from '../model/errors.ts';
import type { Role } from './roles.ts';

/** Options of `start` and `run`, as commander gives them. */
export interface StartOptions {
  config?: string;
  data?: string;
  mqtt?: string;
  http?: string;
  clickhouseHttp?: string;
  kafka?: string;
  clickhouse?: string;
  simulate?: string;
  /** Of `run`: HOST:PORT of the role's health listener. */
  health?: string;
}

export interface Settings {
  config: Config;
  /** The file that was read, or null when the defaults hold. */
  configFile: string | null;
  simulate: string | null;
  /** The same options again, for the roles that are started as child processes. */
  args: string[];
  pageUrl: string;
  /** Null when the door takes no plain TCP. */
  mqttUrl: string | null;
  storeUrl: string;
}

/**
 * Settings of a process: the file, with the command line's options over it. A simulated fleet without a settings file brings
 * the alarm rules that suit it, and the sites of its devices, so that the first start shows these as well.
 */
export function loadSettings(options: StartOptions, role?: Role): Settings {
  const { data, mqtt, http, clickhouseHttp, kafka, clickhouse } = options;
  const file = configFileOf({ file: options.config }) ?? undefined;
  const health = role === undefined || options.health === undefined ? undefined : { role, address: options.health };
  const overrides = { data, mqtt, http, clickhouseHttp, kafka, clickhouse, health };
  // A role that is restarted must not stay away because of a device list that somebody is just writing.
  const loaded = loadConfig({ file, overrides, checkDevices: process.connected !== true });
  const simulate = options.simulate ?? null;
  const examples = (name: string) => ({ alarms: suggestedRules(name), devices: suggestedDevices(name) });
  const config = simulate === null || file !== undefined ? loaded : withExamples(loaded, examples(simulate));
  if (simulate !== null) scenarioOf(simulate);
  return {
    config,
    configFile: file === undefined ? null : resolve(file),
    simulate,
    args: argsOf({ ...options, config: file }),
    pageUrl: `http://${formatAddress(config.gateway.listen)}`,
    mqttUrl: config.mqtt.listen === null ? null : `mqtt://${formatAddress(config.mqtt.listen)}`,
    storeUrl: config.store.url ?? `http://${formatAddress(config.store.listen)}`,
  };
}

function argsOf(options: StartOptions): string[] {
  const flags: [string, string | undefined][] = [
    ['--config', options.config],
    ['--data', options.data],
    ['--mqtt', options.mqtt],
    ['--http', options.http],
    ['--clickhouse-http', options.clickhouseHttp],
    ['--kafka', options.kafka],
    ['--clickhouse', options.clickhouse],
    ['--simulate', options.simulate],
  ];
  return flags.flatMap(([flag, value]) => (value === undefined ? [] : [flag, value]));
}

/** Whether Kafka is the log. */
export function onKafka(config: Config): boolean {
  return config.log.kafka.brokers.length > 0;
}

/** Fails when a role makes no sense with these settings. */
export function checkRole(role: Role, config: Config): void {
  if (role === 'store' && config.store.url !== null) {
    throw new SluiceError('CONFIG_INVALID', `the store is ${config.store.url}, so there is no embedded store to run`, {
      remedy: 'leave this role out, or remove store.url',
    });
  }
}
