import type { HealthState, Overview, RateName } from './api.ts';
import { h, setText, svg } from './dom.ts';
import { bytesPerSecond, count, duration, NONE, rate } from './format.ts';

/** Seconds of the sparklines. */
export const SPARK_SECONDS = 120;

interface Stage {
  name: string;
  /** Whose health the stage shows. */
  role: 'door' | 'processor' | 'store' | null;
  unit: string;
  spark: RateName;
  value(o: Overview): string;
  /** Small print: what else tells how it does. Two short facts. */
  facts(o: Overview): [string, string];
}

/** In the order of a reading's way. */
const STAGES: readonly Stage[] = [
  {
    name: 'Devices',
    role: null,
    unit: 'connected',
    spark: 'bytes',
    value: (o) => count(o.connections),
    facts: (o) => [`${count(o.counts?.devices ?? null)} seen`, bytesPerSecond(o.rates.bytes)],
  },
  {
    name: 'Door',
    role: 'door',
    unit: 'messages/s received',
    spark: 'received',
    value: (o) => rate(o.rates.received),
    facts: (o) => [
      `${count(o.messagesInFlight)} in flight`,
      o.socketsPaused === 0 ? 'none paused' : `${count(o.socketsPaused)} paused`,
    ],
  },
  {
    name: 'Log',
    role: null,
    unit: 'messages/s durable',
    spark: 'acknowledged',
    value: (o) => rate(o.rates.acknowledged),
    facts: (o) => [`lag ${duration(o.lagMs)}`, o.lagFrames === null ? NONE : `${count(o.lagFrames)} frames`],
  },
  {
    name: 'Processors',
    role: 'processor',
    unit: 'messages/s processed',
    spark: 'processed',
    value: (o) => rate(o.rates.processed),
    facts: (o) => [`${rate(o.rates.decoded)} readings/s`, instances(o)],
  },
  {
    name: 'Store',
    role: 'store',
    unit: 'readings/s stored',
    spark: 'stored',
    value: (o) => rate(o.rates.stored),
    facts: (o) => [`${count(o.counts?.readings ?? null)} in all`, ''],
  },
];

/** Lag that deserves a colour. */
const LAG_NOTED_MS = 5_000;

function instances(o: Overview): string {
  const n = o.roles.filter((r) => r.role === 'processor' && r.instance !== '').length;
  return n > 1 ? `${n} processors` : '';
}

/** The way of a reading, from the devices to the store, with what passes each hop. */
export class Flow {
  readonly root: HTMLElement;
  readonly #cells: StageCell[];
  readonly #history: Partial<Record<RateName, (number | null)[]>> = {};
  #endMs = 0;

  constructor() {
    this.#cells = STAGES.map((stage) => new StageCell(stage));
    this.root = h(
      'section',
      { class: 'flow panel', 'aria-label': 'Flow of messages and readings' },
      h('ol', {}, ...this.#cells.map((c) => c.root)),
    );
  }

  show(o: Overview): void {
    if (o.history) this.#join(o.history);
    for (const cell of this.#cells) cell.show(o, this.#history[cell.stage.spark] ?? []);
  }

  /** The last seconds come with each `stats`; they take the place of what was known of them. */
  #join(history: NonNullable<Overview['history']>): void {
    const shift = Math.round((history.endMs - this.#endMs) / history.stepMs);
    for (const { spark } of STAGES) {
      const before = this.#history[spark] ?? [];
      const kept = before.slice(0, Math.max(0, before.length + shift - history[spark].length));
      const missing = Math.max(0, Math.min(SPARK_SECONDS, shift - history[spark].length));
      const values = [...kept, ...Array<null>(before.length === 0 ? 0 : missing).fill(null), ...history[spark]];
      this.#history[spark] = values.slice(-SPARK_SECONDS);
    }
    this.#endMs = history.endMs;
  }
}

class StageCell {
  readonly root: HTMLElement;
  readonly stage: Stage;
  readonly #value = h('span', { class: 'stage-value' }, NONE);
  readonly #facts = [h('span', {}, NONE), h('span', {}, '')];
  readonly #dot = h('span', { class: 'dot' });
  readonly #line = svg('path', { class: 'spark-line' });
  readonly #area = svg('path', { class: 'spark-area' });

  constructor(stage: Stage) {
    this.stage = stage;
    this.root = h(
      'li',
      { class: 'stage', 'data-stage': stage.name.toLowerCase() },
      h('div', { class: 'stage-name' }, h('h2', {}, stage.name), stage.role ? this.#dot : null),
      h('div', { class: 'stage-figure' }, this.#value, h('span', { class: 'stage-unit' }, stage.unit)),
      h('div', { class: 'stage-facts' }, ...this.#facts),
      wrap(this.#area, this.#line),
    );
  }

  show(o: Overview, history: (number | null)[]): void {
    setText(this.#value, this.stage.value(o));
    const facts = this.stage.facts(o);
    for (const [i, fact] of facts.entries()) setText(this.#facts[i], fact);
    this.#facts[0].classList.toggle('noted', this.stage.name === 'Log' && (o.lagMs ?? 0) > LAG_NOTED_MS);
    this.#facts[1].classList.toggle('noted', this.stage.name === 'Door' && o.socketsPaused > 0);
    if (this.stage.role) {
      const state = stateOf(o, this.stage.role);
      this.#dot.className = `dot ${state}`;
      this.#dot.title = state;
    }
    const { line, area } = sparkPath(history);
    this.#line.setAttribute('d', line);
    this.#area.setAttribute('d', area);
  }
}

function stateOf(o: Overview, role: string): HealthState {
  const states = o.roles.filter((r) => r.role === role).map((r) => r.state);
  return states.includes('down') ? 'down' : states.includes('degraded') ? 'degraded' : 'ok';
}

const WIDTH = SPARK_SECONDS - 1;
const HEIGHT = 30;

function wrap(...paths: SVGElement[]): SVGElement {
  return svg(
    'svg',
    { class: 'spark', viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', 'aria-hidden': 'true' },
    ...paths,
  );
}

/** The newest value stands at the right edge; the scale starts at 0; a second without a value breaks the line. */
export function sparkPath(values: readonly (number | null)[]): { line: string; area: string } {
  const top = Math.max(1, ...values.map((v) => v ?? 0)) * 1.08;
  let line = '';
  let area = '';
  let run: string[] = [];
  const finish = (endX: number) => {
    if (run.length > 1) {
      line += `M${run.join('L')}`;
      area += `M${run[0].split(' ')[0]} ${HEIGHT}L${run.join('L')}L${endX} ${HEIGHT}Z`;
    }
    run = [];
  };
  for (const [i, value] of values.entries()) {
    const x = WIDTH - (values.length - 1 - i);
    if (value === null) finish(x - 1);
    else run.push(`${x} ${(HEIGHT - (value / top) * HEIGHT).toFixed(2)}`);
  }
  finish(WIDTH);
  return { line, area };
}
