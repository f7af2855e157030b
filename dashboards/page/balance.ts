import { api, type LedgerBalance } from './api.ts';
import { h, setText } from './dom.ts';
import { count, NONE } from './format.ts';

const RELOAD_MS = 10_000;

/** What was acknowledged against what became of it, over the last 24 hours. */
export class Balance {
  readonly root: HTMLElement;
  readonly #verdict = h('span', { class: 'balance-verdict' }, NONE);
  readonly #values = new Map<string, HTMLElement>();
  readonly #gaps = h('p', { class: 'balance-gaps' });
  readonly #late = h('p', { class: 'balance-gaps' });

  constructor() {
    const row = (name: string, label: string) => {
      const value = h('dd', {}, NONE);
      this.#values.set(name, value);
      return h('div', { class: `balance-${name}` }, h('dt', {}, label), value);
    };
    this.root = h(
      'section',
      { class: 'panel balance', 'aria-label': 'Balance of messages, last 24 hours' },
      h('header', {}, h('h2', {}, 'Balance, 24 h'), this.#verdict),
      h(
        'div',
        { class: 'balance-figures' },
        h(
          'dl',
          { 'aria-label': 'Messages' },
          row('acknowledged', 'acknowledged'),
          row('decoded', 'decoded'),
          row('quarantined', 'quarantined'),
          row('difference', 'difference'),
        ),
        h(
          'dl',
          { 'aria-label': 'Readings' },
          row('readings', 'readings'),
          row('stored', 'stored'),
          row('duplicates', 'duplicates'),
          row('late', 'late'),
        ),
      ),
      this.#gaps,
      this.#late,
    );
    setInterval(() => {
      if (!document.hidden) void this.load();
    }, RELOAD_MS);
  }

  async load(): Promise<void> {
    try {
      this.#show(await api.ledger());
    } catch {
      // What was shown stays; that the store or the gateway is away is said elsewhere.
    }
  }

  #show({ messages, readings, gaps, lateDevices }: LedgerBalance): void {
    const difference = messages.acknowledged - messages.decoded - messages.quarantined;
    const values = {
      acknowledged: messages.acknowledged,
      decoded: messages.decoded,
      quarantined: messages.quarantined,
      difference,
      readings: readings.decoded,
      stored: readings.stored,
      duplicates: readings.duplicates,
      late: readings.late,
    };
    for (const [name, value] of Object.entries(values)) setText(this.#values.get(name)!, count(value));
    const state = messages.acknowledged === 0 ? '' : difference === 0 ? 'ok' : 'down';
    this.root.dataset.state = state;
    setText(this.#verdict, state === '' ? '' : difference === 0 ? 'balanced' : `${count(difference)} missing`);
    this.#verdict.title = 'sluice audit holds it against the tables, and names what is missing';
    const named = gaps.devices.map((d) => `${d.device} ${count(d.missing)}`).join(', ');
    setText(this.#gaps, gaps.missing > 0 ? `Gaps in devices' own numbers: ${count(gaps.missing)} (${named})` : '');
    this.#gaps.hidden = gaps.missing === 0;
    const late = lateDevices.map((d) => `${d.device} ${count(d.late)}`).join(', ');
    setText(this.#late, `Too late for a window: ${late}`);
    this.#late.title = 'Stored as readings and flagged, and in no rollup; allowedLatenessMs says how late is too late';
    this.#late.hidden = lateDevices.length === 0;
  }
}
