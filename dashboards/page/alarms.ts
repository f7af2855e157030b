import { AlarmDetail, isUnacked } from './alarm-detail.ts';
import { type Alarm, ApiError, api, SEVERITIES } from './api.ts';
import { h, icon, notice, setText } from './dom.ts';
import { age, count, duration, measure, moment } from './format.ts';
import { operatorName } from './operator.ts';

const OPEN_MAX = 200;
const HISTORY_MAX = 100;
const RELOAD_MS = 30_000;

export interface AlarmsHandlers {
  onChoose(device: string, metric: string): void;
  nowMs(): number;
  onCount(open: number): void;
}

type Tab = 'open' | 'unacked' | 'shelved' | 'all';

/** Alarms by what there is to do about them. Kept up by the event stream, and read anew now and then. */
export class Alarms {
  readonly root: HTMLElement;
  readonly #handlers: AlarmsHandlers;
  readonly #floods = h('div', { class: 'alarm-floods' });
  readonly #list = h('ul', { class: 'alarm-list', 'aria-live': 'polite' });
  readonly #tabs: Record<Tab, HTMLButtonElement>;
  readonly #openCount = h('span', { class: 'count' });
  readonly #alarms = new Map<string, Alarm>();
  #tab: Tab = 'open';
  #loaded = false;
  #error = '';
  #ages: { element: HTMLElement; alarm: Alarm }[] = [];
  /** The alarm that is looked at closely. */
  #detail: AlarmDetail | null = null;
  /** Groups whose members are listed. */
  readonly #opened = new Set<string>();

  constructor(handlers: AlarmsHandlers) {
    this.#handlers = handlers;
    const tab = (name: Tab, label: string, ...more: HTMLElement[]) =>
      h(
        'button',
        { type: 'button', 'aria-pressed': `${name === 'open'}`, onclick: () => this.#choose(name) },
        label,
        ...more,
      );
    this.#tabs = {
      open: tab('open', 'Open', this.#openCount),
      unacked: tab('unacked', 'Unacked'),
      shelved: tab('shelved', 'Shelved'),
      all: tab('all', 'Recent'),
    };
    this.root = h(
      'section',
      { class: 'panel alarms', 'aria-label': 'Alarms' },
      h('header', {}, h('h2', {}, 'Alarms'), h('div', { class: 'segments' }, ...Object.values(this.#tabs))),
      this.#floods,
      this.#list,
    );
    this.#show();
    setInterval(() => this.#tick(), 1_000);
    setInterval(() => {
      if (!document.hidden) void this.load();
    }, RELOAD_MS);
  }

  /** Reads what is open, what was put aside, and what was. */
  async load(): Promise<void> {
    try {
      const lists = await Promise.all([
        api.alarms('open', OPEN_MAX),
        api.alarms('shelved', OPEN_MAX),
        api.alarms('all', HISTORY_MAX),
      ]);
      const before = new Map(this.#alarms);
      this.#alarms.clear();
      for (const alarm of lists.flatMap((list) => list.alarms)) this.#alarms.set(alarm.id, alarm);
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
    return this.#handlers.nowMs() - (alarm.clearedMs ?? alarm.raisedMs) < RELOAD_MS * 2 || alarm.life !== 'normal';
  }

  #choose(tab: Tab): void {
    this.#tab = tab;
    for (const [name, button] of Object.entries(this.#tabs)) button.setAttribute('aria-pressed', `${name === tab}`);
    this.#list.scrollTop = 0;
    this.#show();
  }

  #show(): void {
    const all = [...this.#alarms.values()].filter((alarm) => !isGroup(alarm));
    const open = all.filter(isOpen).sort(byGravity);
    this.#handlers.onCount(open.length);
    setText(this.#openCount, this.#loaded ? count(open.length) : '');
    this.#openCount.classList.toggle('hot', open.length > 0);
    const shown = this.#shown(all, open);
    this.#ages = [];
    const focused = document.activeElement as HTMLElement | null;
    const focusedId = focused?.closest<HTMLElement>('[data-alarm]')?.dataset.alarm;
    const isInDetail = focused !== null && this.#detail?.root.contains(focused) === true;
    this.#showFloods();
    this.#list.replaceChildren(...(shown.length > 0 ? shown.map((a) => this.#row(a)) : [h('li', {}, this.#nothing())]));
    if (isInDetail && focused.isConnected) focused.focus();
    else if (focusedId) {
      const role = focused?.dataset.role ?? 'choose';
      const row = this.#list.querySelector<HTMLElement>(`[data-alarm="${CSS.escape(focusedId)}"]`);
      (row?.querySelector<HTMLElement>(`[data-role="${role}"]`) ?? row?.querySelector('button'))?.focus();
    }
    this.#tick();
  }

  #shown(all: Alarm[], open: Alarm[]): Alarm[] {
    if (this.#tab === 'all') return all.sort((a, b) => changedMs(b) - changedMs(a)).slice(0, HISTORY_MAX);
    if (this.#tab === 'shelved') return all.filter(isAside).sort(byGravity);
    // Members of a group stand behind its one line until somebody wants to see them.
    const apart = open.filter(
      (alarm) => alarm.groupId === '' || this.#opened.has(alarm.groupId) || !this.#alarms.has(alarm.groupId),
    );
    return this.#tab === 'open' ? apart : apart.filter(isUnacked);
  }

  /** Each flood once, however many partitions count it. */
  #showFloods(): void {
    const floods = new Map<string, Alarm[]>();
    for (const alarm of this.#alarms.values()) {
      if (!isGroup(alarm) || alarm.life === 'normal') continue;
      const key = JSON.stringify([alarm.rule, alarm.device]);
      floods.set(key, [...(floods.get(key) ?? []), alarm]);
    }
    this.#floods.replaceChildren(
      ...[...floods.values()].map((groups) => {
        const [{ rule, device }] = groups;
        const ids = groups.map((group) => group.id);
        const isOpened = ids.every((id) => this.#opened.has(id));
        const many = count(groups.reduce((sum, group) => sum + group.value, 0));
        const where = device === '*' ? '' : ` at ${device.slice('site:'.length) || 'no site'}`;
        const toggle = () => {
          for (const id of ids) isOpened ? this.#opened.delete(id) : this.#opened.add(id);
          this.#show();
        };
        const button = h('button', { type: 'button', 'aria-pressed': `${isOpened}`, onclick: toggle });
        button.append(isOpened ? 'Hide them' : 'Show them');
        return h(
          'p',
          { class: 'alarm-flood' },
          h('span', {}, `${many} alarms of rule ${rule}${where}, grouped`),
          button,
        );
      }),
    );
  }

  #nothing(): HTMLElement {
    if (this.#error !== '' && !this.#loaded) return notice('error', 'Alarms cannot be read', h('p', {}, this.#error));
    if (!this.#loaded) return notice('empty', 'Reading …');
    if (this.#tab === 'open') return notice('empty', 'No open alarms', h('p', {}, 'All rules are back to normal.'));
    if (this.#tab === 'unacked') return notice('empty', 'All open alarms are acknowledged');
    return this.#tab === 'shelved'
      ? notice('empty', 'Nothing is shelved, suppressed or out of service')
      : notice('empty', 'No alarm has been raised yet');
  }

  #row(alarm: Alarm): HTMLElement {
    const since = h('time', { title: new Date(alarm.raisedMs).toLocaleString() });
    this.#ages.push({ element: since, alarm });
    const detail = this.#detail?.id === alarm.id ? this.#detail : null;
    detail?.update(alarm);
    const choose = () => this.#handlers.onChoose(alarm.device, alarm.metric);
    return h(
      'li',
      {
        class: `alarm ${alarm.severity} ${alarm.state} ${alarm.life}`,
        'data-alarm': alarm.id,
        'data-state': alarm.state,
        'data-life': alarm.life,
      },
      h(
        'button',
        { type: 'button', 'data-role': 'choose', onclick: choose },
        h('span', { class: 'severity' }, severityIcon(alarm), alarm.severity),
        since,
        h('strong', { class: 'alarm-device' }, alarm.device),
        h('span', { class: 'alarm-value' }, h('span', {}, alarm.metric), h('b', {}, measure(alarm.value))),
        h('span', { class: 'alarm-message' }, alarm.message),
      ),
      h(
        'div',
        { class: 'alarm-foot' },
        h('span', { class: 'alarm-life' }, LIFE_WORDS[alarm.life](alarm)),
        isUnacked(alarm) && detail === null ? this.#acknowledgeButton(alarm) : null,
        this.#detailButton(alarm, detail !== null),
      ),
      detail?.root ?? null,
    );
  }

  #acknowledgeButton(alarm: Alarm): HTMLElement {
    const acknowledge = async () => {
      const by = operatorName();
      try {
        if (by !== '') await api.act(alarm.id, 'acknowledge', { by });
        else this.#openDetail(alarm);
      } catch {
        // The detail asks for the history, and says what is wrong.
        this.#openDetail(alarm);
      }
    };
    return h(
      'button',
      {
        type: 'button',
        'data-role': 'acknowledge',
        'aria-label': `Acknowledge ${alarm.rule} of ${alarm.device}`,
        onclick: () => void acknowledge(),
      },
      'Acknowledge',
    );
  }

  #detailButton(alarm: Alarm, isOpen: boolean): HTMLElement {
    const toggle = () => {
      if (!isOpen) return this.#openDetail(alarm);
      this.#detail = null;
      this.#show();
    };
    const label = `${isOpen ? 'Close' : 'Details of'} ${alarm.rule} of ${alarm.device}`;
    return h(
      'button',
      { type: 'button', 'data-role': 'detail', 'aria-expanded': `${isOpen}`, 'aria-label': label, onclick: toggle },
      isOpen ? 'Close' : 'Details',
    );
  }

  #openDetail(alarm: Alarm): void {
    this.#detail = new AlarmDetail(alarm, this.#handlers);
    this.#show();
    this.#detail.focus();
  }

  #tick(): void {
    const nowMs = this.#handlers.nowMs();
    for (const { element, alarm } of this.#ages) {
      const text =
        alarm.state === 'raised'
          ? `for ${age(nowMs - alarm.raisedMs).replace('now', '1 s')}`
          : alarm.state === 'normal'
            ? moment(alarm.raisedMs, nowMs)
            : `${moment(alarm.raisedMs, nowMs)}, lasted ${duration((alarm.clearedMs ?? alarm.raisedMs) - alarm.raisedMs)}`;
      setText(element, text);
    }
  }
}

const LIFE_WORDS: Record<Alarm['life'], (alarm: Alarm) => string> = {
  normal: () => 'over',
  unacknowledged: (alarm) => (alarm.chattering ? 'chattering, not acknowledged' : 'not acknowledged'),
  acknowledged: (alarm) => `acknowledged by ${alarm.ackedBy}`,
  returned: () => 'cleared, not acknowledged',
  latched: () => 'ceased, waits for you',
  shelved: (alarm) => `shelved by ${alarm.shelvedBy}`,
  suppressed: (alarm) => alarm.suppressed,
  'out-of-service': () => 'out of service',
};

function isGroup(alarm: Alarm): boolean {
  return alarm.groupId === alarm.id;
}

/** Put aside, by people or by design. */
function isAside(alarm: Alarm): boolean {
  return alarm.life === 'shelved' || alarm.life === 'suppressed' || alarm.life === 'out-of-service';
}

function isOpen(alarm: Alarm): boolean {
  return (alarm.state === 'raised' || alarm.life === 'returned') && !isAside(alarm);
}

function changedMs(alarm: Alarm): number {
  return Math.max(alarm.raisedMs, alarm.clearedMs ?? 0, alarm.ackedMs ?? 0);
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
