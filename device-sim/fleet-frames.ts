import { encodeIdentity, FrameBuilder, TICK_TOPIC } from '../model/frame.ts';
import { partitionOf } from '../model/partition.ts';
import { telemetryTopic } from '../model/topics.ts';
import type { Fleet } from './fleet.ts';

export interface FleetFramesOptions {
  fromMs: number;
  toMs: number;
  partitions: number;
  /** Time that one frame of a partition spans. */
  frameMs: number;
}

export interface FleetFrame {
  partition: number;
  /** When the frame was closed. */
  atMs: number;
  bytes: Uint8Array<ArrayBuffer>;
  messages: number;
}

/**
 * What a door would put on the log in [fromMs, toMs) if the fleet published to it, without a door and without waiting: for each
 * `frameMs` a frame of each partition, with the messages that arrived in it, or a tick. It is the same for the same fleet.
 */
export function* fleetFrames(fleet: Fleet, options: FleetFramesOptions): Generator<FleetFrame> {
  const { fromMs, toMs, partitions, frameMs } = options;
  const homes = fleet.devices.map(({ id }) => ({
    identity: encodeIdentity(id, telemetryTopic(id)),
    partition: partitionOf(id, partitions),
  }));
  const builders = Array.from({ length: partitions }, () => new FrameBuilder(4096));
  const tick = encodeIdentity('', TICK_TOPIC);
  const nothing = new Uint8Array(0);
  let endMs = fromMs + frameMs;
  function* close(atMs: number): Generator<FleetFrame> {
    for (let partition = 0; partition < partitions; partition++) {
      const builder = builders[partition];
      const { messages } = builder;
      if (messages === 0) builder.append(atMs, tick, nothing, 0, 0);
      const bytes = new Uint8Array(builder.finish(4096));
      yield { partition, atMs, bytes, messages };
    }
  }
  for (const event of fleet.events(fromMs)) {
    while (event.atMs >= endMs && endMs < toMs) {
      yield* close(endMs);
      endMs = Math.min(endMs + frameMs, toMs);
    }
    if (event.atMs >= toMs) break;
    if (event.kind !== 'publish') continue;
    const { identity, partition } = homes[event.device];
    const payload = typeof event.payload === 'string' ? Buffer.from(event.payload) : event.payload;
    builders[partition].append(event.atMs, identity, payload, 0, payload.length);
  }
  yield* close(toMs);
}
