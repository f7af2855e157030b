import type { Config } from '../config/schema.ts';
import type { PipelineOptions } from '../processors/pipeline.ts';

/** What the settings say to the engine: to the processor's threads, and to whoever runs the engine without a log and a store. */
export function pipelineOptionsOf(config: Config): PipelineOptions {
  const { processors, devices, windows, alarms, maintenance, derived, ledger } = config;
  return {
    payload: devices.payload,
    windows,
    rules: alarms,
    maintenance,
    derived,
    limits: processors.limits,
    seriesMax: processors.seriesMax,
    stateTtlMs: processors.stateTtlMs,
    clockSkewMaxMs: processors.clockSkewMaxMs,
    idleMs: processors.idleMs,
    ledgerMs: ledger.flushMs,
    seq: devices.seq,
  };
}
