import { encodeIdentity, FrameBuilder } from '../../model/frame.ts';
import { partitionOf } from '../../model/partition.ts';
import { telemetryTopic } from '../../model/topics.ts';
import type { Filling } from '../catch-up.ts';

export interface Fill {
  devices: number;
  /** In each message. */
  metrics: number;
  partitions: number;
  messages: number;
}

const FRAME_BYTES = 256 * 1024;
const START_MS = 1_760_000_000_000;
const PERIOD_MS = 10_000;

/** One message of each device in turn, in frames as a door makes them; event time goes on by PERIOD_MS each time that all have sent. */
export function* framesOf({ devices, metrics, partitions, messages }: Fill): Generator<Filling> {
  const fleet = Array.from({ length: devices }, (_, i) => {
    const device = `machine-${String(i).padStart(7, '0')}`;
    return { identity: encodeIdentity(device, telemetryTopic(device)), partition: partitionOf(device, partitions) };
  });
  const builders = Array.from({ length: partitions }, () => new FrameBuilder(FRAME_BYTES * 1.1));
  for (let n = 0; n < messages; n++) {
    const { identity, partition } = fleet[n % devices];
    const tsMs = START_MS + Math.floor((n / devices) * PERIOD_MS);
    const builder = builders[partition];
    const payload = payloadOf(n, tsMs, metrics);
    builder.append(tsMs, identity, payload, 0, payload.length);
    if (builder.bytes >= FRAME_BYTES) yield { partition, bytes: new Uint8Array(builder.finish()) };
  }
  for (let partition = 0; partition < partitions; partition++)
    if (builders[partition].messages > 0) yield { partition, bytes: new Uint8Array(builders[partition].finish()) };
}

function payloadOf(n: number, tsMs: number, metrics: number): Buffer {
  let text = `{"ts":${tsMs}`;
  for (let k = 0; k < metrics; k++) text += `,"metric_${k}":${(20 + ((n + k * 31) % 251) / 16).toFixed(2)}`;
  return Buffer.from(`${text}}`);
}
