import { api, type Rollup } from './api.ts';
import { h } from './dom.ts';
import { measure, moment } from './format.ts';

/** A table of the newest percentiles, rates and so on of the chosen metrics, where a window computes them. */
export class Aggregates {
  readonly root = h('div', { class: 'aggregates' });
  #rollups: readonly Rollup[] = [];
  #asking: AbortController | null = null;

  /** Asks for those of a device, and shows them; without any, or when they cannot be read, there is no table. */
  async load(device: string, metrics: () => readonly string[], nowMs: number): Promise<void> {
    this.#asking?.abort();
    const asking = new AbortController();
    this.#asking = asking;
    try {
      const { rollups } = await api.newestRollups(device, asking.signal);
      if (asking === this.#asking) this.#rollups = rollups.filter((r) => Object.keys(r.extra).length > 0);
    } catch {
      if (asking === this.#asking) this.#rollups = [];
    }
    if (asking === this.#asking) this.show(metrics(), nowMs);
  }

  show(metrics: readonly string[], nowMs: number): void {
    const shown = this.#rollups.filter((r) => metrics.includes(r.metric));
    this.root.replaceChildren(...groups(shown).map((group) => table(group, nowMs)));
  }

  clear(): void {
    this.#asking?.abort();
    this.#rollups = [];
    this.root.replaceChildren();
  }
}

/** Those of one window, which have the same aggregates. */
function groups(rollups: readonly Rollup[]): Rollup[][] {
  const byWindow = new Map<string, Rollup[]>();
  for (const rollup of rollups) {
    const group = byWindow.get(rollup.window);
    if (group === undefined) byWindow.set(rollup.window, [rollup]);
    else group.push(rollup);
  }
  return [...byWindow.values()];
}

function table(group: readonly Rollup[], nowMs: number): HTMLElement {
  const names = [...new Set(group.flatMap((r) => Object.keys(r.extra)))];
  return h(
    'table',
    { 'data-window': group[0].window },
    h('caption', {}, `Window ${group[0].window}`),
    h('thead', {}, h('tr', {}, ...['metric', 'since', ...names].map((name) => h('th', { scope: 'col' }, name)))),
    h(
      'tbody',
      {},
      ...group.map((r) =>
        h(
          'tr',
          { 'data-metric': r.metric, 'data-phase': r.phase },
          h('th', { scope: 'row' }, r.metric),
          h('td', { title: r.phase }, `${moment(r.startMs, nowMs)}${r.phase === 'early' ? ', so far' : ''}`),
          ...names.map((name) => h('td', {}, measure(r.extra[name] ?? null))),
        ),
      ),
    ),
  );
}
