import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AlarmEvent, AlarmRule } from '../../model/alarm.ts';
import { encodeFact, FACT_TOPIC, type Fact } from '../../model/fact.ts';
import { encodeIdentity, FrameBuilder, TICK_TOPIC } from '../../model/frame.ts';
import { encodeOperation, OPERATION_TOPIC } from '../../model/operation.ts';
import { partitionOf } from '../../model/partition.ts';
import { telemetryTopic } from '../../model/topics.ts';
import { PartitionPipeline, type PipelineOptions } from '../pipeline.ts';
import { linesOf, recordedBlocks } from '../testing/recorded-blocks.ts';
import { at, options } from '../testing/run.ts';
import { randomOf } from '../testing/scenario.ts';
import { ruleOf } from './testing/rules.ts';

const AFTER_S = 10;
const SITES = ['north', 'south', 'east'];
const SITE_RULE = ruleOf('silence', {
  name: 'site-lost',
  afterMs: AFTER_S * 1000,
  by: { kind: 'site' },
  outageMs: 1e9,
});
const DEVICE_RULE: AlarmRule = {
  ...ruleOf('silence', { name: 'silent', afterMs: AFTER_S * 1000, outageMs: 1e9 }),
  inhibitedBy: ['site-lost'],
};

type Carried = { topic: string; payload: Uint8Array } & { device?: string };

/** All partitions in one place, and a relay that brings facts to the others when the test says so, also twice. */
class Plant {
  readonly events: AlarmEvent[] = [];
  /** Frames as they were given, by partition, to replay them. */
  readonly frames: Uint8Array[][];
  /** Facts in the order in which they were told, by partition. */
  readonly told: string[][];
  readonly #options: PipelineOptions;
  readonly #pipelines: PartitionPipeline[];
  readonly #waiting: Fact[][];
  nowS = 0;

  constructor(partitions: number, rules: AlarmRule[]) {
    this.#options = options({ rules, windows: [], partitions });
    this.#pipelines = Array.from({ length: partitions }, (_, p) => this.open(p, null));
    this.frames = this.#pipelines.map(() => []);
    this.#waiting = this.#pipelines.map(() => []);
    this.told = this.#pipelines.map(() => []);
  }

  get partitions(): number {
    return this.frames.length;
  }

  open(partition: number, state: Uint8Array | null): PartitionPipeline {
    return new PartitionPipeline(partition, this.#options, { state, lastAlarm: null }, recordedBlocks());
  }

  frame(partition: number, ...carried: Carried[]): void {
    const builder = new FrameBuilder(1024);
    for (const { topic, payload, device = '' } of carried) {
      builder.append(at(this.nowS), encodeIdentity(device, topic), payload, 0, payload.length);
    }
    const bytes = new Uint8Array(builder.finish());
    const offset = this.frames[partition].push(bytes) - 1;
    this.#pipelines[partition].process(offset, bytes, null, true);
    const { blocks, facts } = this.#pipelines[partition].take();
    for (const [event] of linesOf(blocks.alarm_events)) this.events.push(event as AlarmEvent);
    for (const fact of facts) {
      this.told[partition].push(Buffer.from(encodeFact(fact)).toString());
      for (let p = 0; p < this.partitions; p++) if (p !== partition) this.#waiting[p].push(fact);
    }
  }

  speak(...devices: string[]): void {
    for (const device of devices) {
      const payload = Buffer.from('{"t":1}');
      this.frame(partitionOf(device, this.partitions), { topic: telemetryTopic(device), payload, device });
    }
  }

  register(device: string, site: string | null, version = 1): void {
    const fields = { id: device, name: '', site: site ?? '', model: '', tags: new Map(), thresholds: new Map() };
    const payload = encodeOperation({
      ...{ kind: 'device', id: `${device} ${version}`, atMs: at(this.nowS), by: '', device, version, expects: null },
      ...{ source: 'config', entry: site === null ? null : fields },
    });
    this.frame(partitionOf(device, this.partitions), { topic: OPERATION_TOPIC, payload });
  }

  tick(): void {
    for (let p = 0; p < this.partitions; p++) this.frame(p, { topic: TICK_TOPIC, payload: new Uint8Array(0) });
  }

  /** The door writes up to `most` of the facts that wait for a partition; `again` writes the last of them twice. */
  relay(partition: number, most = Number.POSITIVE_INFINITY, again = false): boolean {
    const facts = this.#waiting[partition].splice(0, most);
    if (facts.length === 0) return false;
    if (again) facts.push(facts[facts.length - 1]);
    this.frame(partition, ...facts.map((fact) => ({ topic: FACT_TOPIC, payload: encodeFact(fact) })));
    return true;
  }

  /** Until nobody has anything to tell. */
  settle(): void {
    for (let moved = true; moved; ) {
      moved = false;
      for (let p = 0; p < this.partitions; p++) if (this.relay(p)) moved = true;
    }
  }

  restart(partition: number): void {
    const state = this.#pipelines[partition].save();
    this.#pipelines[partition] = this.open(partition, state);
    expect(Buffer.from(this.#pipelines[partition].save()).equals(Buffer.from(state))).toBe(true);
  }

  state(partition: number): Uint8Array {
    return this.#pipelines[partition].save();
  }

  /** Open alarms of a rule, as `device`, with those that nobody is notified of marked. */
  openAlarms(rule: string): string[] {
    const last = new Map(this.events.map(({ alarm }) => [alarm.id, alarm]));
    return [...last.values()]
      .filter((alarm) => alarm.rule === rule && alarm.state === 'raised')
      .map(({ device, suppressed }) => (suppressed === '' ? device : `${device} ${suppressed}`))
      .sort();
  }
}

const devicesOf = (n: number) => Array.from({ length: n }, (_, d) => `d${d}`);

describe('what is known of a whole site', () => {
  it.each([1, 2, 8])('gives the alarms of a plain account over all devices, in %i partitions', (partitions) => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const random = randomOf(seed);
        const pick = (n: number) => Math.floor(random() * n);
        const plant = new Plant(partitions, [SITE_RULE, DEVICE_RULE]);
        const site = new Map<string, string>();
        const lastS = new Map<string, number>();
        for (const device of devicesOf(7)) {
          const where = SITES[pick(3)];
          site.set(device, where);
          lastS.set(device, 0);
          plant.register(device, where);
        }
        let mute = new Set<string>();
        for (plant.nowS = 1; plant.nowS < 90; plant.nowS++) {
          if (random() < 0.06) mute = new Set(SITES.filter(() => random() < 0.5));
          for (const [device, where] of site) {
            if (mute.has(where) || random() < 0.5) continue;
            plant.speak(device);
            lastS.set(device, plant.nowS);
          }
          plant.tick();
          for (let p = 0; p < partitions; p++) {
            if (random() < 0.5) plant.relay(p, 1 + pick(4), random() < 0.3);
            if (random() < 0.1) plant.restart(p);
          }
          // One open alarm of a site, whatever is still on its way.
          const open = plant.openAlarms('site-lost');
          expect(new Set(open).size).toBe(open.length);
        }
        const endS = plant.nowS + 2;
        for (; plant.nowS <= endS; plant.nowS++) plant.tick();
        plant.settle();
        const isSilent = (device: string) => endS - (lastS.get(device) as number) > AFTER_S;
        const silent = [...site.keys()].filter(isSilent);
        const lost = SITES.filter((where) => {
          const members = [...site.keys()].filter((device) => site.get(device) === where);
          return members.length >= 2 && members.every((device) => silent.includes(device));
        });
        // On the edge, whether the timer's second has come depends on the second at which it was set.
        fc.pre([...site.keys()].every((device) => Math.abs(endS - (lastS.get(device) as number) - AFTER_S) > 2));
        expect(plant.openAlarms('site-lost')).toEqual(lost.map((where) => `site=${where}`).sort());
        expect(plant.openAlarms('silent')).toEqual(
          silent.map((d) => (lost.includes(site.get(d) as string) ? `${d} inhibited by site-lost` : d)).sort(),
        );
        for (let p = 0; p < partitions; p++) {
          const again = plant.open(p, null);
          for (const [offset, bytes] of plant.frames[p].entries()) again.process(offset, bytes, null, true);
          expect(Buffer.from(again.save()).equals(Buffer.from(plant.state(p)))).toBe(true);
          // In their order as well: a fact has its number within the frame, and is told again under that.
          expect(again.take().facts.map((fact) => Buffer.from(encodeFact(fact)).toString())).toEqual(plant.told[p]);
        }
      }),
      { numRuns: 8 },
    );
  });

  it('raises for a registered device that never spoke, until it is taken out of the registry', () => {
    const plant = new Plant(2, [DEVICE_RULE]);
    plant.nowS = 3;
    plant.register('ghost', '');
    plant.register('ghost', 'north', 2);
    for (; plant.nowS < 12; plant.nowS++) plant.tick();
    expect(plant.openAlarms('silent')).toEqual([]);
    plant.restart(partitionOf('ghost', 2));
    for (; plant.nowS < 16; plant.nowS++) plant.tick();
    expect(plant.openAlarms('silent')).toEqual(['ghost']);
    plant.register('ghost', null, 3);
    plant.tick();
    expect(plant.openAlarms('silent')).toEqual([]);
  });

  it('counts a flood over all partitions: one group, and nothing that nobody was told of', () => {
    const flood: AlarmRule = { ...ruleOf('threshold'), group: { by: 'rule', times: 5, withinMs: 20_000 } };
    for (const partitions of [1, 4]) {
      const plant = new Plant(partitions, [flood]);
      const raise = (device: string) => {
        const payload = Buffer.from('{"t":99}');
        plant.frame(partitionOf(device, partitions), { topic: telemetryTopic(device), payload, device });
      };
      const notified = () => plant.events.filter(({ transition, notify }) => transition === 'raised' && notify).length;
      for (const device of devicesOf(40)) {
        raise(device);
        plant.settle();
      }
      expect(notified()).toBe(5);
      const groups = () =>
        new Map(plant.events.flatMap(({ alarm, transition }) => (transition === 'flood' ? [[alarm.id, alarm]] : [])));
      expect(groups().size).toBe(1);
      const [[id]] = groups();
      const members = plant.events.filter(({ transition, notify }) => transition === 'raised' && !notify);
      expect(new Set(members.map(({ alarm }) => alarm.groupId))).toEqual(new Set([id]));
      for (plant.nowS = 1; plant.nowS < 25; plant.nowS++) plant.tick();
      plant.settle();
      expect(plant.events.at(-1)).toMatchObject({ transition: 'cleared', alarm: { id, raises: 35 } });
    }
    // Without a word of the others each is silent by itself after `times`, and the group is made when they are heard.
    const deaf = new Plant(4, [flood]);
    for (const device of devicesOf(80)) {
      const payload = Buffer.from('{"t":99}');
      deaf.frame(partitionOf(device, 4), { topic: telemetryTopic(device), payload, device });
    }
    expect(deaf.events.filter(({ transition, notify }) => transition === 'raised' && notify)).toHaveLength(20);
    deaf.settle();
    for (deaf.nowS = 1; deaf.nowS < 25; deaf.nowS++) deaf.tick();
    expect(deaf.events.at(-1)).toMatchObject({ transition: 'cleared', alarm: { raises: 60 } });
  });
});
