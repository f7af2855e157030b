import { encodeIdentity, FrameBuilder, TICK_TOPIC } from '../../model/frame.ts';
import { telemetryTopic } from '../../model/topics.ts';

/** A message before it is on the log. */
export interface TestMessage {
  receivedMs: number;
  device: string;
  payload: string;
}

export function frameOf(messages: readonly TestMessage[]): Uint8Array<ArrayBuffer> {
  const builder = new FrameBuilder(1024);
  for (const { receivedMs, device, payload } of messages) {
    const identity = device === '' ? encodeIdentity('', TICK_TOPIC) : encodeIdentity(device, telemetryTopic(device));
    const bytes = Buffer.from(payload);
    builder.append(receivedMs, identity, bytes, 0, bytes.length);
  }
  return new Uint8Array(builder.finish());
}

/** Small numbers from a seed (mulberry32), for streams that are the same each time. */
export function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

export const START_MS = 1_760_000_000_000;

/**
 * Frames of a few devices with the world's troubles: readings out of order, late, twice, ahead of time, without a time, text, and
 * broken payloads; and ticks. Values cross the thresholds of the tests' rules now and then.
 */
export function troubledFrames(seed: number, frames: number, devices: string[]): Uint8Array<ArrayBuffer>[] {
  return [...troubledFramesAfter(seed, frames, devices, () => 0)];
}

/** The same, each as it is asked for, so much later than it would be. */
export function* troubledFramesAfter(
  seed: number,
  frames: number,
  devices: string[],
  laterMs: () => number,
): Generator<Uint8Array<ArrayBuffer>> {
  const random = randomOf(seed);
  const sent: TestMessage[] = [];
  let nowMs = START_MS;
  let shiftedMs = 0;
  for (let frame = 0; frame < frames; frame++) {
    nowMs += laterMs() - shiftedMs;
    shiftedMs = laterMs();
    const messages: TestMessage[] = [];
    for (let i = Math.floor(random() * 6); i >= 0; i--) {
      nowMs += Math.floor(random() * 900);
      const kind = random();
      if (kind < 0.12 && sent.length > 0) {
        const again = sent[sent.length - 1 - Math.floor(random() * Math.min(sent.length, 30))];
        messages.push({ ...again, receivedMs: nowMs });
        continue;
      }
      const device = devices[Math.floor(random() * devices.length)];
      const lateMs = random() < 0.25 ? Math.floor(random() * 25_000) : Math.floor(random() * 200);
      const ts = nowMs - lateMs + (random() < 0.02 ? 3_600_000 : 0);
      const t = Math.round((20 + 15 * Math.sin(nowMs / 7000) + random() * 4) * 100) / 100;
      const h = Math.round(random() * 1000) / 10;
      const payloads = [
        `{"ts":${ts},"t":${t},"h":${h}}`,
        `{"ts":${ts},"t":${t},"h":${h}}`,
        `{"ts":${ts},"values":{"t":${t},"state":"on"}}`,
        `{"h":${h}}`,
        `[{"ts":${ts},"t":${t}},{"ts":${ts - 1000},"t":${h}}]`,
        random() < 0.3 ? '{"t":' : `{"t":${t},"h":true}`,
      ];
      const message = { receivedMs: nowMs, device, payload: payloads[Math.floor(random() * payloads.length)] };
      messages.push(message);
      sent.push(message);
    }
    if (random() < 0.3) messages.push({ receivedMs: nowMs, device: '', payload: '' });
    if (random() < 0.02) nowMs += 40_000;
    yield frameOf(messages);
  }
}
