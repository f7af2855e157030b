import fc from 'fast-check';
import { expect, it } from 'vitest';
import { ManualClock } from '../model/clock.ts';
import { SluiceError } from '../model/errors.ts';
import { encodeIdentity, FrameReader } from '../model/frame.ts';
import { decodeClaim, LEDGER_TOPIC, MINUTE_MS } from '../model/ledger.ts';
import { silentLogger } from '../model/logger.ts';
import { TELEMETRY, telemetryTopic } from '../model/topics.ts';
import { Batcher } from './batcher.ts';
import { MemoryLog } from './memory-log.fixture.ts';
import { Pressure } from './pressure.ts';

const START_MS = Date.UTC(2026, 0, 1);

/** A log that fails some appends, and of those has some frames all the same. */
class TroubledLog extends MemoryLog {
  troubles: ('gone' | 'landed')[] = [];

  override async append(topic: string, partition: number, frame: Uint8Array): Promise<number> {
    const trouble = this.troubles.shift();
    if (trouble === undefined) return super.append(topic, partition, frame);
    if (trouble === 'landed') await super.append(topic, partition, frame);
    throw new SluiceError('LOG_UNAVAILABLE', 'a trouble of the test');
  }
}

/** What the log holds, and what its claims say, by minute and device. Each claim counts once. */
function readBack(log: MemoryLog) {
  const logged: Record<string, number> = {};
  const claimed: Record<string, number> = {};
  const heard = new Set<string>();
  for (const { partition, bytes } of log.frames(TELEMETRY)) {
    const reader = new FrameReader();
    reader.reset(bytes);
    while (reader.next()) {
      const key = `${Math.floor(reader.receivedMs / MINUTE_MS)} ${reader.device()}`;
      if (reader.device() !== '') logged[key] = (logged[key] ?? 0) + 1;
      if (reader.topic() !== LEDGER_TOPIC) continue;
      const { n, rows } = decodeClaim(reader.payload());
      if (heard.has(`${partition} ${n}`)) continue;
      heard.add(`${partition} ${n}`);
      for (const [minute, device, received, failed] of rows) {
        claimed[`${minute} ${device}`] = (claimed[`${minute} ${device}`] ?? 0) + received - failed;
      }
    }
  }
  return { logged, claimed };
}

const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ device: fc.constantFrom('a', 'b', 'ü'.repeat(20), 'd'), own: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ advanceMs: fc.constantFrom(1, 500, 10_000, 45_000) }) },
  { weight: 1, arbitrary: fc.record({ trouble: fc.constantFrom('gone' as const, 'landed' as const) }) },
  { weight: 2, arbitrary: fc.constant({ settle: true as const }) },
);

it('claims what it acknowledged, by minute and device, whatever the log refuses', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const log = new TroubledLog(2);
      const clock = new ManualClock(START_MS);
      const batch = { lingerMs: 0, frameBytesMax: 300, inFlightBytesMax: 1 << 24, tickMs: 1000 };
      const ledger = { door: 'door of the test', flushMs: 10_000 };
      const batcher = new Batcher(log, { ...batch, ledger }, new Pressure(1 << 24), clock, silentLogger);
      const identities = new Map<string, Uint8Array>();
      const payload = Buffer.from('{"t":1}');
      let landed = false;
      for (const s of steps) {
        if ('device' in s) {
          // As a connection does, which keeps its route, and as the broker's way does, which makes one for each message.
          const fresh = encodeIdentity(s.device, telemetryTopic(s.device));
          const known = identities.get(s.device) ?? fresh;
          identities.set(s.device, known);
          const identity = s.own ? fresh : known;
          batcher.add(s.device === 'a' ? 0 : 1, clock.nowMs(), identity, payload, 0, payload.length);
        } else if ('advanceMs' in s) {
          clock.advance(s.advanceMs);
          batcher.tick(clock.nowMs());
        } else if ('trouble' in s) {
          log.troubles.push(s.trouble);
          landed ||= s.trouble === 'landed';
        } else await new Promise(setImmediate);
      }
      await batcher.drain();
      log.troubles = [];
      await batcher.drain();
      const { logged, claimed } = readBack(log);
      for (const key of Object.keys(claimed)) {
        // A frame that landed although its append failed is on the log and was not acknowledged.
        if (landed) expect([key, claimed[key] <= (logged[key] ?? 0)]).toEqual([key, true]);
        else expect([key, claimed[key]]).toEqual([key, logged[key] ?? 0]);
      }
      const missing = Object.keys(logged).filter((key) => !(key in claimed));
      expect(missing).toEqual([]);
      expect(Object.values(claimed).reduce((a, b) => a + b, 0)).toBe(batcher.messagesAcknowledged);
    }),
    { numRuns: 200 },
  );
});
