import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DeviceRow } from '../../model/device.ts';
import { encodeIdentity, FrameBuilder } from '../../model/frame.ts';
import { type DeviceOperation, encodeOperation, OPERATION_TOPIC } from '../../model/operation.ts';
import { telemetryTopic } from '../../model/topics.ts';
import { Devices } from '../devices.ts';
import { StateReader, StateWriter } from '../state-bytes.ts';
import { options, Run } from '../testing/run.ts';
import { Registry } from './registry.ts';

const T0 = 1_700_000_000_000;
const IDS = ['a', 'b', '__proto__', 'ü'];

const operationOf = (over: Partial<DeviceOperation> & { device: string; version: number }): DeviceOperation => ({
  kind: 'device',
  id: `op-${over.version}`,
  atMs: T0,
  by: 'ann',
  expects: null,
  source: 'http',
  entry: {
    id: over.device,
    name: '',
    site: `site ${over.version}`,
    model: '',
    tags: new Map([['line', `${over.version}`]]),
    thresholds: new Map([['max', over.version / 8]]),
  },
  ...over,
});

/** What happens to a partition: somebody asks for something, or a device speaks. */
type Event = { op: DeviceOperation } | { device: string; receivedMs: number };

const event: fc.Arbitrary<Event> = fc.oneof(
  fc
    .record({
      device: fc.constantFrom(...IDS),
      version: fc.integer({ min: 1, max: 12 }),
      removes: fc.boolean(),
      expects: fc.option(fc.integer({ min: 0, max: 12 })),
    })
    .map(({ removes, ...over }) => ({
      op: { ...operationOf(over), ...(removes ? { entry: null } : {}) },
    })),
  fc.record({ device: fc.constantFrom(...IDS), receivedMs: fc.integer({ min: T0, max: T0 + 99 }) }),
);

const frames = fc.array(fc.array(event, { maxLength: 5 }), { minLength: 1, maxLength: 12 });

function frameOf(events: readonly Event[]): Uint8Array {
  const frame = new FrameBuilder();
  const add = (receivedMs: number, device: string, topic: string, payload: Uint8Array) =>
    frame.append(receivedMs, encodeIdentity(device, topic), payload, 0, payload.length);
  for (const one of events) {
    if ('op' in one) add(T0, '', OPERATION_TOPIC, encodeOperation(one.op));
    else add(one.receivedMs, one.device, telemetryTopic(one.device), Buffer.from('{"t":1}'));
  }
  return frame.finish();
}

/** The plainest account: everything that was accepted so far, gone through from the beginning. */
function expected(all: readonly (readonly Event[])[]): Record<string, unknown>[] {
  const rows: Record<string, unknown>[] = [];
  const known = new Map<string, { op: DeviceOperation | null; seenMs: number | null }>();
  for (const [offset, events] of all.entries()) {
    const changed: string[] = [];
    for (const one of events) {
      const device = 'op' in one ? one.op.device : one.device;
      const now = known.get(device) ?? { op: null, seenMs: null };
      known.set(device, now);
      if ('op' in one) {
        const version = now.op?.version ?? 0;
        if (one.op.version <= version || (one.op.expects ?? version) !== version) continue;
        now.op = one.op;
        if (one.op.entry === null) now.seenMs = null;
      } else if (now.seenMs === null) now.seenMs = one.receivedMs;
      else continue;
      if (!changed.includes(device)) changed.push(device);
    }
    for (const id of changed) {
      const { op, seenMs } = known.get(id)!;
      const entry = op?.entry ?? null;
      const version = op?.version ?? 0;
      const removed = entry === null && seenMs === null;
      rows.push({
        id,
        site: entry?.site ?? '',
        tags: entry === null ? [] : [...entry.tags],
        thresholds: entry === null ? [] : [...entry.thresholds],
        source: entry !== null || removed ? 'http' : 'seen',
        version,
        firstSeenMs: seenMs,
        removed,
        revision: 2 * version + (seenMs === null ? 0 : 1),
        offset,
      });
    }
  }
  return rows;
}

describe('the registry', () => {
  it('gives the rows that a plain account gives, however it is cut, saved and restored', () => {
    fc.assert(
      fc.property(frames, fc.array(fc.boolean(), { minLength: 12, maxLength: 12 }), (all, restarts) => {
        const run = new Run(options());
        for (const [i, events] of all.entries()) {
          run.frame(frameOf(events));
          if (restarts[i]) run.restart();
        }
        run.cut();
        const rows = run.rows.devices.map(([row]) => row as DeviceRow);
        expect(
          rows.map(({ id, site, tags, thresholds, source, version, firstSeenMs, removed, revision, offset }) => {
            return { id, site, tags, thresholds, source, version, firstSeenMs, removed, revision, offset };
          }),
        ).toEqual(expected(all));
        expect(run.rows.quarantine).toEqual([]);
      }),
      { numRuns: 150 },
    );
  });

  it('tells of each change at once, and of nothing that it had before', () => {
    const names = new Devices();
    const registry = new Registry(0, names);
    const heard: number[] = [];
    registry.onChange((device) => heard.push(device));
    const first = operationOf({ device: 'a', version: 5 });
    expect(registry.apply(first)).toBe(true);
    expect(registry.apply(first)).toBe(false);
    expect(registry.apply(operationOf({ device: 'a', version: 4 }))).toBe(false);
    expect(registry.apply(operationOf({ device: 'a', version: 9, expects: 4 }))).toBe(false);
    expect(registry.entry(0)).toMatchObject({ site: 'site 5', version: 5, source: 'http' });
    expect(registry.apply({ ...operationOf({ device: 'a', version: 9, expects: 5 }), entry: null })).toBe(true);
    expect(registry.entry(0)).toBeNull();
    expect(heard).toEqual([0, 0]);
    expect(registry.version).toBe(2);
    expect(registry.apply(first)).toBe(false);
  });

  it('refuses a state that is cut off anywhere', () => {
    const names = new Devices();
    const registry = new Registry(0, names);
    registry.apply(operationOf({ device: 'a', version: 5 }));
    registry.heard(names.add('b'), T0);
    const out = new StateWriter();
    registry.save(out);
    const bytes = out.finish();
    for (let end = 0; end < bytes.length; end++) {
      const from = new StateReader(bytes.subarray(0, end));
      expect(() => {
        new Registry(0, names).restore(from);
        from.end();
      }).toThrow(/CHECKPOINT_UNREADABLE|unreadable/);
    }
  });

  it('puts what is no operation into the quarantine, and goes on', () => {
    const run = new Run(options());
    const frame = new FrameBuilder();
    for (const payload of ['{}', 'no JSON', '{"kind":"device","id":"x","atMs":1,"by":"","device":"a/b","version":1}']) {
      const bytes = Buffer.from(payload);
      frame.append(T0, encodeIdentity('', OPERATION_TOPIC), bytes, 0, bytes.length);
    }
    run
      .frame(frame.finish())
      .frame(frameOf([{ device: 'a', receivedMs: T0 }]))
      .cut();
    expect(run.rows.quarantine).toHaveLength(3);
    expect(run.rows.devices).toHaveLength(1);
  });
});
