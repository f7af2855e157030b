import type { Log } from '../../log/log.ts';
import type { Logger } from '../../model/logger.ts';
import { judgedGroups } from '../../model/rule-facts.ts';
import { FACTS, PARTIALS, TELEMETRY } from '../../model/topics.ts';
import { type Merger, startMerger } from '../../processors/groups/merger.ts';
import { type Processor, startProcessor } from '../../processors/processor.ts';
import type { Random } from './random.ts';
import type { Process } from './scheduler.ts';
import { pipelineOf } from './settings.ts';
import { SimCheckpoints } from './sim-checkpoints.ts';
import { SimDevice } from './sim-device.ts';
import { SimDoor } from './sim-door.ts';
import { SimGroup, SoleConsumer } from './sim-groups.ts';
import { SimLog } from './sim-log.ts';
import { SimOperators } from './sim-operators.ts';
import { SimStore } from './sim-store.ts';
import { SimThread } from './sim-thread.ts';
import type { World } from './world.ts';

interface ProcessorRole {
  process: Process;
  processor: Processor | null;
  merger: Merger | null;
  threads: SimThread[];
  stopping: boolean;
}

/** The whole program in one process: devices, door, processors, and what they share. Whatever dies is started again. */
export class SimProgram {
  readonly log: SimLog;
  readonly store: SimStore;
  readonly checkpoints: SimCheckpoints;
  readonly devices: SimDevice[];
  readonly processors: (ProcessorRole | null)[];
  readonly doors: (SimDoor | null)[];
  /** Of those who merge groups; null where nobody does. */
  readonly merges: SimCheckpoints | null;
  readonly operators: SimOperators | null;
  /** Consumers, by topic. */
  readonly #groups = new Map<string, SimGroup | SoleConsumer>();
  readonly #world: World;
  #closing = false;
  #doorsClosed = false;

  constructor(world: World) {
    this.#world = world;
    this.log = new SimLog(world);
    this.store = new SimStore(world);
    this.checkpoints = new SimCheckpoints(world);
    const isMerging = world.plan.features?.windows.some(({ by }) => by.kind !== 'device') === true;
    this.merges = isMerging ? new SimCheckpoints(world) : null;
    this.doors = Array.from({ length: world.plan.doors }, () => null);
    this.devices = Array.from({ length: world.plan.devices }, (_, i) => new SimDevice(world, i, this.doors));
    this.processors = Array.from({ length: world.plan.processors }, () => null);
    this.operators = world.plan.features === null ? null : new SimOperators(world, this);
    for (let i = 0; i < this.doors.length; i++) this.#startDoor(i);
    for (let i = 0; i < this.processors.length; i++) this.#startProcessor(i);
  }

  #later(what: string, run: () => void): void {
    const { random, scheduler } = this.#world;
    scheduler.at(random.between(5, 1000), what, () => {
      if (!this.#closing) run();
    });
  }

  #groupOf(topic: string): SimGroup | SoleConsumer {
    const Consumers = this.#world.plan.log === 'kafka' ? SimGroup : SoleConsumer;
    const group = this.#groups.get(topic) ?? new Consumers(this.log, topic, this.#world);
    this.#groups.set(topic, group);
    return group;
  }

  #openLog(process: Process): Log {
    return this.log.open(process, (topic) => this.#groupOf(topic));
  }

  /** Of the processors; where there are other groups, of one of all of them. */
  rebalance(random: Random): void {
    const groups = [...this.#groups.values()].filter((group) => group instanceof SimGroup);
    (groups.length > 1 ? random.pick(groups) : groups[0])?.rebalance();
  }

  #startDoor(index: number): void {
    // Doors of a cluster are on hosts of their own, whose clocks differ.
    const process = this.#world.process('door', index * this.#world.plan.doorSkewMs);
    this.doors[index] = new SimDoor(this.#world, process, this.#openLog(process));
  }

  crashDoor(index: number): void {
    const door = this.doors[index];
    if (door === null) return;
    door.crash();
    this.doors[index] = null;
    this.#later('door starts', () => this.#startDoor(index));
  }

  restartDoor(index: number): void {
    const door = this.doors[index];
    if (door === null) return;
    const end = () => {
      if (this.doors[index] === door) this.crashDoor(index);
    };
    void door.stop().then(end);
    this.#world.scheduler.at(10_000, 'door is killed', end);
  }

  #startProcessor(index: number): void {
    const world = this.#world;
    const { plan } = world;
    const process = world.process('processor');
    const role: ProcessorRole = { process, processor: null, merger: null, threads: [], stopping: false };
    this.processors[index] = role;
    const starting = startProcessor({
      log: this.#openLog(process),
      checkpoints: this.checkpoints.open(process),
      store: this.store.open(process),
      group: 'processor',
      workers: plan.workers,
      workerFile: new URL('file:///nowhere'),
      openThread: (data) => {
        const thread = new SimThread(world, process, data);
        role.threads.push(thread);
        return thread;
      },
      ...pipelineOf(plan),
      checkpointMs: plan.checkpointMs,
      batchBytesMax: plan.batchBytesMax,
      clock: process.clock,
      logger: this.#logger(process),
      tuning: {
        batchesMax: plan.batchesMax,
        inFlightBytesMax: plan.roomBytesMax,
        insertRowsMax: plan.insertRowsMax,
        drainMs: plan.drainMs,
        // The thread's own time has no part in a simulated world.
        checkpointShareMax: Number.POSITIVE_INFINITY,
      },
    });
    void starting.then((processor) => {
      role.processor = processor;
      void processor.failed.then((error) => {
        world.scheduler.note(`${process.name} gives up: ${error.message}`);
        world.count('processor gave up');
        if (process.alive) void this.restartProcessor(index, role);
      });
    });
    if (this.merges !== null) this.#startMerger(index, role, this.merges);
  }

  #startMerger(index: number, role: ProcessorRole, checkpoints: SimCheckpoints): void {
    const world = this.#world;
    const { process } = role;
    const { windows, rules } = pipelineOf(world.plan);
    const starting = startMerger({
      log: this.#openLog(process),
      checkpoints: checkpoints.open(process),
      store: this.store.open(process),
      windows,
      judged: judgedGroups(rules, windows),
      group: 'processor-groups',
      checkpointMs: world.plan.checkpointMs,
      batchBytesMax: world.plan.batchBytesMax,
      clock: process.clock,
      logger: this.#logger(process),
    });
    void starting.then((merger) => {
      role.merger = merger;
      void merger.failed.then((error) => {
        world.scheduler.note(`who merges in ${process.name} gives up: ${error.message}`);
        world.count('merger gave up');
        if (process.alive && this.processors[index] === role) this.crashProcessor(index);
      });
    });
  }

  #logger(process: Process): Logger {
    const world = this.#world;
    const note = (message: string, values?: Record<string, unknown>) => {
      world.scheduler.note(`${process.name} says: ${message} ${JSON.stringify(values ?? {})}`);
      if (message.startsWith('stops before all is stored') && typeof values?.partition === 'number') {
        world.excuses.rows.set(values.partition, 'a stop that did not wait');
        world.excuses.events.set(values.partition, 'a stop that did not wait');
      }
    };
    return { debug() {}, info: note, warn: note, error: note };
  }

  crashProcessor(index: number): void {
    const role = this.processors[index];
    if (role === null) return;
    role.process.kill();
    this.processors[index] = null;
    this.#later('processor starts', () => this.#startProcessor(index));
  }

  /** Closes it as SIGTERM does, and kills it when that takes too long. */
  async restartProcessor(index: number, only?: ProcessorRole): Promise<void> {
    const role = this.processors[index];
    if (role === null || role.processor === null || role.stopping || (only && only !== role)) return;
    role.stopping = true;
    const end = () => {
      if (this.processors[index] === role) this.crashProcessor(index);
    };
    this.#world.scheduler.at(30_000, 'processor is killed', end);
    await role.processor.close();
    await role.merger?.close();
    end();
  }

  killWorker(): void {
    const roles = this.processors.filter((role) => role !== null);
    if (roles.length === 0) return;
    this.#world.random.pick(this.#world.random.pick(roles).threads).die();
  }

  crashStore(forgets: boolean): void {
    if (!this.store.up) return;
    this.store.crash(forgets);
    this.#later('store starts', () => {
      this.store.up = true;
    });
  }

  losePower(): void {
    for (let i = 0; i < this.doors.length; i++) this.crashDoor(i);
    for (let i = 0; i < this.processors.length; i++) this.crashProcessor(i);
    this.crashStore(true);
  }

  /** Everything that was sent has been worked off. */
  drained(): boolean {
    if (!this.devices.every((device) => device.done) || this.store.onTheWay > 0) return false;
    if (this.operators?.done === false) return false;
    if (this.doors.some((door) => door === null || door.pressure.bytes > 0)) return false;
    for (let p = 0; p < this.log.partitions; p++) {
      const frames = this.log.frames('telemetry', p);
      if (frames.length > 0 && this.#doneTo(p) <= frames[frames.length - 1].offset) return false;
      if (this.merges !== null && !this.#isWorkedOff(PARTIALS, p, this.merges.furthest.get(p) ?? 0)) return false;
      // What the last frames have to tell nobody takes any more when the doors are closed.
      if (this.#takesFacts && !this.#isWorkedOff(FACTS, p, 0)) return false;
    }
    return true;
  }

  get #takesFacts(): boolean {
    return this.#world.plan.features !== null && !this.#doorsClosed;
  }

  #isWorkedOff(topic: string, partition: number, doneTo: number): boolean {
    const last = this.log.frames(topic, partition).at(-1);
    return last === undefined || Math.max(this.log.commits(topic).get(partition) ?? 0, doneTo) > last.offset;
  }

  /** A commit of a member that was put out has no effect; its checkpoint says how far it has come all the same. */
  #doneTo(partition: number): number {
    return Math.max(this.log.commits(TELEMETRY).get(partition) ?? 0, this.checkpoints.furthest.get(partition) ?? 0);
  }

  /** Ends the doors: what they still had to say is on the log then. */
  async closeDoors(): Promise<void> {
    this.#doorsClosed = true;
    await Promise.all(this.doors.map((door) => door?.stop()));
  }

  async closeProcessors(): Promise<void> {
    this.#closing = true;
    await Promise.all(this.processors.flatMap((role) => [role?.processor?.close(), role?.merger?.close()]));
  }
}
