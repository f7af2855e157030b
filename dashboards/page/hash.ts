/** What the page shows, as it stands in the address: `#device=pump-1&metric=temperature&metric=flow&range=1h`. */
export interface View {
  /** '' when none has been chosen. */
  device: string;
  /** Empty: the page chooses. */
  metrics: string[];
  range: Range;
}

export type Range = { live: LiveRange } | { fromMs: number; toMs: number };
export const LIVE_RANGES = {
  '5m': 300_000,
  '1h': 3_600_000,
  '24h': 86_400_000,
  '30d': 2_592_000_000,
  '1y': 31_536_000_000,
} as const;
export type LiveRange = keyof typeof LIVE_RANGES;

const METRICS_MAX = 8;

export function readHash(hash: string): View {
  const given = new URLSearchParams(hash.replace(/^#/, ''));
  return {
    device: given.get('device') ?? '',
    metrics: [...new Set(given.getAll('metric'))].filter((m) => m !== '').slice(0, METRICS_MAX),
    range: readRange(given.get('range') ?? ''),
  };
}

export function writeHash(view: View): string {
  const out = new URLSearchParams();
  if (view.device !== '') out.set('device', view.device);
  for (const metric of view.metrics) out.append('metric', metric);
  out.set('range', 'live' in view.range ? view.range.live : `${view.range.fromMs}-${view.range.toMs}`);
  return `#${out}`;
}

function readRange(text: string): Range {
  if (Object.hasOwn(LIVE_RANGES, text)) return { live: text as LiveRange };
  const match = /^(\d{1,14})-(\d{1,14})$/.exec(text);
  if (match && Number(match[1]) < Number(match[2])) return { fromMs: Number(match[1]), toMs: Number(match[2]) };
  return { live: '5m' };
}

/** The range as times; a live one ends now. */
export function bounds(range: Range, nowMs: number): { fromMs: number; toMs: number } {
  return 'live' in range ? { fromMs: nowMs - LIVE_RANGES[range.live], toMs: nowMs } : range;
}
