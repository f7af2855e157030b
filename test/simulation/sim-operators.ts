import { encodeIdentity } from '../../model/frame.ts';
import { type AlarmAction, encodeOperation, OPERATION_TOPIC, type Operation } from '../../model/operation.ts';
import { partitionOf } from '../../model/partition.ts';
import { FEATURE_RULES } from './features.ts';
import type { SimProgram } from './program.ts';
import { Random } from './random.ts';
import type { World } from './world.ts';

const IDENTITY = encodeIdentity('', OPERATION_TOPIC);
const ACTIONS: readonly AlarmAction[] = [
  'acknowledge',
  'acknowledge',
  'comment',
  'comment',
  'shelve',
  'unshelve',
  'reset',
  'out-of-service',
  'in-service',
];

/**
 * Operations, as a door relays them from their topic: each is on the log at least once in every partition that it concerns, in the order
 * in which they were asked for, and again after an append of which it is not known whether it landed.
 */
export class SimOperators {
  readonly asked: Operation[] = [];
  readonly #world: World;
  readonly #program: SimProgram;
  readonly #random: Random;
  readonly #due: { partition: number; payload: Uint8Array }[] = [];
  #relaying = false;

  constructor(world: World, program: SimProgram) {
    this.#world = world;
    this.#program = program;
    this.#random = new Random(world.seed, 'operators');
    const meanMs = world.plan.chaosMs / this.#random.between(5, 40);
    const next = () => {
      world.scheduler.at(this.#random.delay(meanMs), 'somebody asks for something', () => {
        if (!world.chaos) return;
        this.#ask();
        next();
      });
    };
    next();
  }

  /** All that was asked for is on the log. */
  get done(): boolean {
    return this.#due.length === 0;
  }

  #ask(): void {
    const operation = this.#operation();
    this.asked.push(operation);
    this.#world.count('operations');
    const payload = encodeOperation(operation);
    const { partitions } = this.#world.plan;
    const device = operation.kind === 'maintenance' ? null : operation.device;
    const concerned =
      device === null ? Array.from({ length: partitions }, (_, p) => p) : [partitionOf(device, partitions)];
    for (const partition of concerned) this.#due.push({ partition, payload });
    this.#relay();
  }

  /** One after another, tried again by whichever door lives; at times one that was settled is relayed once more. */
  #relay(): void {
    const [first] = this.#due;
    if (this.#relaying || first === undefined) return;
    this.#relaying = true;
    const again = (delayMs: number) => {
      this.#world.scheduler.at(delayMs, 'operation relayed', () => {
        this.#relaying = false;
        this.#relay();
      });
    };
    const doors = this.#program.doors.filter((door) => door?.process.alive);
    const door = doors.length === 0 ? null : this.#random.pick(doors);
    if (door === null) {
      again(200);
      return;
    }
    let settled = false;
    const settle = (isWritten: boolean) => {
      if (settled) return;
      settled = true;
      if (isWritten && !this.#random.chance(0.1)) this.#due.shift();
      else if (isWritten) this.#world.count('operation relayed twice');
      again(isWritten ? 1 : 300);
    };
    door.batcher.note(first.partition, IDENTITY, first.payload).whenSettled((error) => settle(error === null));
    door.process.onKill(() => settle(false));
  }

  #operation(): Operation {
    const r = this.#random;
    const n = this.asked.length;
    const asked = { id: `op${n}`, atMs: Math.floor(this.#world.host.nowMs()), by: 'ann' };
    const device = r.pick(this.#program.devices).id;
    const kind = r.next();
    if (kind < 0.35) {
      const site = r.pick(['', 'north', 'south']);
      const thresholds = new Map([['t_max', r.int(22, 32)]]);
      const fields = { id: device, name: '', site, model: '', tags: new Map([['n', String(n)]]), thresholds };
      const entry = r.chance(0.15) ? null : fields;
      return { kind: 'device', ...asked, device, version: asked.atMs + n, expects: null, source: 'http', entry };
    }
    const rules = r.pick([[], FEATURE_RULES, ['f-hot', 'f-silent']]);
    if (kind < 0.42 && rules.length > 0) {
      const untilMs = asked.atMs + r.int(500, 5000);
      const rest = { window: r.pick(['w1', 'w2']), removed: r.chance(0.2), sites: [], devices: [], text: '' };
      return { kind: 'maintenance', ...asked, ...rest, rules, fromMs: asked.atMs, untilMs };
    }
    const action = r.pick(ACTIONS);
    const untilMs = action === 'shelve' ? asked.atMs + r.int(300, 6000) : null;
    const text = `note ${asked.id}`;
    return { kind: 'alarm', ...asked, action, device, rule: r.pick(FEATURE_RULES), alarm: null, text, untilMs };
  }
}
