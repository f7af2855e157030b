import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Fleet, type FleetEvent, type FleetOptions, type PublishEvent } from './fleet.ts';
import { SCENARIOS } from './scenario.ts';

const FROM_MS = Date.UTC(2026, 5, 1, 12);

function take(options: FleetOptions, count: number, fromMs = FROM_MS): FleetEvent[] {
  const events: FleetEvent[] = [];
  for (const event of new Fleet(options).events(fromMs)) {
    if (events.push(event) === count) break;
  }
  return events;
}

function digest(events: readonly FleetEvent[]): string {
  const hash = createHash('sha256');
  for (const event of events) {
    hash.update(`${event.atMs} ${event.kind} ${event.device} `);
    if (event.kind === 'publish') hash.update(event.payload);
  }
  return hash.digest('hex').slice(0, 16);
}

const published = (events: readonly FleetEvent[]) => events.filter((e): e is PublishEvent => e.kind === 'publish');

const TROUBLES = {
  late: 0.1,
  duplicate: 0.1,
  clockOffset: 0.2,
  clockDrift: 0.2,
  clockJump: 0.02,
  drop: 0.5,
  broken: 0.1,
};

describe('a fleet', () => {
  it('publishes what it always has for its seed', () => {
    const first = take({ scenario: 'greenhouse', seed: 1 }, 1)[0] as PublishEvent;
    expect([first.atMs - FROM_MS, first.payload]).toMatchInlineSnapshot(`
      [
        21,
        "{"ts":1780315200021,"temperature":24.67,"humidity":67.8,"soil_moisture":35.3,"co2":350,"light":553,"vent":46,"irrigation":false}",
      ]
    `);
    const goldens = [...SCENARIOS.keys()].map((scenario) => [
      scenario,
      digest(take({ scenario, seed: 1 }, 2000)),
      digest(take({ scenario, seed: 2 }, 2000)),
      digest(take({ scenario, seed: 1, troubles: TROUBLES }, 2000)),
    ]);
    expect(goldens).toMatchInlineSnapshot(`
      [
        [
          "greenhouse",
          "5b7d66983163e688",
          "5aacac9b19aff3ae",
          "fab5e4a8921cff85",
        ],
        [
          "factory",
          "e904031abe372e00",
          "a7c1c5b66b304008",
          "e801a9c9bed9c257",
        ],
        [
          "vehicles",
          "fb417b62a1a1d230",
          "aadfe257bf50071a",
          "d5a3e7a40fd7a20f",
        ],
      ]
    `);
  });

  it('gives the same readings wherever it starts, however often and in which order it is asked', () => {
    for (const scenario of SCENARIOS.keys()) {
      const early = published(take({ scenario, seed: 7, devices: 5 }, 1000));
      const late = published(take({ scenario, seed: 7, devices: 5 }, 200, FROM_MS + 60_000));
      const byKey = new Map(early.map((e) => [`${e.device} ${e.tsMs}`, e.payload]));
      for (const event of late) {
        const same = byKey.get(`${event.device} ${event.tsMs}`);
        if (same !== undefined) expect(event.payload).toBe(same);
      }
      const device = new Fleet({ scenario, seed: 7, devices: 5 }).devices[3];
      const backwards = early.filter((e) => e.device === 3).reverse();
      for (const event of backwards)
        expect(JSON.stringify({ ts: event.tsMs, ...device.read(event.tsMs) })).toBe(event.payload);
    }
  });

  it('spreads its devices evenly over each period, in order of time', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60 }), fc.constantFrom(0.1, 1, 3, 50), (devices, rateHz) => {
        const events = take({ scenario: 'factory', devices, rateHz }, devices * 3);
        const periodMs = 1000 / rateHz;
        const gaps = events.slice(1).map((e, i) => e.atMs - events[i].atMs);
        expect(Math.min(...gaps, 0)).toBe(0);
        for (const gap of gaps) expect(Math.abs(gap - periodMs / devices)).toBeLessThanOrEqual(1);
        expect(new Set(events.slice(0, devices).map((e) => e.device)).size).toBe(devices);
      }),
      { numRuns: 40 },
    );
  });

  it('publishes in order of time with every trouble on, and no reading is lost', () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 1, max: 30 }), (seed, devices) => {
        const events = take({ scenario: 'vehicles', seed, devices, troubles: TROUBLES }, 3000);
        for (let i = 1; i < events.length; i++) expect(events[i].atMs).toBeGreaterThanOrEqual(events[i - 1].atMs);
        const all = published(events);
        const seen = new Set(all.map((e) => `${e.device} ${e.tsMs}`));
        // Everything that was measured well before the end has been published by then.
        const endMs = events[events.length - 1].atMs - 31_000;
        for (const plain of published(take({ scenario: 'vehicles', seed, devices }, 3000))) {
          if (plain.tsMs < endMs) expect(seen.has(`${plain.device} ${plain.tsMs}`)).toBe(true);
        }
      }),
      { numRuns: 15 },
    );
  });

  it('has each trouble about as often as asked for, and marks it', () => {
    const events = take({ scenario: 'greenhouse', seed: 3, devices: 50, troubles: TROUBLES }, 40_000);
    const all = published(events);
    const share = (test: (e: PublishEvent) => boolean) => all.filter(test).length / all.length;
    expect(share((e) => e.late && !e.duplicate)).toBeGreaterThan(0.07);
    expect(share((e) => e.late && !e.duplicate)).toBeLessThan(0.12);
    expect(share((e) => e.duplicate)).toBeGreaterThan(0.07);
    expect(share((e) => e.broken !== null)).toBeGreaterThan(0.08);
    const jumped = all.filter((e) => new Date(e.stampMs).getUTCFullYear() !== 2026);
    expect(jumped.length / all.length).toBeGreaterThan(0.01);
    expect(new Set(jumped.map((e) => new Date(e.stampMs).getUTCFullYear()))).toEqual(new Set([1970, 2099]));
    expect(new Set(all.map((e) => e.broken)).size).toBe(12);
    const cuts = events.filter((e) => e.kind === 'disconnect');
    const back = events.filter((e) => e.kind === 'connect');
    expect(cuts.length).toBeGreaterThan(50);
    expect(cuts.length - back.length).toBeLessThanOrEqual(50);
    expect(
      published(take({ scenario: 'greenhouse', seed: 3 }, 5000)).some((e) => e.late || e.duplicate || e.broken),
    ).toBe(false);
  });

  it('says what is wrong with its options', () => {
    expect(() => new Fleet({ scenario: 'mine' })).toThrow(/no scenario 'mine'/);
    expect(() => new Fleet({ scenario: 'factory', devices: 0 })).toThrow(/fleet of 0/);
    expect(() => new Fleet({ scenario: 'factory', rateHz: 0 })).toThrow(/rate of 0/);
  });
});
