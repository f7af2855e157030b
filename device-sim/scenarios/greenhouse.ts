import { keyOf, normalsAt, uniformsAt, wander } from '../random.ts';
import type { Scenario, SimulatedDevice, Values } from '../scenario.ts';
import { clamp, ease, type FaultPlan, faultAt, MINUTE_MS, modulo, round, SECOND_MS, sunAt } from '../signals.ts';

const NOISE = keyOf('greenhouse.noise');
const PLACE = keyOf('greenhouse.place');
const CLOUDS = keyOf('greenhouse.clouds');
const DRIFT = keyOf('greenhouse.drift');

/** The heater of a zone stays on: the air gets too hot. */
const HEATER: FaultPlan = {
  purpose: keyOf('greenhouse.heater'),
  slotMs: MINUTE_MS,
  oneOf: 12,
  rampMs: 10 * SECOND_MS,
  holdMsMin: 18 * SECOND_MS,
  holdMsMax: 28 * SECOND_MS,
};

/** A valve stays shut: the soil dries out. */
const VALVE: FaultPlan = {
  purpose: keyOf('greenhouse.valve'),
  slotMs: 4 * MINUTE_MS,
  oneOf: 12,
  rampMs: 30 * SECOND_MS,
  holdMsMin: 40 * SECOND_MS,
  holdMsMax: 90 * SECOND_MS,
};

/** The burner that enriches the air gives too much. */
const BURNER: FaultPlan = {
  purpose: keyOf('greenhouse.burner'),
  slotMs: 5 * MINUTE_MS,
  oneOf: 24,
  rampMs: 20 * SECOND_MS,
  holdMsMin: 40 * SECOND_MS,
  holdMsMax: 60 * SECOND_MS,
};

const IRRIGATION_CYCLE_MS = 40 * MINUTE_MS;
const IRRIGATION_MS = 2 * MINUTE_MS;

/**
 * Zones of a greenhouse under one sky. The sun makes light and warmth; a vent opens with the warmth and lets it out, and CO2
 * with it; plants take CO2 by day and give it by night; irrigation wets soil and air every 40 minutes.
 */
export const greenhouse: Scenario = {
  name: 'greenhouse',
  about: 'zones of a greenhouse: climate with a daily cycle, vents and irrigation, heaters that stay on',
  devicePrefix: 'greenhouse',
  devicesDefault: 24,
  metrics: [
    { name: 'temperature', unit: '°C', about: 'air temperature' },
    { name: 'humidity', unit: '%', about: 'relative humidity' },
    { name: 'soil_moisture', unit: '%', about: 'volumetric water content of the soil' },
    { name: 'co2', unit: 'ppm', about: 'carbon dioxide' },
    { name: 'light', unit: 'W/m²', about: 'radiation at the plants' },
    { name: 'vent', unit: '%', about: 'how far the vent is open' },
    { name: 'irrigation', unit: '', about: 'whether water is running' },
  ],
  rules: [
    {
      name: 'zone-too-hot',
      metric: 'temperature',
      above: 35,
      below: null,
      clear: 33,
      forMs: 10_000,
      severity: 'major',
      message: '{device}: air is {value} °C, above {threshold} °C',
    },
    {
      name: 'soil-too-dry',
      metric: 'soil_moisture',
      above: null,
      below: 20,
      clear: 25,
      forMs: 10_000,
      severity: 'warning',
      message: '{device}: soil moisture is {value} %, below {threshold} %',
    },
    {
      name: 'co2-too-high',
      metric: 'co2',
      above: 1500,
      below: null,
      clear: 1200,
      forMs: 5_000,
      severity: 'critical',
      message: '{device}: CO2 is {value} ppm, above {threshold} ppm',
    },
  ],
  device: zone,
  place: (index) => ({
    site: ['north', 'south', 'west'][Math.floor(index / 8) % 3],
    model: index % 4 === 3 ? 'glass' : 'foil',
  }),
};

function zone(seed: number, index: number): SimulatedDevice {
  const place = uniformsAt(seed, PLACE, index);
  const warmthOfPlace = (place() - 0.5) * 2;
  const shade = 0.85 + 0.15 * place();
  const irrigationShiftMs = place() * IRRIGATION_CYCLE_MS;

  return {
    id: `greenhouse-${String(index + 1).padStart(2, '0')}`,
    read(tsMs): Values {
      const noise = normalsAt(seed, NOISE, index, tsMs);
      const sun = sunAt(tsMs);
      const sunLagging = sunAt(tsMs - 90 * MINUTE_MS);
      // All zones are under the same clouds: device 0 for everybody.
      const clouds = clamp(0.8 + 0.2 * wander(seed, 0, CLOUDS, tsMs, 10 * MINUTE_MS), 0.25, 1);
      const light = Math.max(0, 850 * sun * clouds * shade + (sun > 0 ? 4 * noise() : 0));

      const drift = clamp(wander(seed, index, DRIFT, tsMs, 30 * MINUTE_MS), -2, 2);
      const warmth = 17.5 + 10 * sunLagging * (0.6 + 0.4 * clouds) + warmthOfPlace + 0.8 * drift;
      const vent = clamp((warmth - 23) * 16, 0, 100);
      const heater = faultAt(HEATER, seed, index, tsMs);
      const healthy = warmth - 0.025 * vent;
      const temperature = healthy + (39 - healthy) * heater + 0.12 * noise();

      const sinceWaterMs = modulo(tsMs + irrigationShiftMs, IRRIGATION_CYCLE_MS);
      const irrigation = sinceWaterMs < IRRIGATION_MS;
      const wet = irrigation
        ? ease(sinceWaterMs, 0, IRRIGATION_MS)
        : 1 - (sinceWaterMs - IRRIGATION_MS) / (IRRIGATION_CYCLE_MS - IRRIGATION_MS);
      const valve = faultAt(VALVE, seed, index, tsMs);
      const soil = 29 + 11 * wet + drift + 0.2 * noise();

      const burner = faultAt(BURNER, seed, index, tsMs);
      const air = 430 + 190 * (1 - sun) - 60 * sun * clouds - 0.4 * vent + 12 * drift;
      return {
        temperature: round(temperature, 2),
        humidity: round(clamp(74 - 1.5 * (temperature - 18) + 8 * wet + 2 * drift + 0.4 * noise(), 20, 99), 1),
        soil_moisture: round(irrigation ? soil : soil + (14 - soil) * valve, 1),
        co2: Math.round(air + (1720 - air) * burner + 4 * noise()),
        light: Math.round(light),
        vent: Math.round(vent),
        irrigation,
      };
    },
  };
}
