import { ApiError, api, type DeviceDetail } from './api.ts';
import { h } from './dom.ts';

/** What the registry says of the chosen device, and a form to change it. */
export class DeviceEntry {
  readonly root = h('div', { class: 'entry' });
  #shown = '';
  #editing = false;

  /** Null: no device is chosen. What is being edited is left as it is. */
  show(detail: DeviceDetail | null): void {
    if (this.#editing && detail !== null && this.#shown.startsWith(`${JSON.stringify(detail.device)} `)) return;
    const { device, name, site, model, tags, thresholds, source, version } = detail ?? { device: '' };
    const shown = `${JSON.stringify(device)} ${JSON.stringify([name, site, model, tags, thresholds, source, version])}`;
    if (shown === this.#shown) return;
    this.#shown = shown;
    this.#editing = false;
    if (detail === null || source === undefined) this.root.replaceChildren();
    else this.root.replaceChildren(...said(detail), this.#edit(detail));
  }

  #edit(detail: DeviceDetail): HTMLElement {
    if (detail.source === 'config' || detail.source === 'file') {
      const where = detail.source === 'config' ? 'the settings' : 'the file of devices';
      return h('span', { class: 'entry-source' }, `declared in ${where}`);
    }
    const label = detail.known ? 'Edit' : 'Describe';
    return h('button', { type: 'button', class: 'link', onclick: () => this.#openForm(detail) }, label);
  }

  #openForm(detail: DeviceDetail): void {
    this.#editing = true;
    const field = (label: string, value: string, hint = ''): HTMLInputElement =>
      h('input', { 'aria-label': label, placeholder: hint === '' ? label : hint, value, autocomplete: 'off' });
    const name = field('Name', detail.name);
    const site = field('Site', detail.site);
    const model = field('Model', detail.model);
    const tags = field('Tags', pairsText(detail.tags), 'Tags: line=a, floor=2');
    const thresholds = field('Thresholds', pairsText(detail.thresholds), 'Thresholds: max=7.5');
    const error = h('p', { class: 'entry-error', role: 'alert' });
    const close = (): void => {
      this.#editing = false;
      this.#shown = '';
      this.show(detail);
    };
    const save = async (): Promise<void> => {
      try {
        const limits = Object.entries(pairsOf(thresholds.value)).map(([key, value]) => [key, Number(value)]);
        const body = {
          ...{ name: name.value.trim(), site: site.value.trim(), model: model.value.trim() },
          tags: pairsOf(tags.value),
          thresholds: Object.fromEntries(limits),
        };
        const { version } = await api.describeDevice(detail.device, body, detail.version);
        this.#editing = false;
        this.show({ ...detail, ...body, source: 'http', known: true, version });
      } catch (cause) {
        error.textContent = cause instanceof ApiError ? `${cause.message} ${cause.remedy}`.trim() : String(cause);
      }
    };
    const form = h(
      'form',
      {
        class: 'entry-form',
        onsubmit: (event) => {
          event.preventDefault();
          void save();
        },
      },
      name,
      site,
      model,
      tags,
      thresholds,
      h('button', { type: 'submit' }, 'Save'),
      h('button', { type: 'button', class: 'link', onclick: close }, 'Cancel'),
      error,
    );
    this.root.replaceChildren(form);
    name.focus();
  }
}

function said({ name, site, model, tags, thresholds, known }: DeviceDetail): HTMLElement[] {
  if (!known) {
    const what = 'It appeared by its telemetry; nothing is said of it yet.';
    return [h('span', { class: 'mark', title: what }, 'unknown device')];
  }
  const words: [string, string][] = [
    ['name', name],
    ['site', site],
    ['model', model],
    ...Object.entries(tags),
    ...Object.entries(thresholds).map(([key, value]): [string, string] => [`limit ${key}`, String(value)]),
  ];
  return words
    .filter(([, value]) => value !== '')
    .map(([label, value]) => h('span', { class: 'fact' }, h('span', { class: 'fact-name' }, label), ` ${value}`));
}

function pairsText(pairs: Record<string, string | number>): string {
  return Object.entries(pairs)
    .map(([key, value]) => `${key}=${value}`)
    .join(', ');
}

function pairsOf(text: string): Record<string, string> {
  const pairs = text
    .split(',')
    .map((pair) => pair.split('='))
    .map(([key, ...value]): [string, string] => [key.trim(), value.join('=').trim()]);
  return Object.fromEntries(pairs.filter(([key]) => key !== ''));
}
