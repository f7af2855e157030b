import { describe, expect, it } from 'vitest';
import { ManualClock } from '../model/clock.ts';
import { silentLogger } from '../model/logger.ts';
import { type Child, type ChildSpec, FATAL_EXIT_CODE, Supervisor } from './supervisor.ts';

class FakeChild implements Child {
  readonly pid: number;
  signals: string[] = [];
  #ready: (() => void)[] = [];
  #exit: ((reason: string, code: number | null) => void)[] = [];
  constructor(pid: number) {
    this.pid = pid;
  }
  onReady(listener: () => void): void {
    this.#ready.push(listener);
  }
  onExit(listener: (reason: string, code: number | null) => void): void {
    this.#exit.push(listener);
  }
  announceStop(): void {
    this.signals.push('announced');
  }
  stop(): void {
    this.signals.push('stop');
  }
  kill(): void {
    this.signals.push('kill');
  }
  ready(): void {
    for (const l of this.#ready) l();
  }
  exit(code: number | null): void {
    for (const l of this.#exit) l(`exit code ${code}`, code);
  }
}

function fleet(names: string[]) {
  const started: { name: string; child: FakeChild }[] = [];
  const children: ChildSpec[] = names.map((name) => ({
    name,
    awaitReady: true,
    spawn() {
      const child = new FakeChild(started.length + 1);
      started.push({ name, child });
      return child;
    },
  }));
  return { started, children };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('supervisor', () => {
  it('starts each child after those before it are ready', async () => {
    const { started, children } = fleet(['store', 'door', 'processor']);
    const supervisor = new Supervisor({ children, stopOrder: [], clock: new ManualClock(), logger: silentLogger });
    const up = supervisor.start();
    await turn();
    expect(started.map((s) => s.name)).toEqual(['store']);
    started[0].child.ready();
    await turn();
    expect(started.map((s) => s.name)).toEqual(['store', 'door']);
    started[1].child.ready();
    await turn();
    started[2].child.ready();
    await up;
    expect([...supervisor.pids()]).toEqual([
      ['store', 1],
      ['door', 2],
      ['processor', 3],
    ]);
  });

  it('starts a dead child again with a back-off that doubles up to its bound and starts over after health', async () => {
    const clock = new ManualClock();
    const { started, children } = fleet(['door']);
    const supervisor = new Supervisor({
      children,
      stopOrder: [],
      clock,
      logger: silentLogger,
      backoffMinMs: 100,
      backoffMaxMs: 400,
      healthyAfterMs: 1000,
    });
    void supervisor.start();
    for (const waitMs of [100, 200, 400, 400]) {
      const before = started.length;
      started[before - 1].child.exit(1);
      clock.advance(waitMs - 1);
      expect(started.length).toBe(before);
      clock.advance(1);
      expect(started.length).toBe(before + 1);
    }
    clock.advance(1000);
    started.at(-1)!.child.exit(null);
    const before = started.length;
    clock.advance(100);
    expect(started.length).toBe(before + 1);
  });

  it('waits for a child that needed several tries to become ready', async () => {
    const clock = new ManualClock();
    const { started, children } = fleet(['store', 'door']);
    const supervisor = new Supervisor({ children, stopOrder: [], clock, logger: silentLogger });
    const up = supervisor.start();
    started[0].child.exit(1);
    clock.advance(60_000);
    started[1].child.ready();
    await turn();
    expect(started.map((s) => s.name)).toEqual(['store', 'store', 'door']);
    started[2].child.ready();
    await up;
  });

  it('stops in the given order, one after another, and kills what does not drain', async () => {
    const clock = new ManualClock();
    const { started, children } = fleet(['store', 'door']);
    const supervisor = new Supervisor({
      children,
      stopOrder: ['door', 'store'],
      clock,
      logger: silentLogger,
      drainMaxMs: 500,
    });
    const up = supervisor.start();
    started[0].child.ready();
    await turn();
    started[1].child.ready();
    await up;
    const stopped = supervisor.stop();
    await turn();
    const [store, door] = started.map((s) => s.child);
    expect(door.signals).toEqual(['announced', 'stop']);
    expect(store.signals).toEqual(['announced']);
    clock.advance(500);
    expect(door.signals).toEqual(['announced', 'stop', 'kill']);
    door.exit(null);
    await turn();
    expect(store.signals).toEqual(['announced', 'stop']);
    store.exit(0);
    expect(await stopped).toBe(false);
    clock.advance(100_000);
    expect(started.length).toBe(2);
  });

  it('does not wait for a drain any longer when it is told to kill', async () => {
    const { started, children } = fleet(['door']);
    const supervisor = new Supervisor({ children, stopOrder: [], clock: new ManualClock(), logger: silentLogger });
    const up = supervisor.start();
    started[0].child.ready();
    await up;
    const stopped = supervisor.stop();
    supervisor.kill();
    expect(started[0].child.signals).toEqual(['announced', 'stop', 'kill']);
    started[0].child.exit(null);
    expect(await stopped).toBe(false);
  });

  it('gives up on a child that says a restart cannot help', async () => {
    const clock = new ManualClock();
    const { started, children } = fleet(['door']);
    const supervisor = new Supervisor({ children, stopOrder: [], clock, logger: silentLogger });
    void supervisor.start();
    started[0].child.exit(FATAL_EXIT_CODE);
    expect(await supervisor.failed).toBe('door');
    clock.advance(100_000);
    expect(started.length).toBe(1);
  });
});
