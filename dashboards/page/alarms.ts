import { type Alarm, ApiError, api, SEVERITIES } from './api.ts';
import { h, icon, notice, setText } from './dom.ts';
import { age, count, duration, measure, moment } from './format.ts';

const OPEN_MAX = 200;
const HISTORY_MAX = 100;
const RELOAD_MS = 30_000;

export interface AlarmsHandlers {
  onChoose(device: string, metric: string): void;
  nowMs(): number;
  onCount(open: number): void;
}

/** Open alarms, gravest first, and those that came and went. Kept up by the event stream, and read anew now and then. */
export class Alarms {
  readonly root: HTMLElement;
  readonly #handlers: AlarmsHandlers;
  readonly #list = h('ul', { class: 'alarm-list', 'aria-live': 'polite' });
  readonly #tabs: Record<'open' | 'all', HTMLButtonElement>;
  readonly #openCount = h('span', { class: 'count' });
  readonly #alarms = new Map<string, Alarm>();
  #tab: 'open' | 'all' = 'open';
  #loaded = false;
  #error = '';
  #ages: { element: HTMLElement; alarm: Alarm }[] = [];

  constructor(handlers: AlarmsHandlers) {
    this.#handlers = handlers;
    const tab = (name: 'open' | 'all', label: string, ...more: HTMLElement[]) =>
      h(
        'button',
        { type: 'button', 'aria-pressed': `${name === 'open'}`, onclick: () => this.#choose(name) },
        label,
        ...more,
      );
    this.#tabs = { open: tab('open', 'Open', this.#openCount), all: tab('all', 'Recent') };
    this.root = h(
      'section',
      { class: 'panel alarms', 'aria-label': 'Alarms' },
      h('header', {}, h('h2', {}, 'Alarms'), h('div', { class: 'segments' }, this.#tabs.open, this.#tabs.all)),
      this.#list,
    );
    this.#show();
    setInterval(() => this.#tick(), 1_000);
    setInterval(() => {
      if (!document.hidden) void this.load();
    }, RELOAD_MS);
  }

  /** Reads what is open and what was. */
  async load(): Promise<void> {
    try {
      const [open, all] = await Promise.all([api.alarms('open', OPEN_MAX), api.alarms('all', HISTORY_MAX)]);
      const before = new Map(this.#alarms);
      this.#alarms.clear();
      for (const alarm of [...open.alarms, ...all.alarms]) this.#alarms.set(alarm.id, alarm);
      // An event may be ahead of the store; the newest version of an alarm holds.
      for (const [id, alarm] of before)
        if (alarm.version > (this.#alarms.get(id)?.version ?? 0) && this.#isRecent(alarm)) this.#alarms.set(id, alarm);
      this.#loaded = true;
      this.#error = '';
    } catch (error) {
      this.#error = error instanceof ApiError ? error.message : String(error);
    }
    this.#show();
  }

  apply(alarm: Alarm): void {
    if (alarm.version <= (this.#alarms.get(alarm.id)?.version ?? 0)) return;
    this.#alarms.set(alarm.id, alarm);
    this.#loaded = true;
    this.#show();
  }

  #isRecent(alarm: Alarm): boolean {
    return this.#handlers.nowMs() - (alarm.clearedMs ?? alarm.raisedMs) < RELOAD_MS * 2;
  }

  #choose(tab: 'open' | 'all'): void {
    this.#tab = tab;
    for (const [name, button] of Object.entries(this.#tabs)) button.setAttribute('aria-pressed', `${name === tab}`);
    this.#list.scrollTop = 0;
    this.#show();
  }

  #show(): void {
    const all = [...this.#alarms.values()];
    const open = all.filter((a) => a.state === 'raised').sort(byGravity);
    this.#handlers.onCount(open.length);
    setText(this.#openCount, this.#loaded ? count(open.length) : '');
    this.#openCount.classList.toggle('hot', open.length > 0);
    const shown = this.#tab === 'open' ? open : all.sort((a, b) => changedMs(b) - changedMs(a)).slice(0, HISTORY_MAX);
    this.#ages = [];
    const focusedId = (document.activeElement as HTMLElement | null)?.closest<HTMLElement>('[data-alarm]')?.dataset
      .alarm;
    this.#list.replaceChildren(...(shown.length > 0 ? shown.map((a) => this.#row(a)) : [h('li', {}, this.#nothing())]));
    if (focusedId) this.#list.querySelector<HTMLElement>(`[data-alarm="${CSS.escape(focusedId)}"] button`)?.focus();
    this.#tick();
  }

  #nothing(): HTMLElement {
    if (this.#error !== '' && !this.#loaded) return notice('error', 'Alarms cannot be read', h('p', {}, this.#error));
    if (!this.#loaded) return notice('empty', 'Reading …');
    return this.#tab === 'open'
      ? notice('empty', 'No open alarms', h('p', {}, 'All rules are back to normal.'))
      : notice('empty', 'No alarm has been raised yet');
  }

  #row(alarm: Alarm): HTMLElement {
    const since = h('time', { title: new Date(alarm.raisedMs).toLocaleString() });
    this.#ages.push({ element: since, alarm });
    return h(
      'li',
      { class: `alarm ${alarm.severity} ${alarm.state}`, 'data-alarm': alarm.id, 'data-state': alarm.state },
      h(
        'button',
        { type: 'button', onclick: () => this.#handlers.onChoose(alarm.device, alarm.metric) },
        h('span', { class: 'severity' }, severityIcon(alarm), alarm.severity),
        since,
        h('strong', { class: 'alarm-device' }, alarm.device),
        h('span', { class: 'alarm-value' }, h('span', {}, alarm.metric), h('b', {}, measure(alarm.value))),
        h('span', { class: 'alarm-message' }, alarm.message),
      ),
    );
  }

  #tick(): void {
    const nowMs = this.#handlers.nowMs();
    for (const { element, alarm } of this.#ages) {
      const text =
        alarm.state === 'raised'
          ? `for ${age(nowMs - alarm.raisedMs).replace('now', '1 s')}`
          : `${moment(alarm.raisedMs, nowMs)}, lasted ${duration((alarm.clearedMs ?? alarm.raisedMs) - alarm.raisedMs)}`;
      setText(element, text);
    }
  }
}

function changedMs(alarm: Alarm): number {
  return alarm.clearedMs ?? alarm.raisedMs;
}

function byGravity(a: Alarm, b: Alarm): number {
  return (
    SEVERITIES.indexOf(b.severity) - SEVERITIES.indexOf(a.severity) || b.raisedMs - a.raisedMs || (a.id < b.id ? -1 : 1)
  );
}

/** Severity by shape as well as by colour. */
function severityIcon(alarm: Alarm): SVGElement {
  if (alarm.state === 'cleared') return icon('M5 12.5l4.5 4.5L19 7.5', 14);
  if (alarm.severity === 'critical' || alarm.severity === 'major')
    return icon('M12 3L22 20.5H2L12 3zM12 10v4.5M12 17.4v.1', 14);
  if (alarm.severity === 'info') return icon('M12 3a9 9 0 100 18 9 9 0 000-18zM12 11v5.5M12 7.8v.1', 14);
  return icon('M12 3l9 9-9 9-9-9 9-9zM12 8.5v4M12 15.4v.1', 14);
}
