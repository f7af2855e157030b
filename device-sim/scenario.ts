import type { Severity, ThresholdRule } from '../model/alarm.ts';
import type { DeviceFields } from '../model/device.ts';
import { SluiceError } from '../model/errors.ts';
import { factory } from './scenarios/factory.ts';
import { greenhouse } from './scenarios/greenhouse.ts';
import { vehicles } from './scenarios/vehicles.ts';

/** What a device measured at one moment, as it stands in its payload. A text is never empty. */
export type Values = Readonly<Record<string, number | boolean | string>>;

/** One device of a fleet. Its readings are a function of (seed, index, time): asking twice gives the same. */
export interface SimulatedDevice {
  /** Also its client id and the second level of its topic. */
  readonly id: string;
  read(tsMs: number): Values;
}

/** An alarm rule that suits the scenario: its faults go beyond the level, and its healthy devices stay on the clear side. */
export interface SuggestedRule {
  name: string;
  metric: string;
  /** Exactly one of the two is a number. */
  above: number | null;
  below: number | null;
  clear: number;
  forMs: number;
  severity: Severity;
  message: string;
}

export interface MetricInfo {
  name: string;
  /** '' where there is none. */
  unit: string;
  about: string;
}

export interface Scenario {
  readonly name: string;
  readonly about: string;
  /** Devices are called `{devicePrefix}-01` and so on. */
  readonly devicePrefix: string;
  /** How many devices `sluice start --simulate` runs. */
  readonly devicesDefault: number;
  readonly metrics: readonly MetricInfo[];
  readonly rules: readonly SuggestedRule[];
  device(seed: number, index: number): SimulatedDevice;
  /** Where it stands and what it is, for the registry. */
  place(index: number): { site: string; model: string };
}

/** Every scenario; a new one is one file and one row here. */
export const SCENARIOS: ReadonlyMap<string, Scenario> = new Map(
  [greenhouse, factory, vehicles].map((scenario) => [scenario.name, scenario]),
);

/** Throws INPUT_INVALID with the names that exist. */
export function scenarioOf(name: string): Scenario {
  const scenario = SCENARIOS.get(name);
  if (scenario) return scenario;
  throw new SluiceError('INPUT_INVALID', `there is no scenario '${name}'`, {
    remedy: `choose one of ${[...SCENARIOS.keys()].join(', ')}`,
    values: { scenario: name },
  });
}

/** The alarm rules that suit a scenario, for its devices only, so that a first start shows alarms as well. */
export function suggestedRules(name: string): ThresholdRule[] {
  const scenario = scenarioOf(name);
  const devices = [`${scenario.devicePrefix}-*`];
  return scenario.rules.map((rule) => ({ kind: 'threshold', devices, ...rule }));
}

/** What the registry says of the devices of a scenario's fleet, so that a first start has sites to look at. */
export function suggestedDevices(name: string): DeviceFields[] {
  const scenario = scenarioOf(name);
  return Array.from({ length: scenario.devicesDefault }, (_, index) => ({
    id: scenario.device(1, index).id,
    name: '',
    ...scenario.place(index),
    tags: new Map(),
    thresholds: new Map(),
  }));
}
