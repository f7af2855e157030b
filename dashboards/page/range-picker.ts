import { h } from './dom.ts';
import { inputTime } from './format.ts';
import { bounds, LIVE_RANGES, type LiveRange, type Range } from './hash.ts';

const LABELS: Record<LiveRange, string> = { '5m': '5 min', '1h': '1 h', '24h': '24 h', '30d': '30 d', '1y': '1 y' };

/** The stretch of time that the charts show: one that ends now, or a stretch of its own. */
export class RangePicker {
  readonly root: HTMLElement;
  readonly #onRange: (range: Range) => void;
  readonly #nowMs: () => number;
  readonly #buttons = new Map<LiveRange | 'custom', HTMLButtonElement>();
  readonly #from = h('input', { type: 'datetime-local', step: '1', 'aria-label': 'From' });
  readonly #to = h('input', { type: 'datetime-local', step: '1', 'aria-label': 'To' });
  readonly #form: HTMLFormElement;
  #range: Range = { live: '5m' };

  constructor(onRange: (range: Range) => void, nowMs: () => number) {
    this.#onRange = onRange;
    this.#nowMs = nowMs;
    for (const live of Object.keys(LIVE_RANGES) as LiveRange[]) {
      this.#buttons.set(live, h('button', { type: 'button', onclick: () => this.#onRange({ live }) }, LABELS[live]));
    }
    this.#buttons.set(
      'custom',
      h('button', { type: 'button', 'aria-expanded': 'false', onclick: () => this.#openForm() }, 'Custom'),
    );
    this.#form = h(
      'form',
      {
        class: 'custom-range',
        hidden: true,
        onsubmit: (event) => this.#submit(event),
        onkeydown: (event) => {
          if ((event as KeyboardEvent).key === 'Escape') this.#closeForm();
        },
      },
      h('label', {}, 'From', this.#from),
      h('label', {}, 'To', this.#to),
      h('button', { type: 'submit' }, 'Show'),
    );
    const segments = h(
      'div',
      { class: 'segments', role: 'group', 'aria-label': 'Time range' },
      ...this.#buttons.values(),
    );
    this.root = h('div', { class: 'range' }, segments, this.#form);
  }

  show(range: Range): void {
    this.#range = range;
    this.#closeForm();
    const now = 'live' in range ? range.live : 'custom';
    for (const [name, button] of this.#buttons) button.setAttribute('aria-pressed', `${name === now}`);
  }

  #openForm(): void {
    if (!this.#form.hidden) {
      this.#closeForm();
      return;
    }
    const { fromMs, toMs } = bounds(this.#range, this.#nowMs());
    this.#from.value = inputTime(fromMs);
    this.#to.value = inputTime(toMs);
    this.#form.hidden = false;
    this.#buttons.get('custom')?.setAttribute('aria-expanded', 'true');
    this.#from.focus();
  }

  #closeForm(): void {
    this.#form.hidden = true;
    this.#buttons.get('custom')?.setAttribute('aria-expanded', 'false');
  }

  #submit(event: Event): void {
    event.preventDefault();
    const fromMs = new Date(this.#from.value).getTime();
    const toMs = new Date(this.#to.value).getTime();
    const wrong =
      Number.isNaN(fromMs) || Number.isNaN(toMs) ? 'Give both times' : fromMs >= toMs ? 'Must be after From' : '';
    this.#to.setCustomValidity(wrong);
    if (wrong !== '') {
      this.#to.reportValidity();
      this.#to.addEventListener('input', () => this.#to.setCustomValidity(''), { once: true });
      return;
    }
    this.#onRange({ fromMs, toMs });
  }
}
