import type { Overview } from './api.ts';
import { h, icon, setText } from './dom.ts';
import { duration } from './format.ts';
import { onTheme, theme, toggleTheme } from './theme.ts';

const SUN =
  'M12 8a4 4 0 100 8 4 4 0 000-8zM12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M5.3 18.7l1.4-1.4M17.3 6.7l1.4-1.4';
const MOON = 'M20 14.5A8.2 8.2 0 119.5 4a6.6 6.6 0 0010.5 10.5z';

/** Name, overall state, connection, uptime, and the switch between dark and light. */
export class Header {
  readonly root: HTMLElement;
  readonly #state = h('span', { class: 'state', role: 'status' }, 'Connecting …');
  readonly #uptime = h('span', { class: 'uptime' });
  readonly #connection = h('span', { class: 'connection' });
  readonly #toggle = h('button', { type: 'button', class: 'icon-button', onclick: () => toggleTheme() });
  readonly #banner = h('span', { class: 'banner', role: 'alert', hidden: true });
  #connected = true;

  constructor() {
    this.root = h(
      'header',
      { class: 'page-head' },
      h('img', { src: './icon.svg', width: '26', height: '26', alt: '' }),
      h('h1', {}, 'Sluice'),
      this.#state,
      this.#banner,
      h('span', { class: 'spacer' }),
      this.#uptime,
      this.#connection,
      this.#toggle,
    );
    onTheme(() => this.#showToggle());
    this.#showToggle();
  }

  set connected(value: boolean) {
    this.#connected = value;
    setText(this.#connection, value ? 'Live' : 'Reconnecting');
    this.#connection.classList.toggle('lost', !value);
    if (!value) this.#sayState('unknown', 'Not connected');
  }

  /** What the reader has to know before all else; '' when there is nothing. */
  say(text: string): void {
    this.#banner.hidden = text === '';
    this.#banner.title = text;
    setText(this.#banner, text);
  }

  show(o: Overview): void {
    setText(this.#uptime, `up ${duration(o.uptimeMs)}`);
    if (!this.#connected) return;
    if (o.state === 'ok') this.#sayState('ok', 'All running');
    else this.#sayState(o.state, o.state === 'down' ? 'Something is down' : 'Running, with remarks');
  }

  #sayState(state: string, words: string): void {
    this.#state.className = `state ${state}`;
    setText(this.#state, words);
  }

  #showToggle(): void {
    const dark = theme() === 'dark';
    const label = dark ? 'Switch to light' : 'Switch to dark';
    this.#toggle.setAttribute('aria-label', label);
    this.#toggle.title = label;
    this.#toggle.replaceChildren(icon(dark ? SUN : MOON, 18));
  }
}
