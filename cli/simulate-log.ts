import { Fleet } from '../device-sim/fleet.ts';
import { type FleetFrame, fleetFrames } from '../device-sim/fleet-frames.ts';
import { troublesOf } from '../device-sim/troubles.ts';
import { ManualClock } from '../model/clock.ts';
import { SluiceError } from '../model/errors.ts';
import { TELEMETRY } from '../model/topics.ts';
import { openLogAt } from './engines.ts';
import { createLogger } from './logger.ts';
import { loadSettings, onKafka } from './settings.ts';
import type { SimulateCommand } from './simulate.ts';
import { timeOf } from './time-argument.ts';

/** Time that one frame spans, and that shares a flush: what is flushed together gets the time of the last of it. */
const FRAME_MS = 10_000;
const FLUSH_MS = 300_000;
const DAY_MS = 86_400_000;

/**
 * `sluice simulate SCENARIO --into-log`: puts a fleet's past onto the embedded log, as a door would have, at full speed: a week in
 * seconds. For trying rules over it, and for a page with a history.
 */
export async function simulateIntoLog(scenario: string, options: SimulateCommand): Promise<void> {
  const { config } = loadSettings({ config: options.config, data: options.data });
  if (onKafka(config)) {
    throw new SluiceError('INPUT_INVALID', '--into-log writes the embedded log, and these settings name Kafka', {
      remedy: 'leave it out to publish over MQTT',
    });
  }
  const spanMs = (options.seconds ?? DAY_MS / 1000) * 1000;
  const nowMs = Math.floor(Date.now() / FRAME_MS) * FRAME_MS;
  const fromMs = options.from === undefined ? nowMs - spanMs : timeOf(options.from);
  const { devices, rateHz, seed } = options;
  const fleet = new Fleet({ scenario, devices, rateHz, seed, troubles: troublesOf(options.troubles) });
  const clock = new ManualClock(fromMs);
  const logger = createLogger({ role: 'simulate', level: 'warn', format: config.logging.format });
  const log = await openLogAt(config, clock, logger);
  const before = performance.now();
  let messages = 0;
  let frames = 0;
  try {
    let waiting: Promise<unknown>[] = [];
    let flushedMs = fromMs;
    const flush = async (): Promise<void> => {
      await Promise.all(waiting);
      waiting = [];
    };
    const append = async (frame: FleetFrame): Promise<void> => {
      // What was appended before has the time that it was given then.
      if (frame.atMs > clock.nowMs()) {
        if (frame.atMs - flushedMs >= FLUSH_MS) {
          await flush();
          flushedMs = frame.atMs;
        }
        clock.advance(frame.atMs - clock.nowMs());
      }
      waiting.push(log.append(TELEMETRY, frame.partition, frame.bytes));
      frames++;
      messages += frame.messages;
    };
    const span = { fromMs, toMs: fromMs + spanMs, partitions: config.log.partitions, frameMs: FRAME_MS };
    for (const frame of fleetFrames(fleet, span)) await append(frame);
    await flush();
  } finally {
    await log.close();
  }
  const seconds = (performance.now() - before) / 1000;
  const result = { messages, frames, fromMs, toMs: fromMs + spanMs, seconds };
  if (options.json === true) console.log(JSON.stringify(result));
  else if (options.quiet !== true) {
    const rate = Math.round(messages / seconds).toLocaleString('en-US');
    const span = `${new Date(result.fromMs).toISOString()} to ${new Date(result.toMs).toISOString()}`;
    console.log(
      `${messages.toLocaleString('en-US')} messages of ${fleet.devices.length} devices, ${span}, are on the log of ${config.dataDir}`,
    );
    console.log(`${seconds.toFixed(1)} s, ${rate} messages/s`);
  }
}
