import type { AlarmEvent } from '../../model/alarm.ts';

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
  readonly #alarms: AlarmSpan[] = [];
  /** By the id of the alarm. One that is raised again while nobody has acknowledged it has the same id. */
  readonly #open = new Map<string, AlarmSpan>();
  readonly #fromMs: number;
  readonly #toMs: number;

  constructor(span: { fromMs: number; toMs: number }) {
    this.#fromMs = span.fromMs;
    this.#toMs = span.toMs;
  }

  readonly event = ({ alarm, transition, atMs, notify }: AlarmEvent): void => {
    if (atMs >= this.#toMs) return;
    const { id, rule, device, severity } = alarm;
    if (notify && atMs >= this.#fromMs) this.notifications.set(rule, (this.notifications.get(rule) ?? 0) + 1);
    const open = this.#open.get(id);
    if (alarm.state === 'raised') {
      if (open === undefined) this.#open.set(id, { id, rule, device, severity, raisedMs: atMs, clearedMs: null });
      else open.severity = severity;
    } else if (open !== undefined && transition === 'cleared') {
      this.#open.delete(id);
      open.clearedMs = atMs;
      if (atMs >= this.#fromMs) this.#alarms.push(open);
    }
  };

  add(alarm: AlarmSpan): void {
    this.#alarms.push(alarm);
  }

  /** In order of rule, device and time. */
  alarms(): AlarmSpan[] {
    const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
    return [...this.#alarms, ...this.#open.values()].sort(
      (a, b) => order(a.rule, b.rule) || order(a.device, b.device) || a.raisedMs - b.raisedMs,
    );
  }
}
