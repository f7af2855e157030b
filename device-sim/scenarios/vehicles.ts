import { keyOf, normalsAt, uniformAt, uniformsAt } from '../random.ts';
import type { Scenario, SimulatedDevice, Values } from '../scenario.ts';
import { clamp, type FaultPlan, faultAt, MINUTE_MS, modulo, round, SECOND_MS } from '../signals.ts';

const NOISE = keyOf('vehicles.noise');
const ROUTE = keyOf('vehicles.route');
const LEG = keyOf('vehicles.leg');

/** The cooling fails for a while. */
const COOLING: FaultPlan = {
  purpose: keyOf('vehicles.cooling'),
  slotMs: MINUTE_MS,
  oneOf: 15,
  rampMs: 9 * SECOND_MS,
  holdMsMin: 18 * SECOND_MS,
  holdMsMax: 28 * SECOND_MS,
};

/**
 * A vehicle drives one leg of fixed length in each cycle and stands for the rest of it, so its place is known for any moment
 * without adding up the past: legs done × length + what it has driven of this one. Legs differ in the time they take.
 */
const CYCLE_MS = 2 * MINUTE_MS;
const LEG_METRES = 1200;
const DRIVE_MS_MIN = 60 * SECOND_MS;
const DRIVE_MS_MAX = 105 * SECOND_MS;
/** Time to reach the speed of the leg, and to brake from it. */
const RAMP_MS = 10 * SECOND_MS;
const TANK_METRES = 500_000;

const METRES_PER_DEGREE = 111_320;
/** The depot: all routes are rounds near it. */
const DEPOT = { lat: 52.52, lon: 13.4 };
const ROUTE_POINTS = 720;

/**
 * Delivery vehicles on their rounds. Speed is the derivative of the place and heading its direction; they stop after each leg and open
 * the door; the tank empties with the distance; an engine overheats now and then.
 */
export const vehicles: Scenario = {
  name: 'vehicles',
  about: 'vehicles on their rounds: place, speed, heading, fuel, doors, engines that overheat',
  devicePrefix: 'vehicle',
  devicesDefault: 30,
  metrics: [
    { name: 'lat', unit: '°', about: 'latitude, WGS 84' },
    { name: 'lon', unit: '°', about: 'longitude, WGS 84' },
    { name: 'speed', unit: 'km/h', about: 'speed over ground' },
    { name: 'heading', unit: '°', about: 'direction of travel, clockwise from north' },
    { name: 'fuel', unit: '%', about: 'how full the tank is' },
    { name: 'engine_temperature', unit: '°C', about: 'temperature of the coolant' },
    { name: 'door_open', unit: '', about: 'whether a door is open' },
    { name: 'ignition', unit: '', about: 'whether the engine is on' },
  ],
  rules: [
    {
      name: 'engine-hot',
      metric: 'engine_temperature',
      above: 110,
      below: null,
      clear: 100,
      forMs: 5_000,
      severity: 'critical',
      message: '{device}: coolant is {value} °C, above {threshold} °C',
    },
    {
      name: 'speeding',
      metric: 'speed',
      above: 80,
      below: null,
      clear: 70,
      forMs: 10_000,
      severity: 'warning',
      message: '{device}: drives {value} km/h, above {threshold} km/h',
    },
    {
      name: 'fuel-low',
      metric: 'fuel',
      above: null,
      below: 15,
      clear: 50,
      forMs: 0,
      severity: 'info',
      message: '{device}: {value} % of fuel left',
    },
  ],
  device: vehicle,
  place: (index) => ({ site: ['harbour', 'station', 'airport'][index % 3], model: index % 5 === 4 ? 'truck' : 'van' }),
};

function vehicle(seed: number, index: number): SimulatedDevice {
  const route = routeOf(seed, index);
  const build = uniformsAt(seed, ROUTE, index, 1);
  const shiftMs = Math.floor(build() * CYCLE_MS);
  const legsAhead = Math.floor(build() * 1000);
  const metresAhead = build() * TANK_METRES;

  return {
    id: `vehicle-${String(index + 1).padStart(2, '0')}`,
    read(tsMs): Values {
      const noise = normalsAt(seed, NOISE, index, tsMs);
      const workMs = tsMs + shiftMs;
      const leg = Math.floor(workMs / CYCLE_MS);
      const inLegMs = workMs - leg * CYCLE_MS;
      const driveMs = DRIVE_MS_MIN + uniformAt(seed, LEG, index, leg) * (DRIVE_MS_MAX - DRIVE_MS_MIN);
      const { metres, metresPerSecond } = legAt(inLegMs, driveMs);
      const place = route.at((leg + legsAhead) * LEG_METRES + metres);
      const moving = metresPerSecond > 0;
      const standsMs = inLegMs - driveMs;
      const cooling = faultAt(COOLING, seed, index, tsMs);
      const coolant = 86 + (moving ? 0.08 * metresPerSecond * 3.6 : 2) + 0.3 * noise();
      const driven = modulo(leg * LEG_METRES + metres + metresAhead, TANK_METRES);
      return {
        lat: round(place.lat, 6),
        lon: round(place.lon, 6),
        speed: round(metresPerSecond * 3.6, 1),
        heading: round(place.heading, 0) % 360,
        fuel: round(97 - 88 * (driven / TANK_METRES), 1),
        engine_temperature: round(coolant + (118 - coolant) * cooling, 1),
        door_open: standsMs > 3 * SECOND_MS && inLegMs < CYCLE_MS - 3 * SECOND_MS,
        ignition: moving || standsMs < 5 * SECOND_MS || inLegMs > CYCLE_MS - 4 * SECOND_MS,
      };
    },
  };
}

/** Distance and speed in a leg: speed rises in a straight line for RAMP_MS, is kept, and falls the same way. */
function legAt(inLegMs: number, driveMs: number): { metres: number; metresPerSecond: number } {
  const top = LEG_METRES / ((driveMs - RAMP_MS) / 1000); // the trapezoid's area is the length of the leg
  const rampS = RAMP_MS / 1000;
  const atS = inLegMs / 1000;
  const leftS = driveMs / 1000 - atS;
  if (leftS <= 0) return { metres: LEG_METRES, metresPerSecond: 0 };
  if (atS < rampS) return { metres: (top * atS * atS) / (2 * rampS), metresPerSecond: (top * atS) / rampS };
  if (leftS < rampS) {
    return { metres: LEG_METRES - (top * leftS * leftS) / (2 * rampS), metresPerSecond: (top * leftS) / rampS };
  }
  return { metres: top * (atS - rampS / 2), metresPerSecond: top };
}

interface Route {
  at(metres: number): { lat: number; lon: number; heading: number };
}

/** A smooth closed round near the depot, asked by the distance driven on it. A whole number of legs goes into it. */
function routeOf(seed: number, index: number): Route {
  const draw = uniformsAt(seed, ROUTE, index, 0);
  const legs = 10 + Math.floor(draw() * 10);
  const east0 = (draw() - 0.5) * 6000;
  const north0 = (draw() - 0.5) * 6000;
  const waves = [2, 3, 5].map((n) => ({ n, size: (0.32 / n) * draw(), turn: draw() * 2 * Math.PI }));
  const turn = draw() < 0.5 ? 1 : -1;
  const radius = (angle: number) => 1 + waves.reduce((sum, w) => sum + w.size * Math.sin(w.n * angle + w.turn), 0);

  // The round as a polygon of ROUTE_POINTS sides, then scaled so that its length is a whole number of legs.
  const x = new Float64Array(ROUTE_POINTS + 1);
  const y = new Float64Array(ROUTE_POINTS + 1);
  const along = new Float64Array(ROUTE_POINTS + 1);
  for (let i = 0; i <= ROUTE_POINTS; i++) {
    const angle = (turn * 2 * Math.PI * (i % ROUTE_POINTS)) / ROUTE_POINTS;
    x[i] = radius(angle) * Math.cos(angle);
    y[i] = radius(angle) * Math.sin(angle);
    if (i > 0) along[i] = along[i - 1] + Math.hypot(x[i] - x[i - 1], y[i] - y[i - 1]);
  }
  const scale = (legs * LEG_METRES) / along[ROUTE_POINTS];

  return {
    at(metres) {
      const target = modulo(metres, legs * LEG_METRES) / scale;
      let low = 0;
      let high = ROUTE_POINTS;
      while (high - low > 1) {
        const middle = (low + high) >> 1;
        if (along[middle] <= target) low = middle;
        else high = middle;
      }
      const part = clamp((target - along[low]) / (along[high] - along[low]), 0, 1);
      const east = east0 + scale * (x[low] + (x[high] - x[low]) * part);
      const north = north0 + scale * (y[low] + (y[high] - y[low]) * part);
      const heading = modulo((Math.atan2(x[high] - x[low], y[high] - y[low]) * 180) / Math.PI, 360);
      return {
        lat: DEPOT.lat + north / METRES_PER_DEGREE,
        lon: DEPOT.lon + east / (METRES_PER_DEGREE * Math.cos((DEPOT.lat * Math.PI) / 180)),
        heading,
      };
    },
  };
}
