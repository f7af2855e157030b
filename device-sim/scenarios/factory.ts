import { keyOf, normalsAt, uniformsAt, wander } from '../random.ts';
import type { Scenario, SimulatedDevice, Values } from '../scenario.ts';
import { clamp, DAY_MS, ease, type FaultPlan, faultAt, MINUTE_MS, modulo, round, SECOND_MS } from '../signals.ts';

const NOISE = keyOf('factory.noise');
const BUILD = keyOf('factory.build');
const LOAD = keyOf('factory.load');

/** A bearing runs dry: it shakes, then it gets hot. */
const BEARING: FaultPlan = {
  purpose: keyOf('factory.bearing'),
  slotMs: MINUTE_MS,
  oneOf: 10,
  rampMs: 8 * SECOND_MS,
  holdMsMin: 20 * SECOND_MS,
  holdMsMax: 32 * SECOND_MS,
};

/** The tool jams: the motor draws too much. */
const JAM: FaultPlan = {
  purpose: keyOf('factory.jam'),
  slotMs: 3 * MINUTE_MS,
  oneOf: 20,
  rampMs: 3 * SECOND_MS,
  holdMsMin: 12 * SECOND_MS,
  holdMsMax: 20 * SECOND_MS,
};

/** A machine's work: 180 s with 150 s of parts, then 10 s of changeover, then idle. 480 of them are a day. */
const CYCLE_MS = 3 * MINUTE_MS;
const RUN_MS = 150 * SECOND_MS;
const RAMP_MS = 6 * SECOND_MS;
const CHANGEOVER_MS = 10 * SECOND_MS;
const MAINTENANCE_MS = DAY_MS;

/**
 * Machines of a factory: they run, change over and idle; bearings wear until the daily maintenance, and fail now and then; the
 * part counter starts anew each day. Levels of vibration follow the zones that ISO 10816 gives for machines of this size.
 */
export const factory: Scenario = {
  name: 'factory',
  about: 'machines with running states, wear, part counters and error texts, bearings that fail',
  devicePrefix: 'machine',
  devicesDefault: 20,
  metrics: [
    { name: 'state', unit: '', about: 'running, changeover, idle or degraded' },
    { name: 'rpm', unit: '1/min', about: 'speed of the spindle' },
    { name: 'vibration', unit: 'mm/s', about: 'velocity of vibration, RMS' },
    { name: 'bearing_temperature', unit: '°C', about: 'temperature of the bearing' },
    { name: 'power', unit: 'kW', about: 'power drawn' },
    { name: 'parts', unit: '', about: 'parts made since the start of the day' },
    { name: 'error', unit: '', about: 'what the control says, or none' },
  ],
  rules: [
    {
      name: 'vibration-high',
      metric: 'vibration',
      above: 7.1,
      below: null,
      clear: 4.5,
      forMs: 5_000,
      severity: 'major',
      message: '{device}: vibration is {value} mm/s, above {threshold} mm/s',
    },
    {
      name: 'bearing-hot',
      metric: 'bearing_temperature',
      above: 85,
      below: null,
      clear: 78,
      forMs: 8_000,
      severity: 'critical',
      message: '{device}: bearing is {value} °C, above {threshold} °C',
    },
    {
      name: 'overload',
      metric: 'power',
      above: 20,
      below: null,
      clear: 17,
      forMs: 5_000,
      severity: 'warning',
      message: '{device}: draws {value} kW, above {threshold} kW',
    },
  ],
  device: machine,
  place: (index) => ({ site: `hall-${1 + (index % 3)}`, model: index % 2 === 0 ? 'mill' : 'lathe' }),
};

function machine(seed: number, index: number): SimulatedDevice {
  const build = uniformsAt(seed, BUILD, index);
  const rpmNominal = 1400 + 200 * Math.floor(build() * 6);
  const partsPerRun = 20 + Math.floor(build() * 30);
  const shiftMs = Math.floor(build() * CYCLE_MS);
  const wearShiftMs = Math.floor(build() * MAINTENANCE_MS);
  const roughness = 0.9 + 0.3 * build();

  return {
    id: `machine-${String(index + 1).padStart(2, '0')}`,
    read(tsMs): Values {
      const noise = normalsAt(seed, NOISE, index, tsMs);
      const workMs = tsMs + shiftMs;
      const inCycleMs = modulo(workMs, CYCLE_MS);
      const cyclesToday = Math.floor(modulo(workMs, DAY_MS) / CYCLE_MS);
      const running = ease(inCycleMs, 0, RAMP_MS) * (1 - ease(inCycleMs, RUN_MS, RAMP_MS));
      const wear = modulo(tsMs + wearShiftMs, MAINTENANCE_MS) / MAINTENANCE_MS;
      const load = clamp(0.75 + 0.1 * wander(seed, index, LOAD, tsMs, 2 * MINUTE_MS), 0.5, 1);

      const bearing = faultAt(BEARING, seed, index, tsMs);
      const jam = faultAt(JAM, seed, index, tsMs);
      // A machine with a failing bearing is kept running, so that it can be seen and heard.
      const turning = Math.max(running, bearing, jam);
      const rpm = rpmNominal * turning * (1 - 0.25 * jam) + (turning > 0 ? 3 * noise() : 0);
      const vibration = turning * (1.1 + 1.6 * wear * roughness + 7.6 * bearing) + Math.abs(0.08 * noise());
      const heat = 38 + turning * (14 * load + 7 * wear) + 0.3 * noise();
      const power = 0.8 + turning * (4 + 9 * load) + jam * (23 - 4 - 9 * load) + 0.1 * noise();
      return {
        state: stateOf(inCycleMs, Math.max(bearing, jam)),
        rpm: Math.max(0, Math.round(rpm)),
        vibration: round(vibration, 2),
        bearing_temperature: round(heat + (94 - heat) * bearing, 1),
        power: round(power, 2),
        parts: cyclesToday * partsPerRun + Math.min(partsPerRun, Math.floor((inCycleMs / RUN_MS) * partsPerRun)),
        error: errorOf(bearing, jam),
      };
    },
  };
}

function stateOf(inCycleMs: number, fault: number): string {
  if (fault > 0.5) return 'degraded';
  if (inCycleMs < RUN_MS + RAMP_MS) return 'running';
  return inCycleMs < RUN_MS + RAMP_MS + CHANGEOVER_MS ? 'changeover' : 'idle';
}

function errorOf(bearing: number, jam: number): string {
  if (bearing > 0.5) return 'E-217 bearing: vibration beyond limit';
  return jam > 0.5 ? 'E-104 spindle: torque beyond limit' : 'none';
}
