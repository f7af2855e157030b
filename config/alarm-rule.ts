import type { AlarmGroup, AlarmLevel, AlarmRule, DeviceKeys, Schedule, Severity } from '../model/alarm.ts';
import type { AlarmLifeSettings } from '../model/alarm-life.ts';
import type { LevelValue } from './alarm-values.ts';

/** What the schema of an alarm rule gives (schema-alarms.ts), and the rule that it means. */
export type AlarmItem = Common &
  (
    | (Levels & { kind: 'threshold'; metric: string })
    | (Levels & { kind: 'rate'; metric: string; perMs: number; windowMs: number })
    | (Omit<Levels, 'levels'> & {
        kind: 'repeat';
        metric: string;
        times: number;
        withinMs: number;
        counting: 'crossings' | 'readings';
      })
    | {
        kind: 'deviation';
        metric: string;
        method: 'zscore' | 'mad';
        direction: 'both' | 'up' | 'down';
        above: number;
        clear: number | null;
        levels: readonly LevelItem[];
        forMs: number;
        windowMs: number;
        samplesMin: number;
        spreadMin: number;
      }
    | {
        kind: 'silence';
        afterMs: number | null;
        factor: number;
        afterMinMs: number;
        metric: string;
        by: string;
        outageMs: number;
        graceMs: number;
      }
    | { kind: 'clock'; aheadMs: number | null; behindMs: number | null; forMs: number }
    | {
        kind: 'expression';
        when: string;
        clearWhen: string;
        above: number | null;
        below: number | null;
        clear: number | null;
        forMs: number;
      }
    | { kind: 'combination'; all: readonly string[]; any: readonly string[]; atLeast: number; forMs: number }
  );

interface Common extends AlarmLifeSettings {
  name: string;
  devices: readonly string[];
  severity: Severity;
  message: string;
  raises: boolean;
  schedule: Schedule | null;
}

interface Levels {
  above: LevelValue | null;
  below: LevelValue | null;
  clear: LevelValue | null;
  levels: readonly LevelItem[];
  forMs: number;
}

interface LevelItem {
  severity: Severity;
  above: LevelValue | null;
  below: LevelValue | null;
  clear: LevelValue | null;
}

/** Relations judge the result (relations-alarms.ts); a rule without a threshold goes no further. */
export function alarmRule(item: AlarmItem): AlarmRule {
  switch (item.kind) {
    case 'threshold':
    case 'rate': {
      const { above, below, clear, levels, ...rest } = item;
      return { ...rest, ...levelled(above, below, clear), levels: levels.map((level) => furtherLevel(level)) };
    }
    case 'repeat': {
      const { above, below, clear, ...rest } = item;
      return { ...rest, ...levelled(above, below, clear) };
    }
    case 'deviation':
      return {
        ...item,
        below: null,
        clear: item.clear ?? item.above,
        levels: item.levels.map((level) => furtherLevel(level)),
      };
    case 'silence':
      return { ...item, forMs: 0, by: groupOf(item.by) };
    case 'clock':
      return item;
    case 'expression':
      return { ...item, clear: item.clear ?? item.above ?? item.below ?? 0 };
    case 'combination': {
      const { all, any, atLeast, ...rest } = item;
      return all.length > 0 ? { ...rest, of: all, atLeast: all.length } : { ...rest, of: any, atLeast };
    }
  }
}

function levelled(above: LevelValue | null, below: LevelValue | null, clear: LevelValue | null) {
  const fromDevice = keysOf(above ?? below, clear);
  return {
    above: above === null ? null : (above.number ?? Number.MAX_VALUE),
    below: below === null ? null : (below.number ?? -Number.MAX_VALUE),
    clear:
      clear?.number ??
      above?.number ??
      below?.number ??
      (above !== null ? Number.MAX_VALUE : below !== null ? -Number.MAX_VALUE : 0),
    ...(fromDevice === null ? {} : { fromDevice }),
  };
}

function furtherLevel({ severity, above, below, clear }: LevelItem): AlarmLevel {
  const { above: up, below: down, ...rest } = levelled(above, below, clear);
  return { severity, threshold: up ?? down ?? Number.NaN, ...rest };
}

function keysOf(threshold: LevelValue | null, clear: LevelValue | null): DeviceKeys | null {
  if (threshold?.device == null && clear?.device == null) return null;
  return { threshold: threshold?.device ?? null, clear: clear?.device ?? null };
}

function groupOf(by: string): AlarmGroup | null {
  if (by === '') return null;
  return by === 'site' || by === 'model' ? { kind: by } : { kind: 'tag', tag: by };
}
