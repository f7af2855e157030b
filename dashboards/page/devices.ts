import { ApiError, api, type Device } from './api.ts';
import { DeviceFilter } from './device-filter.ts';
import { h, notice, setText } from './dom.ts';
import { age, count } from './format.ts';

const PAGE = 100;
const SHOWN_MAX = 1_000;
const REFRESH_MS = 5_000;
/** A device silent for so long is shown fainter. */
const QUIET_MS = 60_000;

interface Row {
  button: HTMLButtonElement;
  seen: HTMLElement;
  about: HTMLElement;
  mark: HTMLElement;
}

export interface DevicesHandlers {
  onChoose(device: string): void;
  /** The list as it was first filled, so that the page can choose a device when none is chosen. */
  onListed(devices: readonly Device[]): void;
  nowMs(): number;
}

/** All devices by name, searchable, with when each was last seen. */
export class Devices {
  readonly root: HTMLElement;
  readonly #list = h('ul', { class: 'device-list', 'aria-label': 'Devices' });
  readonly #search: HTMLInputElement;
  readonly #filter = new DeviceFilter(() => this.#typed());
  readonly #total = h('span', { class: 'count' });
  readonly #handlers: DevicesHandlers;
  #devices: Device[] = [];
  #next: string | null = null;
  #chosen = '';
  #rows = new Map<string, Row>();
  #asking: AbortController | null = null;
  #error = '';

  constructor(handlers: DevicesHandlers) {
    this.#handlers = handlers;
    this.#search = h('input', {
      type: 'search',
      placeholder: 'Search devices',
      'aria-label': 'Search devices',
      autocomplete: 'off',
      spellcheck: 'false',
      oninput: () => this.#typed(),
      onkeydown: (event) => this.#keys(event as KeyboardEvent),
    });
    this.root = h(
      'section',
      { class: 'panel devices', 'aria-label': 'Devices' },
      h('header', {}, h('h2', {}, 'Devices'), this.#total),
      h('div', { class: 'search' }, this.#search, this.#filter.root),
      this.#list,
    );
    this.#list.addEventListener('keydown', (event) => this.#keys(event));
    setInterval(() => {
      if (!document.hidden && this.#asking === null) void this.refresh();
    }, REFRESH_MS);
    setInterval(() => this.#ages(), 1_000);
  }

  set chosen(device: string) {
    this.#chosen = device;
    for (const [name, { button }] of this.#rows) button.setAttribute('aria-pressed', `${name === device}`);
  }

  set total(devices: number | null) {
    setText(this.#total, devices === null ? '' : count(devices));
  }

  /** As many as are shown now, anew. */
  async refresh(): Promise<void> {
    await this.#filter.refresh();
    await this.#load('', Math.max(PAGE, Math.min(SHOWN_MAX, this.#devices.length)));
  }

  async #load(after: string, limit: number): Promise<void> {
    this.#asking?.abort();
    const asking = new AbortController();
    this.#asking = asking;
    try {
      const answer = await api.devices(this.#search.value.trim(), this.#filter.query, after, limit, asking.signal);
      if (asking !== this.#asking) return;
      this.#devices = after === '' ? answer.devices : [...this.#devices, ...answer.devices];
      this.#next = answer.next;
      this.#error = '';
      this.#show();
      this.#handlers.onListed(this.#devices);
    } catch (error) {
      if (asking.signal.aborted) return;
      this.#error = error instanceof ApiError ? error.message : String(error);
      this.#show();
    } finally {
      if (asking === this.#asking) this.#asking = null;
    }
  }

  #typed(): void {
    this.#list.scrollTop = 0;
    void this.#load('', PAGE);
  }

  #show(): void {
    const rows = new Map<string, Row>();
    const items: HTMLElement[] = [];
    for (const listed of this.#devices) {
      const { device } = listed;
      const row = this.#rows.get(device) ?? this.#row(device);
      this.#say(row, listed);
      rows.set(device, row);
      items.push(row.button.parentElement as HTMLElement);
    }
    this.#rows = rows;
    if (this.#next !== null && this.#devices.length < SHOWN_MAX) {
      const after = this.#next;
      items.push(
        h(
          'li',
          {},
          h('button', { class: 'more', type: 'button', onclick: () => void this.#load(after, PAGE) }, 'Show more'),
        ),
      );
    }
    if (this.#error !== '' && this.#devices.length === 0) {
      items.push(h('li', {}, notice('error', 'Devices cannot be listed', h('p', {}, this.#error))));
    } else if (this.#devices.length === 0) {
      const searched = this.#search.value.trim() !== '' || Object.keys(this.#filter.query).length > 0;
      items.push(h('li', {}, notice('empty', searched ? 'No device is like this' : 'No devices yet')));
    }
    const same =
      items.length === this.#list.children.length && items.every((item, i) => item === this.#list.children[i]);
    if (!same) {
      const focused = document.activeElement;
      this.#list.replaceChildren(...items);
      if (focused instanceof HTMLElement && this.#list.contains(focused)) focused.focus();
    }
    this.#ages();
    this.chosen = this.#chosen;
  }

  /** Where it stands and what it is, in few words; what nobody told of is marked, where something was told of others. */
  #say({ button, about, mark }: Row, { device, name, site, model, tags, known }: Device): void {
    // What there is room for; the rest is in the title.
    setText(about, name === '' ? site || model : name);
    mark.hidden = known || !this.#filter.marksUnknown;
    const words = Object.entries(tags).map(([tag, value]) => `${tag}: ${value}`);
    button.title = [device, name, site, model, ...words].filter((word) => word !== '').join('\n');
  }

  #row(device: string): Row {
    const seen = h('span', { class: 'seen' });
    const about = h('span', { class: 'about' });
    const mark = h(
      'span',
      {
        class: 'mark',
        title: 'Unknown device: nothing was said of it',
        role: 'img',
        'aria-label': 'unknown',
        hidden: true,
      },
      '?',
    );
    const button = h(
      'button',
      { type: 'button', 'aria-pressed': 'false', title: device, onclick: () => this.#handlers.onChoose(device) },
      h('span', { class: 'dot' }),
      h('span', { class: 'device-name' }, device, about),
      mark,
      seen,
    );
    h('li', {}, button);
    return { button, seen, about, mark };
  }

  #ages(): void {
    const nowMs = this.#handlers.nowMs();
    for (const { device, lastSeenMs } of this.#devices) {
      const row = this.#rows.get(device);
      if (!row) continue;
      const quiet = lastSeenMs === null || nowMs - lastSeenMs > QUIET_MS;
      // The list is renewed every few seconds: finer ages than that would only flicker.
      const silentMs = lastSeenMs === null ? null : nowMs - lastSeenMs;
      setText(row.seen, silentMs === null ? 'never' : silentMs < REFRESH_MS * 2.5 ? 'now' : age(silentMs));
      row.button.classList.toggle('quiet', quiet);
    }
  }

  /** Arrow keys walk the list, as in any list box; from the search field downward too. */
  #keys(event: KeyboardEvent): void {
    const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0;
    if (step === 0) return;
    const buttons = [...this.#list.querySelectorAll<HTMLButtonElement>('button')];
    const at = buttons.indexOf(document.activeElement as HTMLButtonElement);
    event.preventDefault();
    if (at + step < 0) this.#search.focus();
    else buttons[at + step]?.focus();
  }
}
