import { encodeIdentity, FrameBuilder } from '../../model/frame.ts';
import { telemetryTopic } from '../../model/topics.ts';

/** What the devices of a case send: one message of three metrics each, in turn, a frame of about 64 KiB at a time. */
export interface Load {
  devices: number;
  /** Event time from one message of a device to its next, ms. */
  periodMs: number;
}

/** Readings of one message. */
export const METRICS = ['temperature', 'humidity', 'pressure'] as const;
const FRAME_BYTES = 64 * 1024;
const START_MS = 1_760_000_000_000;

/**
 * Frames on end. Time goes on by periodMs each time that every device has sent; values wander below any threshold that the
 * cases use.
 */
export function* framesOf({
  devices,
  periodMs,
}: Load): Generator<{ bytes: Uint8Array<ArrayBuffer>; messages: number }> {
  const identities = Array.from({ length: devices }, (_, i) => {
    const device = `machine-${String(i).padStart(7, '0')}`;
    return encodeIdentity(device, telemetryTopic(device));
  });
  let builder = new FrameBuilder(FRAME_BYTES * 2);
  let messages = 0;
  for (let n = 0; ; n++) {
    const tsMs = START_MS + Math.floor((n / devices) * periodMs);
    const level = n % 251;
    const payload = Buffer.from(
      `{"ts":${tsMs},"temperature":${(20 + level / 16).toFixed(2)},"humidity":${(40 + level / 8).toFixed(2)},"pressure":${(980 + level / 4).toFixed(2)}}`,
    );
    builder.append(tsMs, identities[n % devices], payload, 0, payload.length);
    messages++;
    if (builder.bytes < FRAME_BYTES) continue;
    yield { bytes: new Uint8Array(builder.finish()), messages };
    builder = new FrameBuilder(FRAME_BYTES * 2);
    messages = 0;
  }
}
