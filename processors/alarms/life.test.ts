import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Alarm, AlarmEvent } from '../../model/alarm.ts';
import { type AlarmLifeSettings, LATCHES } from '../../model/alarm-life.ts';
import type { Operation } from '../../model/operation.ts';
import { at, options, rule } from '../testing/run.ts';
import { high, low, operate, Plant, type Step, wait } from './testing/plant.ts';

/** ISA-18.2, without what is laid over it: what a stimulus makes of a state. A stimulus that is not named changes nothing. */
type Base = 'normal' | 'unacknowledged' | 'acknowledged' | 'returned' | 'latched' | 'latched, acknowledged';
type Stimulus = 'begins' | 'ceases' | 'acknowledge' | 'reset';
type Table = Record<Base, Partial<Record<Stimulus, Base>>>;

const tableOf = (latch: AlarmLifeSettings['latch'], ackRequired: boolean): Table => ({
  normal: { begins: 'unacknowledged' },
  unacknowledged: {
    ceases: latch !== 'off' ? 'latched' : ackRequired ? 'returned' : 'normal',
    acknowledge: 'acknowledged',
  },
  acknowledged: { ceases: latch === 'reset' ? 'latched, acknowledged' : 'normal' },
  returned: { begins: 'unacknowledged', acknowledge: 'normal' },
  latched: {
    begins: 'unacknowledged',
    acknowledge: latch === 'acknowledge' ? 'normal' : 'latched, acknowledged',
    reset: 'normal',
  },
  'latched, acknowledged': { begins: 'unacknowledged', reset: 'normal' },
});

class Oracle {
  readonly #table: Table;
  #base: Base = 'normal';
  #holds = false;
  #shelvedUntilS: number | null = null;
  #outOfService = false;

  constructor(table: Table) {
    this.#table = table;
  }

  reading(value: number): void {
    const holds = value > 30 || (this.#holds && value > 25);
    if (holds !== this.#holds) this.#stimulus(holds ? 'begins' : 'ceases');
    this.#holds = holds;
  }

  operate(action: string, untilS: number, nowS: number): void {
    if (action === 'acknowledge' || action === 'reset') this.#stimulus(action);
    if (action === 'shelve' && untilS > nowS) this.#shelvedUntilS = untilS;
    if (action === 'unshelve') this.#shelvedUntilS = null;
    if (action === 'out-of-service') this.#outOfService = true;
    if (action === 'in-service') this.#outOfService = false;
  }

  clock(nowS: number): void {
    if (this.#shelvedUntilS !== null && nowS >= this.#shelvedUntilS) this.#shelvedUntilS = null;
  }

  #stimulus(stimulus: Stimulus): void {
    this.#base = this.#table[this.#base][stimulus] ?? this.#base;
  }

  get life(): string {
    if (this.#outOfService) return 'out-of-service';
    if (this.#shelvedUntilS !== null) return 'shelved';
    return this.#base === 'latched, acknowledged' ? 'latched' : this.#base;
  }
}

const anyDevice = fc.constantFrom('d1', 'd2', 'd3');
const anyAction = fc.constantFrom(
  'acknowledge',
  'acknowledge',
  'comment',
  'shelve',
  'unshelve',
  'reset',
  'out-of-service',
  'in-service',
);
const anySteps = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        do: fc.constant('reading' as const),
        device: anyDevice,
        value: fc.constantFrom(10, 20, 27, 35, 50),
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('wait' as const), seconds: fc.integer({ min: 1, max: 40 }) }) },
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constant('act' as const),
        device: anyDevice,
        action: anyAction,
        forS: fc.integer({ min: 0, max: 30 }),
        again: fc.boolean(),
      }),
    },
  ),
  { minLength: 1, maxLength: 60 },
);
type AnyStep = (typeof anySteps extends fc.Arbitrary<infer S> ? S : never)[number];

function stepOf(step: AnyStep, nowS: number): Step {
  if (step.do !== 'act') return step;
  const { device, action, forS, again } = step;
  const untilMs = action === 'shelve' ? at(nowS + 1 + forS) : null;
  const text = action === 'comment' ? 'seen' : '';
  const operation = { kind: 'alarm' as const, action, device, untilMs, text } as Partial<Operation> & { kind: 'alarm' };
  return { do: 'operate', again, operation };
}

describe('the life of an alarm', () => {
  it('is the table of ISA-18.2, with shelving and taking out of service laid over it', () => {
    fc.assert(
      fc.property(fc.constantFrom(...LATCHES), fc.boolean(), anySteps, (latch, ackRequired, steps) => {
        const plant = new Plant([rule({ latch, ackRequired })]);
        const oracles = new Map(['d1', 'd2', 'd3'].map((d) => [d, new Oracle(tableOf(latch, ackRequired))]));
        const lives = new Map<string, string>();
        let seen = 0;
        for (const step of steps) {
          plant.step(stepOf(step, plant.seconds));
          if (step.do === 'reading') oracles.get(step.device)?.reading(step.value);
          if (step.do === 'act')
            oracles.get(step.device)?.operate(step.action, plant.seconds + step.forS, plant.seconds);
          for (const oracle of oracles.values()) oracle.clock(plant.seconds);
          const events = plant.events();
          for (const { alarm } of events.slice(seen)) lives.set(alarm.device, alarm.life);
          seen = events.length;
          for (const [device, oracle] of oracles) expect(lives.get(device) ?? 'normal', device).toBe(oracle.life);
        }
        expectWhole(plant.events());
      }),
      { numRuns: 150 },
    );
  });

  it('gives the same bytes however batches are cut, and wherever it is saved and restored', () => {
    const chattering = { times: 3, withinMs: 20_000 };
    const anySettings = fc.record({
      latch: fc.constantFrom(...LATCHES),
      ackRequired: fc.boolean(),
      clearForMs: fc.constantFrom(0, 3_000),
      minIntervalMs: fc.constantFrom(0, 7_000),
      chattering: fc.constantFrom(null, chattering),
      group: fc.constantFrom(null, { by: 'rule' as const, times: 1, withinMs: 10_000 }),
      escalate: fc.constantFrom(null, { afterMs: 9_000, severity: 'critical' as const }),
    });
    fc.assert(
      fc.property(anySettings, anySteps, fc.array(fc.nat(2), { maxLength: 60 }), (settings, steps, cuts) => {
        const plants = [0, 1].map(() => {
          const rules = [
            rule({ ...settings, inhibitedBy: ['outage'] }),
            rule({ name: 'outage', above: 45, clear: 40 }),
          ];
          const works = { name: 'works', devices: ['d2'], sites: [], rules: [], fromMs: at(20), untilMs: at(50) };
          return new Plant(rules, { maintenance: [works] });
        });
        for (const [i, step] of steps.entries()) {
          for (const plant of plants) plant.step(stepOf(step, plant.seconds));
          if (cuts[i] === 1) plants[1].run.cut();
          if (cuts[i] === 2) plants[1].run.restart();
        }
        const [one, other] = plants.map((plant) => plant.run.cut());
        expect(other.rows.alarm_events).toEqual(one.rows.alarm_events);
        expect(other.rows.alarms).toEqual(one.rows.alarms);
        expectWhole(plants[0].events());
      }),
      { numRuns: 150 },
    );
  });

  it('goes on unheard while it is shelved, and is announced when that ends', () => {
    const plant = new Plant([rule()]);
    plant.steps(operate('shelve', { untilMs: at(30), text: 'fan is being changed' }), high(), wait(30));
    expect(plant.story()).toEqual(['shelved shelved', 'raised shelved (muted)', 'unshelved unacknowledged']);
    const [shelved, raised] = plant.events();
    expect(shelved.alarm).toMatchObject({ state: 'normal', shelvedBy: 'ann', shelvedUntilMs: at(30) });
    expect(shelved.alarm.comments).toEqual([{ atMs: at(1), by: 'ann', text: 'fan is being changed' }]);
    expect(raised.alarm).toMatchObject({ id: shelved.alarm.id, state: 'raised', raises: 1, raisedMs: at(2) });
  });

  it('keeps raises apart, and forgets one whose condition has ceased meanwhile', () => {
    const plant = new Plant([rule({ minIntervalMs: 10_000 })]);
    plant.steps(high(), low(), high(), low(), wait(20), high(), low(), high(), wait(15));
    expect(plant.events().map(({ transition, atMs }) => [transition, atMs])).toEqual([
      ['raised', at(1)],
      ['cleared', at(2)],
      ['raised', at(25)],
      ['cleared', at(26)],
      // Of the reading at 27, when the distance was kept.
      ['raised', at(27)],
    ]);
  });

  it('makes one alarm of many raises in a short time, until it is quiet', () => {
    const plant = new Plant([rule({ chattering: { times: 3, withinMs: 10_000 } })]);
    plant.steps(high(), low(), high(), low(), high(), low(), high(), low(), wait(20));
    expect(plant.story()).toEqual([
      'raised unacknowledged',
      'cleared normal',
      'raised unacknowledged',
      'cleared normal',
      'chattering unacknowledged',
      'cleared normal',
    ]);
    expect(plant.events()[5].alarm).toMatchObject({ raises: 2, chattering: false, clearedMs: at(8) });
  });

  it('gets graver when nobody acknowledges it', () => {
    const escalate = { afterMs: 10_000, severity: 'critical' as const };
    const plant = new Plant([rule({ escalate })]).steps(high('d1'), high('d2'), operate('acknowledge'), wait(20));
    expect(plant.events().map(({ alarm, transition }) => [alarm.device, transition, alarm.severity])).toEqual([
      ['d1', 'raised', 'major'],
      ['d2', 'raised', 'major'],
      ['d1', 'acknowledged', 'major'],
      ['d2', 'escalated', 'critical'],
    ]);
  });

  it('is told of once for many, when many come', () => {
    const devices = Array.from({ length: 12 }, (_, n) => `g${n}`);
    const plant = new Plant([rule({ group: { by: 'rule', times: 3, withinMs: 60_000 } })]);
    plant.steps(...devices.map((device) => high(device)), wait(100));
    const heard = plant.events().filter((event) => event.notify);
    expect(heard.map(({ transition, alarm }) => [transition, alarm.device, alarm.value])).toEqual([
      ['raised', 'g0', 40],
      ['raised', 'g1', 40],
      ['raised', 'g2', 40],
      ['flood', '*', 1],
      ['flood', '*', 2],
      ['flood', '*', 4],
      ['flood', '*', 8],
      ['cleared', '*', 9],
    ]);
    const members = plant.events().filter((event) => !event.notify);
    expect(members).toHaveLength(9);
    expect(new Set(members.map(({ alarm }) => alarm.groupId))).toEqual(new Set([heard[3].alarm.id]));
    expect(plant.run.counts).toMatchObject({ alarmsRaised: 12, alarmsFloods: 1, alarmsMuted: 9 });
  });

  it('is suppressed by the alarm of another rule on its device, and announced when that has cleared', () => {
    const plant = new Plant([
      rule({ inhibitedBy: ['outage'] }),
      rule({ name: 'outage', metric: 'o', above: 0, clear: 0 }),
    ]);
    const outage = (value: number): Step => ({ do: 'reading', device: 'd1', metric: 'o', value });
    plant.steps(outage(1), high(), high('d2'), outage(0), outage(1), outage(0));
    expect(
      plant.events().map(({ alarm, transition, notify }) => [alarm.rule, alarm.device, transition, notify]),
    ).toEqual([
      ['outage', 'd1', 'raised', true],
      ['hot', 'd1', 'raised', false],
      ['hot', 'd2', 'raised', true],
      ['outage', 'd1', 'cleared', true],
      ['hot', 'd1', 'unsuppressed', true],
      ['outage', 'd1', 'raised', true],
      ['hot', 'd1', 'suppressed', true],
      ['outage', 'd1', 'cleared', true],
      ['hot', 'd1', 'unsuppressed', true],
    ]);
  });

  it('is suppressed in times of maintenance, those of the settings and those that people begin', () => {
    const works = { name: 'works', devices: ['d1'], sites: [], rules: [], fromMs: at(5), untilMs: at(20) };
    const plant = new Plant([rule()], { maintenance: [works] });
    plant.steps(wait(6), high(), wait(20));
    expect(plant.story()).toEqual(['raised suppressed (muted)', 'unsuppressed unacknowledged']);
    expect(plant.events()[0].alarm.suppressed).toBe('maintenance works');
    const begin = { kind: 'maintenance' as const, window: 'more', fromMs: 0, untilMs: at(1000), devices: ['d*'] };
    plant.steps({ do: 'operate', operation: begin }, high('d2'), {
      do: 'operate',
      operation: { ...begin, removed: true },
    });
    expect(plant.story().slice(2)).toEqual([
      'suppressed suppressed',
      'raised suppressed (muted)',
      'unsuppressed unacknowledged',
      'unsuppressed unacknowledged',
    ]);
  });

  it('ends when its rule is changed, however it stands', () => {
    const plant = new Plant([rule({ latch: 'reset' })]);
    plant.steps(high(), low(), operate('shelve', { device: 'd2', untilMs: at(999) }), high('d3'));
    plant.run.restart(options({ windows: [], rules: [rule({ above: 31 })] }));
    plant.steps(wait(1));
    expect(
      plant
        .events()
        .slice(4)
        .map(({ alarm, transition, notify }) => [alarm.device, transition, alarm.life, notify]),
    ).toEqual([
      ['d1', 'cleared', 'normal', true],
      ['d2', 'cleared', 'normal', false],
      ['d3', 'cleared', 'normal', true],
    ]);
  });
});

/** What holds of every run. */
function expectWhole(events: readonly AlarmEvent[]): void {
  const newest = new Map<string, Alarm>();
  const live = new Map<string, string>();
  for (const { alarm, transition, notify, position } of events) {
    expect(alarm.version).toBe((newest.get(alarm.id)?.version ?? 0) + 1);
    newest.set(alarm.id, alarm);
    const key = JSON.stringify([alarm.rule, alarm.device]);
    // One alarm of a rule and device at a time: another only when the one before is over.
    expect(live.get(key) ?? alarm.id).toBe(alarm.id);
    if (alarm.life === 'normal') live.delete(key);
    else live.set(key, alarm.id);
    if (transition === 'raised' && (alarm.suppressed !== '' || alarm.groupId !== '')) expect(notify).toBe(false);
    if (alarm.suppressed === '' && alarm.groupId === '') expect(notify).toBe(true);
    expect(position.partition).toBe(0);
  }
}
