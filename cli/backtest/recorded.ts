import type { Store } from '../../store/store.ts';
import type { AlarmHistory } from './alarm-history.ts';

/** Puts what the table `alarms` says of the span into a history. Each of its versions is taken for one notification. */
export async function recordedAlarms(
  store: Store,
  { fromMs, toMs }: { fromMs: number; toMs: number },
  wanted: ((device: string) => boolean) | null,
  history: AlarmHistory,
): Promise<void> {
  const rows = await store.query<{
    id: string;
    rule: string;
    device: string;
    severity: string;
    raised: number | string;
    cleared: number | string | null;
  }>(
    `SELECT id, rule, device, severity, toUnixTimestamp64Milli(raised_at) AS raised, toUnixTimestamp64Milli(cleared_at) AS cleared
     FROM alarms FINAL
     WHERE raised_at < fromUnixTimestamp64Milli({toMs:Int64})
       AND (cleared_at IS NULL OR cleared_at >= fromUnixTimestamp64Milli({fromMs:Int64}))
     ORDER BY rule, device, raised_at`,
    { fromMs, toMs },
  );
  for (const { id, rule, device, severity, raised, cleared } of rows) {
    if (wanted !== null && !wanted(device)) continue;
    const raisedMs = Number(raised);
    const clearedMs = cleared === null || Number(cleared) >= toMs ? null : Number(cleared);
    history.add({ id, rule, device, severity, raisedMs, clearedMs });
    const said = (raisedMs >= fromMs ? 1 : 0) + (clearedMs === null ? 0 : 1);
    history.notifications.set(rule, (history.notifications.get(rule) ?? 0) + said);
  }
}
