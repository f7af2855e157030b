import type { AlarmCloudEvent } from '../../model/cloudevent.ts';

/** One alarm from raise to clear, as far as it is inside the span. */
export interface AlarmSpan {
  id: string;
  rule: string;
  device: string;
  severity: string;
  raisedMs: number;
  /** Null while it is raised. */
  clearedMs: number | null;
}

/** What a set of rules did over a span: its alarms, and how many events it sent. */
export class AlarmHistory {
  /** Events in the span by rule: each is one MQTT message and one CloudEvent. */
  readonly notifications = new Map<string, number>();
  readonly #alarms = new Map<string, AlarmSpan>();
  readonly #fromMs: number;
  readonly #toMs: number;

  constructor(span: { fromMs: number; toMs: number }) {
    this.#fromMs = span.fromMs;
    this.#toMs = span.toMs;
  }

  readonly event = ({ time, data }: AlarmCloudEvent): void => {
    const atMs = Date.parse(time);
    if (atMs >= this.#toMs) return;
    const { id, rule, device, severity, raisedMs, clearedMs } = data;
    if (atMs >= this.#fromMs) this.notifications.set(rule, (this.notifications.get(rule) ?? 0) + 1);
    if (clearedMs !== null && clearedMs < this.#fromMs) this.#alarms.delete(id);
    else this.#alarms.set(id, { id, rule, device, severity, raisedMs, clearedMs });
  };

  add(alarm: AlarmSpan): void {
    this.#alarms.set(alarm.id, alarm);
  }

  /** In order of rule, device and time. */
  alarms(): AlarmSpan[] {
    const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
    return [...this.#alarms.values()].sort(
      (a, b) => order(a.rule, b.rule) || order(a.device, b.device) || a.raisedMs - b.raisedMs,
    );
  }
}
