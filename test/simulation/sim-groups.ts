import type { ConsumeOptions, LogConsumer } from '../../log/log.ts';
import { TELEMETRY } from '../../model/topics.ts';
import type { Process } from './scheduler.ts';
import type { Group, SimLog } from './sim-log.ts';
import type { World } from './world.ts';

/** Gives a partition's frames, in order, one call at a time, until `goesOn` says no. */
async function follow(
  log: SimLog,
  topic: string,
  world: World,
  process: Process,
  partition: number,
  offsetFirst: number,
  options: ConsumeOptions,
  goesOn: () => boolean,
): Promise<void> {
  let offset = offsetFirst;
  const turn = (label: string, delayMs: number) =>
    new Promise<void>((resolve) => void process.after(delayMs, label, resolve));
  while (goesOn()) {
    await turn('fetch', world.delay(0.5));
    if (!goesOn()) return;
    if (log.away) {
      await turn('fetch waits', 100);
      continue;
    }
    const frames = log.read(topic, partition, offset, options.bytesMax);
    if (frames.length === 0) {
      await new Promise<void>((resolve) => log.onLanded(() => void process.after(world.delay(0.5), 'woken', resolve)));
      continue;
    }
    offset = frames[frames.length - 1].offset + 1;
    await options.onBatch(partition, frames);
  }
}

/** LMDB: one consumer, which has every partition. */
export class SoleConsumer implements Group {
  readonly #log: SimLog;
  readonly #topic: string;
  readonly #world: World;

  constructor(log: SimLog, topic: string, world: World) {
    this.#log = log;
    this.#topic = topic;
    this.#world = world;
  }

  consume(process: Process, options: ConsumeOptions): LogConsumer {
    const all = Array.from({ length: this.#log.partitions }, (_, p) => p);
    let open = true;
    for (const partition of all) {
      if (this.#topic === TELEMETRY) this.#world.ownership.take(partition, process);
      const run = async () => {
        const offset = (await options.onAssign(partition)) ?? this.#log.commits(this.#topic).get(partition) ?? 0;
        await follow(this.#log, this.#topic, this.#world, process, partition, offset, options, () => open);
      };
      run().catch((error: Error) => {
        if (open) options.onError(error);
        open = false;
      });
    }
    return {
      commit: async (partition, offsetNext) => {
        this.#log.commits(this.#topic).set(partition, offsetNext);
      },
      close: async () => {
        open = false;
        await Promise.allSettled(all.map((partition) => options.onRevoke(partition)));
      },
    };
  }
}

interface Member {
  process: Process;
  options: ConsumeOptions;
  /** Partitions of this generation, each with its assignment under way or done. */
  owned: Map<number, Promise<void>>;
  /** Those that are being given back: commits are still taken. */
  revoked: Set<number>;
  generation: number;
  revoking: Promise<void> | null;
  leaving: boolean;
}

/**
 * Kafka's consumer group, as log/kafka-group.ts lives in it: a rebalance takes everything away from everybody, waits until they
 * have finished (or, with zombies, not), and divides anew.
 */
export class SimGroup implements Group {
  readonly #log: SimLog;
  readonly #topic: string;
  readonly #world: World;
  #members: Member[] = [];
  #generation = 0;
  #rebalancing = false;
  #again = false;

  constructor(log: SimLog, topic: string, world: World) {
    this.#log = log;
    this.#topic = topic;
    this.#world = world;
  }

  consume(process: Process, options: ConsumeOptions): LogConsumer {
    const member: Member = {
      process,
      options,
      owned: new Map(),
      revoked: new Set(),
      generation: 0,
      revoking: null,
      leaving: false,
    };
    process.after(this.#world.delay(5), 'joins the group', () => {
      this.#members.push(member);
      this.rebalance();
    });
    // A member that dies without a word is noticed when its session ends.
    process.onKill(() => {
      this.#world.scheduler.at(this.#world.random.between(50, 3000), `session of ${process.name} ends`, () => {
        this.#leave(member);
      });
    });
    return {
      commit: async (partition, offsetNext) => {
        if (member.generation !== this.#generation) return;
        if (member.owned.has(partition) || member.revoked.has(partition))
          this.#log.commits(this.#topic).set(partition, offsetNext);
      },
      close: async () => {
        member.leaving = true;
        await this.#revoke(member);
        this.#leave(member);
      },
    };
  }

  #leave(member: Member): void {
    if (!this.#members.includes(member)) return;
    this.#members = this.#members.filter((m) => m !== member);
    this.rebalance();
  }

  rebalance(): void {
    if (this.#rebalancing) {
      this.#again = true;
      return;
    }
    this.#rebalancing = true;
    this.#world.count('rebalance');
    const zombies = this.#world.strikes(this.#world.plan.faults.zombies, 'rebalance that did not wait');
    let assigned = false;
    const assign = () => {
      if (assigned) return;
      assigned = true;
      this.#world.scheduler.at(this.#world.delay(5), 'group assigns', () => this.#assign());
    };
    const living = this.#members.filter((m) => m.process.alive);
    void Promise.all(living.map((member) => this.#revoke(member))).then(assign);
    // A member that dies meanwhile never answers; its session ends.
    this.#world.scheduler.at(zombies ? this.#world.random.between(0, 100) : 20_000, 'rebalance timeout', assign);
    for (const { process } of living) {
      process.onKill(() => this.#world.scheduler.at(3000, 'rebalance goes on without it', assign));
    }
  }

  #revoke(member: Member): Promise<void> {
    const revoked = [...member.owned];
    member.owned = new Map();
    member.revoked = new Set([...member.revoked, ...revoked.map(([partition]) => partition)]);
    const before = member.revoking;
    const work = Promise.allSettled(
      revoked.map(async ([partition, ready]) => {
        await ready;
        await member.options.onRevoke(partition);
      }),
    ).then(() => before ?? undefined);
    const revoking = work.then(() => {
      if (member.revoking === revoking) member.revoking = null;
    });
    member.revoking = revoking;
    return revoking;
  }

  #assign(): void {
    this.#rebalancing = false;
    this.#generation++;
    const ready = this.#members.filter((m) => m.process.alive && !m.leaving && m.revoking === null);
    const late = this.#members.filter((m) => m.process.alive && !m.leaving && m.revoking !== null);
    // Who is still finishing joins the next generation; what it has under way may come twice.
    for (const member of late) void member.revoking?.then(() => this.rebalance());
    for (let partition = 0; partition < this.#log.partitions && ready.length > 0; partition++) {
      const member = ready[(partition + this.#generation) % ready.length];
      if (this.#topic === TELEMETRY) this.#world.ownership.take(partition, member.process);
      member.generation = this.#generation;
      member.revoked.clear();
      const assignment = this.#begin(member, partition, this.#generation);
      member.owned.set(partition, assignment);
    }
    for (const member of ready) member.generation = this.#generation;
    if (this.#again) {
      this.#again = false;
      this.rebalance();
    }
  }

  async #begin(member: Member, partition: number, generation: number): Promise<void> {
    const { options, process } = member;
    const isMine = () => member.generation === generation && member.owned.has(partition);
    try {
      const offset = (await options.onAssign(partition)) ?? this.#log.commits(this.#topic).get(partition) ?? 0;
      follow(this.#log, this.#topic, this.#world, process, partition, offset, options, isMine).catch(options.onError);
    } catch (error) {
      options.onError(error as Error);
    }
  }
}
