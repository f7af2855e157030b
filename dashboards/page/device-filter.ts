import { api, type DeviceGroups, type DeviceQuery } from './api.ts';
import { h } from './dom.ts';

const NONE: DeviceGroups = { sites: [], models: [], tags: [], known: 0, unknown: 0 };

/** One choice of a site, a model, a tag, or the unknown devices. Not there as long as nothing was said of any device. */
export class DeviceFilter {
  readonly root: HTMLSelectElement;
  /** Whether unknown devices stand out: not where all are. */
  marksUnknown = false;
  #shown = '';

  constructor(onChange: () => void) {
    this.root = h('select', { 'aria-label': 'Filter devices', hidden: true, onchange: onChange });
  }

  /** What the choice asks of the API. */
  get query(): DeviceQuery {
    const [kind, ...rest] = this.root.value.split(' ');
    const value = rest.join(' ');
    if (kind === 'site') return { site: value };
    if (kind === 'model') return { model: value };
    if (kind === 'tag') return { tag: value };
    return kind === 'unknown' ? { source: 'seen' } : {};
  }

  /** Asks which values there are. Failures leave the choice as it is: the list itself tells of them. */
  async refresh(): Promise<void> {
    const groups = await api.deviceGroups().catch(() => null);
    if (groups !== null) this.#show(groups);
  }

  #show(groups: DeviceGroups): void {
    const shown = JSON.stringify(groups);
    if (shown === this.#shown) return;
    this.#shown = shown;
    this.marksUnknown = groups.known > 0;
    const { sites, models, tags, unknown } = this.marksUnknown ? groups : NONE;
    const chosen = this.root.value;
    const group = (label: string, kind: string, values: DeviceGroups['sites']): HTMLElement | null =>
      values.length === 0
        ? null
        : h(
            'optgroup',
            { label },
            ...values.map(({ value, devices }) =>
              h(
                'option',
                { value: `${kind} ${value}` },
                `${kind === 'tag' ? value.replace(':', ' = ') : value} (${devices})`,
              ),
            ),
          );
    const options = [
      h('option', { value: '' }, 'All devices'),
      unknown === 0 ? null : h('option', { value: 'unknown' }, `Unknown devices (${unknown})`),
      group('Site', 'site', sites),
      group('Model', 'model', models),
      group('Tag', 'tag', tags),
    ];
    this.root.replaceChildren(...options.filter((option) => option !== null));
    this.root.value = chosen;
    if (this.root.selectedIndex === -1) this.root.value = '';
    this.root.hidden = !this.marksUnknown;
  }
}
