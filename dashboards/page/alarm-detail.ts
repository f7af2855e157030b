import { type Alarm, type AlarmTransition, ApiError, api } from './api.ts';
import { h, setText } from './dom.ts';
import { measure, moment } from './format.ts';
import { operatorName, rememberOperator } from './operator.ts';

const MINUTE_MS = 60_000;
const SHELVE_TIMES: readonly [label: string, ms: number][] = [
  ['10 min', 10 * MINUTE_MS],
  ['1 hour', 60 * MINUTE_MS],
  ['8 hours', 480 * MINUTE_MS],
  ['1 day', 1440 * MINUTE_MS],
  ['1 week', 10_080 * MINUTE_MS],
];

export interface AlarmDetailHandlers {
  nowMs(): number;
}

/** What operators do to one alarm, and what it has been through. It is kept while the list around it is made anew. */
export class AlarmDetail {
  readonly root: HTMLElement;
  readonly #handlers: AlarmDetailHandlers;
  readonly #name = h('input', { type: 'text', placeholder: 'Your name', 'aria-label': 'Your name', maxlength: '100' });
  readonly #comment = h('input', { type: 'text', placeholder: 'Comment', 'aria-label': 'Comment', maxlength: '2000' });
  readonly #time = h('select', { 'aria-label': 'How long to shelve' });
  readonly #actions = h('div', { class: 'alarm-actions' });
  readonly #told = h('p', { class: 'alarm-told', role: 'status' });
  readonly #facts = h('p', { class: 'alarm-facts' });
  readonly #timeline = h('ol', { class: 'alarm-timeline', 'aria-label': 'History' });
  #alarm: Alarm;
  #version = 0;

  constructor(alarm: Alarm, handlers: AlarmDetailHandlers) {
    this.#handlers = handlers;
    this.#alarm = alarm;
    this.#name.value = operatorName();
    this.#name.addEventListener('change', () => rememberOperator(this.#name.value.trim()));
    for (const [label, ms] of SHELVE_TIMES) this.#time.append(h('option', { value: `${ms}` }, label));
    this.#time.value = `${60 * MINUTE_MS}`;
    this.root = h(
      'div',
      { class: 'alarm-detail' },
      this.#facts,
      h('div', { class: 'alarm-fields' }, this.#name, this.#comment),
      this.#actions,
      this.#told,
      this.#timeline,
    );
    this.update(alarm);
  }

  get id(): string {
    return this.#alarm.id;
  }

  /** Where somebody who has not said his name goes on. */
  focus(): void {
    (this.#name.value.trim() === '' ? this.#name : this.#comment).focus();
  }

  update(alarm: Alarm): void {
    this.#alarm = alarm;
    if (alarm.version === this.#version) return;
    this.#version = alarm.version;
    setText(this.#facts, factsOf(alarm, this.#handlers.nowMs()));
    const focused = (document.activeElement as HTMLElement | null)?.dataset.action;
    this.#actions.replaceChildren(...this.#buttons(alarm));
    if (focused) this.#actions.querySelector<HTMLElement>(`[data-action="${focused}"]`)?.focus();
    void this.#loadHistory();
  }

  #buttons(alarm: Alarm): HTMLElement[] {
    if (alarm.life === 'normal' && alarm.state !== 'raised') return [];
    const button = (action: string, label: string, body: () => object = () => ({})) =>
      h(
        'button',
        { type: 'button', 'data-action': action, onclick: () => void this.#act(action, label, body()) },
        label,
      );
    const buttons: HTMLElement[] = [];
    if (isUnacked(alarm)) buttons.push(button('acknowledge', 'Acknowledge'));
    if (alarm.latched) buttons.push(button('reset', 'Reset'));
    buttons.push(button('comment', 'Comment'));
    if (alarm.shelvedUntilMs !== null) buttons.push(button('unshelve', 'Unshelve'));
    else {
      const shelve = button('shelve', 'Shelve for', () => ({ forMs: Number(this.#time.value) }));
      buttons.push(h('span', { class: 'alarm-shelve' }, shelve, this.#time));
    }
    if (alarm.life === 'out-of-service') buttons.push(button('in-service', 'Back in service'));
    else buttons.push(button('out-of-service', 'Out of service'));
    return buttons;
  }

  async #act(action: string, label: string, more: object): Promise<void> {
    const by = this.#name.value.trim();
    if (by === '') {
      this.#tell('Say who you are first.', true);
      this.#name.focus();
      return;
    }
    rememberOperator(by);
    const comment = this.#comment.value.trim();
    if (action === 'comment' && comment === '') {
      this.#tell('Write the comment first.', true);
      this.#comment.focus();
      return;
    }
    this.#tell(`${label} …`, false);
    try {
      await api.act(this.#alarm.id, action, { by, comment, ...more });
      this.#comment.value = '';
      this.#tell(`${label}: taken`, false);
    } catch (error) {
      this.#tell(error instanceof ApiError ? `${error.message} ${error.remedy}` : String(error), true);
    }
  }

  #tell(text: string, wrong: boolean): void {
    setText(this.#told, text);
    this.#told.classList.toggle('wrong', wrong);
  }

  async #loadHistory(tries = 10): Promise<void> {
    const version = this.#version;
    try {
      const { history } = await api.alarm(this.#alarm.id);
      // The store may be a moment behind the event.
      if ((history.at(-1)?.version ?? 0) < version && tries > 0) {
        setTimeout(() => this.#version === version && this.root.isConnected && void this.#loadHistory(tries - 1), 500);
      }
      const nowMs = this.#handlers.nowMs();
      this.#timeline.replaceChildren(...history.reverse().map((transition) => transitionItem(transition, nowMs)));
    } catch (error) {
      this.#tell(error instanceof ApiError ? error.message : String(error), true);
    }
  }
}

/** Whether somebody is still to say that he knows. */
export function isUnacked(alarm: Alarm): boolean {
  return alarm.raises > 0 && alarm.ackedMs === null && (alarm.state === 'raised' || alarm.life === 'returned');
}

function factsOf(alarm: Alarm, nowMs: number): string {
  const facts = [`Rule ${alarm.rule}, ${alarm.life}`];
  if (alarm.shelvedUntilMs !== null)
    facts.push(`shelved by ${alarm.shelvedBy} until ${moment(alarm.shelvedUntilMs, nowMs)}`);
  if (alarm.suppressed !== '' && alarm.suppressed !== alarm.life) facts.push(alarm.suppressed);
  if (alarm.ackedMs !== null) facts.push(`acknowledged by ${alarm.ackedBy}, ${moment(alarm.ackedMs, nowMs)}`);
  if (alarm.chattering) facts.push('chattering');
  if (alarm.raises > 1) facts.push(`raised ${alarm.raises} times`);
  return facts.join(' · ');
}

function transitionItem(transition: AlarmTransition, nowMs: number): HTMLElement {
  const { by, comment, notify, value, evidence, position, ruleVersion } = transition;
  const place = `partition ${position.partition}, offset ${position.offset}, message ${position.index}`;
  const seen = evidence.map((e) => `${e.metric} ${measure(e.value)}`).join(', ');
  const numbers = seen === '' && transition.transition === 'raised' ? measure(value) : seen;
  return h(
    'li',
    { title: `Rule version ${ruleVersion}; ${place}` },
    h('time', { datetime: new Date(transition.atMs).toISOString() }, moment(transition.atMs, nowMs)),
    h('span', {}, h('b', {}, transition.transition), by === '' ? '' : ` by ${by}`, notify ? '' : ' (not notified)'),
    h(
      'span',
      { class: 'alarm-evidence' },
      [numbers, comment === '' ? '' : `“${comment}”`].filter((t) => t !== '').join(' · '),
    ),
  );
}
