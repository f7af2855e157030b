import { describe, expect, it } from 'vitest';
import { SCENARIOS, type SuggestedRule, suggestedDevices, suggestedRules, type Values } from './scenario.ts';

/** The rule's life over one device's readings at 1 Hz, as the processors run it: condition for `forMs`, then back at `clear`. */
function transitions(
  rule: SuggestedRule,
  readings: readonly { tsMs: number; values: Values }[],
): { raised: number[]; cleared: number[] } {
  const raised: number[] = [];
  const cleared: number[] = [];
  let sinceMs: number | null = null;
  let open = false;
  for (const { tsMs, values } of readings) {
    const value = Number(values[rule.metric]);
    const beyond = rule.above === null ? value < rule.below! : value > rule.above;
    const back = rule.above === null ? value >= rule.clear : value <= rule.clear;
    if (!open) {
      sinceMs = beyond ? (sinceMs ?? tsMs) : null;
      if (sinceMs !== null && tsMs - sinceMs >= rule.forMs) {
        open = true;
        raised.push(tsMs);
      }
    } else if (back) {
      open = false;
      sinceMs = null;
      cleared.push(tsMs);
    }
  }
  return { raised, cleared };
}

function readAll(name: string, seed: number, fromMs: number, seconds: number): { tsMs: number; values: Values }[][] {
  const scenario = SCENARIOS.get(name)!;
  return Array.from({ length: scenario.devicesDefault }, (_, index) => {
    const device = scenario.device(seed, index);
    return Array.from({ length: seconds }, (_, s) => ({
      tsMs: fromMs + s * 1000,
      values: device.read(fromMs + s * 1000),
    }));
  });
}

const DAY = Date.UTC(2026, 0, 15);

describe.each([...SCENARIOS.values()])('the scenario $name', (scenario) => {
  it('has devices at several sites', () => {
    const devices = suggestedDevices(scenario.name);
    expect(new Set(devices.map(({ id }) => id)).size).toBe(scenario.devicesDefault);
    expect(new Set(devices.map(({ site }) => site)).size).toBe(3);
    expect(new Set(devices.map(({ model }) => model)).size).toBe(2);
  });

  it('measures what it says, always with the same kind of value', () => {
    const device = scenario.device(1, 0);
    const kinds = new Map<string, string>();
    for (let i = 0; i < 500; i++) {
      const values = device.read(DAY + i * 171_717);
      expect(Object.keys(values)).toEqual(scenario.metrics.map((m) => m.name));
      for (const [metric, value] of Object.entries(values)) {
        expect(kinds.get(metric) ?? typeof value).toBe(typeof value);
        kinds.set(metric, typeof value);
        if (typeof value === 'number') expect(Number.isFinite(value) && !Object.is(value, -0)).toBe(true);
        if (typeof value === 'string') expect(value).not.toBe('');
      }
    }
  });

  it('raises and clears an alarm within two minutes of any start, day and night, whatever the seed', () => {
    for (let seed = 1; seed <= 4; seed++) {
      for (const hour of [3, 12, 19.37]) {
        const readings = readAll(scenario.name, seed, DAY + hour * 3_600_000 + seed * 7_919, 120);
        let raised = 0;
        let cleared = 0;
        for (const rule of scenario.rules) {
          for (const device of readings) {
            const life = transitions(rule, device);
            raised += life.raised.length;
            cleared += life.cleared.length;
          }
        }
        expect(raised).toBeGreaterThan(0);
        expect(cleared).toBeGreaterThan(0);
      }
    }
  });

  it('shows each of its rules within some hours, and clears it again', () => {
    const fleet = readAll(scenario.name, 5, DAY, 3600);
    for (const rule of scenario.rules) {
      if (rule.metric === 'fuel') continue; // a tank takes a day; below
      const lives = fleet.map((device) => transitions(rule, device));
      const raised = lives.reduce((sum, life) => sum + life.raised.length, 0);
      const cleared = lives.reduce((sum, life) => sum + life.cleared.length, 0);
      expect([rule.name, raised > 0, cleared > 0]).toEqual([rule.name, true, true]);
      // Alarms are the exception: most devices are fine at most times.
      expect(raised).toBeLessThan(fleet.length * 20);
    }
  });

  it('suggests rules that fit the model', () => {
    for (const rule of suggestedRules(scenario.name)) {
      expect((rule.above === null) !== (rule.below === null)).toBe(true);
      if (rule.above !== null) expect(rule.clear).toBeLessThan(rule.above);
      if (rule.below !== null) expect(rule.clear).toBeGreaterThan(rule.below);
      expect(rule.devices).toEqual([`${scenario.devicePrefix}-*`]);
      expect(scenario.device(1, 4).id).toBe(`${scenario.devicePrefix}-05`);
    }
  });
});

describe('values look like the real thing', () => {
  it('greenhouse: dark at night, warmer by day, soil wetter after irrigation', () => {
    const zone = SCENARIOS.get('greenhouse')!.device(9, 2);
    const mean = (hour: number, metric: string) => {
      let sum = 0;
      for (let i = 0; i < 60; i++) sum += Number(zone.read(DAY + hour * 3_600_000 + i * 60_000)[metric]);
      return sum / 60;
    };
    expect(mean(1, 'light')).toBe(0);
    expect(mean(12, 'light')).toBeGreaterThan(200);
    expect(mean(13, 'temperature')).toBeGreaterThan(mean(2, 'temperature') + 4);
    expect(mean(1, 'co2')).toBeGreaterThan(mean(12, 'co2') + 100);
  });

  it('factory: parts only grow within a day, machines run most of the time', () => {
    const machine = SCENARIOS.get('factory')!.device(9, 2);
    let parts = -1;
    let restarts = 0;
    let running = 0;
    for (let s = 0; s < 86_400; s += 20) {
      const values = machine.read(DAY + s * 1000);
      if (Number(values.parts) < parts) restarts++;
      parts = Number(values.parts);
      if (values.state === 'running') running++;
    }
    expect(restarts).toBeLessThanOrEqual(1);
    expect(running / 4320).toBeGreaterThan(0.7);
  });

  it('vehicles: speed and heading are those of the way between two places', () => {
    const scenario = SCENARIOS.get('vehicles')!;
    for (let index = 0; index < 5; index++) {
      const vehicle = scenario.device(9, index);
      for (let s = 0; s < 600; s++) {
        const tsMs = DAY + 41_000 + s * 1000;
        const [a, b] = [vehicle.read(tsMs), vehicle.read(tsMs + 1000)];
        const north = (Number(b.lat) - Number(a.lat)) * 111_320;
        const east = (Number(b.lon) - Number(a.lon)) * 111_320 * Math.cos((52.52 * Math.PI) / 180);
        const metres = Math.hypot(north, east);
        const meanSpeed = (Number(a.speed) + Number(b.speed)) / 2 / 3.6;
        expect(Math.abs(metres - meanSpeed)).toBeLessThan(0.6);
        if (metres > 5) {
          const heading = (Math.atan2(east, north) * 180) / Math.PI;
          const off = Math.abs(((heading - Number(a.heading) + 540) % 360) - 180);
          expect(off).toBeLessThan(12);
        }
        if (a.door_open) expect(a.speed).toBe(0);
        if (Number(a.speed) > 0) expect(a.ignition).toBe(true);
      }
    }
  });

  it('vehicles: tanks empty and are filled again', () => {
    const vehicle = SCENARIOS.get('vehicles')!.device(9, 0);
    const fuel = Array.from({ length: 400 }, (_, i) => Number(vehicle.read(DAY + i * 600_000).fuel));
    expect(Math.min(...fuel)).toBeLessThan(15);
    expect(Math.max(...fuel)).toBeGreaterThan(90);
  });
});
