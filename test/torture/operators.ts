import { setTimeout as sleep } from 'node:timers/promises';
import { randomOf } from '../../processors/testing/scenario.ts';

/** An operation that was answered 202: it is durable, and has to take effect once. */
export interface Taken {
  /** Given by us for alarms and maintenance; of devices it is `device@version`. */
  id: string;
  /** Null: every partition. */
  device: string | null;
  /** What was put for a device. */
  put: { version: number; site: string; line: string; limit: number } | null;
  /** How often it was asked for: again after each time without an answer. */
  asked: number;
}

const PAUSE_MS = 120;
const ANSWER_MS = 5_000;

/**
 * People at work during the disturbances: they tell of devices, acknowledge, comment, shelve, take out of service, and plan
 * maintenance, over HTTP. Whoever has no answer asks again, with the same name of the operation.
 */
export class Operators {
  readonly taken: Taken[] = [];
  /** Of each device the newest entry that was answered, unless a later one was left without an answer. */
  readonly entries = new Map<string, Taken['put']>();
  refused = 0;
  readonly #httpUrl: string;
  readonly #prefix: string;
  readonly #devices: readonly string[];
  readonly #random: () => number;
  #stopped = false;
  #number = 0;
  readonly #work: Promise<void>;

  constructor(options: { httpUrl: string; prefix: string; devices: readonly string[]; seed: number }) {
    this.#httpUrl = options.httpUrl;
    this.#prefix = options.prefix;
    this.#devices = options.devices;
    this.#random = randomOf(options.seed * 31 + 7);
    this.#work = this.#run();
  }

  /** Resolves when the last of them has its answer. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#work;
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const kind = this.#random();
      if (kind < 0.35) await this.#put();
      else if (kind < 0.75) await this.#ofAlarm();
      else if (kind < 0.93) await this.#ofRule();
      else await this.#maintenance();
      await sleep(this.#random() * PAUSE_MS);
    }
  }

  #pick<Item>(items: readonly Item[]): Item {
    return items[Math.floor(this.#random() * items.length)];
  }

  async #put(): Promise<void> {
    const device = this.#pick(this.#devices);
    const site = `${this.#prefix}${this.#pick(['north', 'south'])}`;
    const line = this.#pick(['', `${this.#prefix}l1`, `${this.#prefix}l2`]);
    const limit = 24 + Math.floor(this.#random() * 12);
    const entry = { site, tags: { line, n: String(++this.#number) }, thresholds: { t_max: limit } };
    this.entries.delete(device);
    const answer = await this.#ask('PUT', `/api/devices/${device}`, entry);
    if (answer === null) return;
    const { version } = answer.body as { version: number };
    const put = { version, site, line, limit };
    // 200: it was there already, by a request of ours without an answer.
    if (answer.status === 202) {
      this.taken.push({ id: `${device}@${version}`, device, put, asked: answer.asked });
    }
    this.entries.set(device, put);
  }

  async #ofAlarm(): Promise<void> {
    const device = this.#pick(this.#devices);
    const listed = await this.#list(device);
    if (listed.length === 0) return;
    const { id } = this.#pick(listed);
    const action = this.#pick(['ack', 'ack', 'comment', 'comment', 'shelve', 'unshelve', 'reset']);
    await this.#operation('POST', `/api/alarms/${id}/${action}`, device, {
      ...(action === 'shelve' ? { forMs: 1_500 } : {}),
    });
  }

  async #ofRule(): Promise<void> {
    const device = this.#pick(this.#devices);
    const rule = this.#pick(['hot', 'low', 'steep', 'often', 'silent']);
    const action = this.#pick(['shelve', 'unshelve', 'out-of-service', 'in-service', 'in-service']);
    await this.#operation('POST', `/api/rules/${rule}/devices/${device}/${action}`, device, {
      ...(action === 'shelve' ? { forMs: 1_500 } : {}),
    });
  }

  async #maintenance(): Promise<void> {
    const body = { forMs: 1_000, sites: [`${this.#prefix}north`], rules: ['hot', 'low'] };
    await this.#operation('PUT', `/api/maintenance/${this.#prefix}work`, null, body);
  }

  async #operation(method: string, path: string, device: string | null, body: object): Promise<void> {
    const id = `${this.#prefix}op${++this.#number}`;
    const answer = await this.#ask(method, path, { ...body, by: 'ann', comment: `note ${id}`, operation: id });
    if (answer?.status === 202) this.taken.push({ id, device, put: null, asked: answer.asked });
  }

  async #list(device: string): Promise<{ id: string }[]> {
    try {
      const signal = AbortSignal.timeout(ANSWER_MS);
      const answer = await fetch(`${this.#httpUrl}/api/alarms?state=open&device=${device}`, { signal });
      return answer.ok ? ((await answer.json()) as { alarms: { id: string }[] }).alarms : [];
    } catch {
      return [];
    }
  }

  /** Null when it was refused, or never answered. */
  async #ask(
    method: string,
    path: string,
    body: object,
  ): Promise<{ status: number; body: unknown; asked: number } | null> {
    const headers = { 'content-type': 'application/json' };
    for (let asked = 1; asked <= 4; asked++) {
      try {
        const signal = AbortSignal.timeout(ANSWER_MS);
        const answer = await fetch(`${this.#httpUrl}${path}`, { method, headers, signal, body: JSON.stringify(body) });
        const said = await answer.text();
        if (answer.ok) return { status: answer.status, body: JSON.parse(said), asked };
        if (answer.status < 500) {
          this.refused++;
          return null;
        }
      } catch {
        // No answer: whether it was taken is not known.
      }
      if (this.#stopped) return null;
      await sleep(200);
    }
    return null;
  }
}
