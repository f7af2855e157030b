import { ApiError, api, type Overview, type Quarantined, type RoleHealth } from './api.ts';
import { h, notice, setText } from './dom.ts';
import { age, count, duration, NONE } from './format.ts';

const QUARANTINE_SHOWN = 30;

/** Messages that could not be decoded: how many, and the newest with their reasons. */
export class Quarantine {
  readonly root: HTMLElement;
  readonly #count = h('span', { class: 'count' });
  readonly #list = h('ul', { class: 'quarantine-list' });
  readonly #nowMs: () => number;
  #known: number | null = null;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
    this.root = h(
      'section',
      { class: 'panel quarantine', 'aria-label': 'Quarantine' },
      h('header', {}, h('h2', {}, 'Quarantine'), this.#count),
      this.#list,
    );
  }

  /** Reads the newest when the number of quarantined messages has changed. */
  show(o: Overview): void {
    const total = o.counts?.quarantined ?? null;
    setText(this.#count, count(total));
    if (total === null || total === this.#known) return;
    this.#known = total;
    if (total === 0) this.#list.replaceChildren(h('li', {}, notice('empty', 'Every message could be decoded')));
    else void this.#load();
  }

  async #load(): Promise<void> {
    try {
      const { messages } = await api.quarantine(QUARANTINE_SHOWN);
      this.#list.replaceChildren(...messages.map((m) => this.#row(m)));
    } catch (error) {
      this.#known = null;
      this.#list.replaceChildren(
        h(
          'li',
          {},
          notice('error', 'Cannot be read', h('p', {}, error instanceof ApiError ? error.message : `${error}`)),
        ),
      );
    }
  }

  #row(m: Quarantined): HTMLElement {
    const payload = m.payload.replace(/\s+/g, ' ');
    return h(
      'li',
      { title: `${m.topic}\n${new Date(m.receivedMs).toLocaleString()}\n${m.payloadBytes} bytes` },
      h(
        'span',
        { class: 'quarantine-head' },
        h('strong', {}, m.device),
        h('span', {}, `${age(this.#nowMs() - m.receivedMs)}`),
      ),
      h('span', { class: 'quarantine-reason' }, m.reason),
      h('code', {}, payload === '' ? '(empty)' : payload),
    );
  }
}

const ROLE_NAMES = { door: 'Door', processor: 'Processor', store: 'Store', gateway: 'Gateway' } as const;

/** Each process of the program with how it does. */
export class Roles {
  readonly root: HTMLElement;
  readonly #list = h('ul', { class: 'role-list' });

  constructor() {
    this.root = h(
      'section',
      { class: 'panel roles', 'aria-label': 'Health' },
      h('header', {}, h('h2', {}, 'Health')),
      this.#list,
    );
  }

  show(o: Overview): void {
    const several = new Set(o.roles.map((r) => r.role).filter((role, i, all) => all.indexOf(role) !== i));
    this.#list.replaceChildren(...o.roles.map((role) => row(role, several.has(role.role), o.atMs)));
  }
}

function row(role: RoleHealth, named: boolean, nowMs: number): HTMLElement {
  const up =
    role.startedMs === null ? (role.state === 'ok' ? 'answers' : NONE) : `up ${duration(nowMs - role.startedMs)}`;
  const words = role.reasons.length > 0 ? role.reasons.join('; ') : up;
  return h(
    'li',
    { 'data-role': role.role, 'data-state': role.state },
    h('span', { class: `dot ${role.state}`, title: role.state }),
    h('span', { class: 'role-name' }, ROLE_NAMES[role.role], named ? ` ${role.instance}` : ''),
    h('span', { class: 'role-words', title: words }, words),
  );
}
