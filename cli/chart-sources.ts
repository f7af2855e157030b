import type { Config } from '../config/schema.ts';
import type { ChartSource, ChartSources } from '../gateway/tiered-series.ts';

/** The rollups that charts may be drawn from: windows that take every reading of their metrics, and the tiers upon them. */
export function chartSourcesOf({ windows, tiers, store }: Config): ChartSources {
  const rollups = new Map<string, ChartSource>();
  for (const window of windows) {
    if (window.kind !== 'tumbling' || window.by.kind !== 'device' || window.where !== '') continue;
    const { name, sizeMs, keepMs, metrics, devices } = window;
    rollups.set(name, { name, sizeMs, keepMs, metrics, devices });
  }
  for (const { name, from, sizeMs, keepMs } of tiers) {
    const source = rollups.get(from);
    if (source !== undefined) rollups.set(name, { ...source, name, sizeMs, keepMs });
  }
  return { rollups: [...rollups.values()], readingsKeepMs: store.readingsTtlMs };
}
