import { pipelineOptionsOf } from '../../cli/pipeline-options.ts';
import { checkSettings } from '../../config/load.ts';
import { SluiceError } from '../../model/errors.ts';
import { PartitionPipeline } from '../../processors/pipeline.ts';
import { framesOf, METRICS } from './load.ts';
import { measureSaves, type SaveFigures } from './saves.ts';

/** One measurement of the engine: settings as in sluice.yaml, and a fleet. */
export interface EngineCase {
  name: string;
  windows: object[];
  alarms: object[];
  devices: number;
  periodMs: number;
  /** Messages before the measured ones; every device has sent by then. */
  warmUpMessages: number;
  messages: number;
}

export interface EngineFigures {
  name: string;
  series: number;
  readings: number;
  /** CPU of the whole process (garbage collection on other threads too), by reading. */
  cpuNsPerReading: number;
  rollups: number;
  /** Heap and array buffers after the run, less what an engine without a device takes, by series. */
  bytesPerSeries: number;
  saves: SaveFigures;
}

interface Frame {
  bytes: Uint8Array;
  messages: number;
}

/** Frames made at once, so that making them is not measured. */
const CHUNK_FRAMES = 64;

/** Decodes, tells redeliveries, forms windows, judges rules and encodes the blocks for the store, on this thread. */
export function runCase(one: EngineCase): EngineFigures {
  const { config, findings } = checkSettings({ version: 1, windows: one.windows, alarms: one.alarms }, '.');
  if (config === null)
    throw new SluiceError('INPUT_INVALID', `the settings of ${one.name}: ${JSON.stringify(findings)}`);
  const pipeline = new PartitionPipeline(0, pipelineOptionsOf(config), { state: null, lastAlarm: null });
  const frames = framesOf(one);
  // The fleet itself is made with the first frame, and is none of the engine's memory.
  let first: Frame | null = frames.next().value as Frame;
  const before = memory();
  const nextFrame = (): Frame => {
    const frame = first ?? (frames.next().value as Frame);
    first = null;
    return frame;
  };
  let offset = 0;
  let rollups = 0;
  const work = (messages: number): number => {
    let cpuUs = 0;
    for (let done = 0; done < messages; ) {
      const chunk = Array.from({ length: CHUNK_FRAMES }, nextFrame);
      const start = process.cpuUsage();
      for (const frame of chunk) {
        pipeline.process(offset++, frame.bytes, null, true);
        if (offset % 16 === 0) rollups += pipeline.take().rows.rollups;
        done += frame.messages;
      }
      const { user, system } = process.cpuUsage(start);
      cpuUs += user + system;
      measured += chunk.reduce((sum, frame) => sum + frame.messages, 0);
    }
    return cpuUs;
  };
  let measured = 0;
  work(one.warmUpMessages);
  measured = 0;
  rollups = 0;
  const cpuUs = work(one.messages);
  const series = one.devices * METRICS.length;
  const bytes = memory() - before;
  const saves = measureSaves(pipeline, series, {
    between: () => pipeline.process(offset++, nextFrame().bytes, null, true),
    few: () => {
      for (let left = one.devices / 100; left > 0; ) {
        const frame = nextFrame();
        pipeline.process(offset++, frame.bytes, null, true);
        left -= frame.messages;
      }
      pipeline.take();
    },
    restore: (state) => new PartitionPipeline(0, pipelineOptionsOf(config), { state, lastAlarm: null }),
  });
  return {
    name: one.name,
    series,
    readings: measured * METRICS.length,
    cpuNsPerReading: (cpuUs * 1000) / (measured * METRICS.length),
    rollups,
    bytesPerSeries: bytes / series,
    saves,
  };
}

function memory(): number {
  (globalThis as { gc?: () => void }).gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
