import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { partitionOf } from '../model/partition.ts';
import type { Principal } from './access.ts';
import { telemetryDevice } from './device-id.ts';
import { DOOR_LIMITS } from './limits.ts';
import { TelemetryRoutes } from './telemetry-routes.ts';

const anyone: Principal = { name: 'anyone', device: null };

/** Topics that differ in one place or in their length, some of them telemetry. */
const topic = fc.oneof(
  fc
    .string({ unit: fc.constantFrom('a', 'b', 'ü'), minLength: 1, maxLength: 9 })
    .map((id) => `devices/${id}/telemetry`),
  fc.constantFrom('devices/a/telemetrx', 'devices/aa/state', 'a', 'eevices/a/telemetry'),
);

describe('TelemetryRoutes', () => {
  it('finds the device of each topic, wherever it stands in a chunk and whatever came before it', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(topic, fc.nat(5), fc.boolean()), { maxLength: 30 }), (asked) => {
        const routes = new TelemetryRoutes(anyone, 8, DOOR_LIMITS);
        // Some topics share a chunk with the one before, others come in the next.
        let chunk: Uint8Array = new Uint8Array(0);
        let at = 0;
        for (const [name, gap, fresh] of asked) {
          const wire = Buffer.from(`\0\0${name}`);
          wire.writeUInt16BE(wire.length - 2);
          if (fresh || at + gap + wire.length > chunk.length) {
            chunk = new Uint8Array(200).fill(0x61);
            at = 0;
          }
          chunk.set(wire, at + gap);
          const route = routes.find(chunk, at + gap, at + gap + wire.length);
          at += gap + wire.length;
          const device = telemetryDevice(name);
          if (device === null) expect(route).toBeNull();
          else expect(route).toMatchObject({ device, topic: name, partition: partitionOf(device, 8) });
        }
      }),
    );
  });
});
