import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ManualClock } from '../model/clock.ts';
import { ConnectionGate, type Visit } from './connection-gate.ts';
import { Lines } from './door.fixture.ts';
import { doorLimits, type LimitOverrides } from './limits.ts';
import { RefusalLog } from './refusal-log.ts';

/** A gate with sockets of the test's own, which leave when they are destroyed, as real ones do. */
class GateBench {
  readonly clock = new ManualClock(1_000_000);
  readonly lines = new Lines();
  readonly gate: ConnectionGate;
  readonly inside = new Set<Visit>();

  constructor(limits: LimitOverrides, connectionsMax?: number) {
    this.gate = new ConnectionGate(
      doorLimits(limits),
      this.clock,
      new RefusalLog(this.lines, this.clock),
      connectionsMax,
    );
  }

  enter(address: string, bytesRead = 0): Visit | null {
    const socket = {
      bytesRead,
      destroy: () => {
        if (visit !== null && this.inside.delete(visit)) this.gate.leave(visit);
      },
    };
    const visit: Visit | null = this.gate.enter(address, socket);
    if (visit !== null) this.inside.add(visit);
    return visit;
  }
}

describe('the gate', () => {
  it('caps the connections of one address, and leaves the others theirs', () => {
    const bench = new GateBench({ perAddress: { connectionsMax: 3 } });
    const mine = [1, 2, 3].map(() => bench.enter('192.0.2.1')!);
    for (const visit of mine) bench.gate.introduce(visit);
    expect(bench.enter('192.0.2.1')).toBeNull();
    expect(bench.enter('::ffff:192.0.2.1')).toBeNull();
    expect(bench.enter('192.0.2.2')).not.toBeNull();
    mine[0].socket.destroy();
    expect(bench.enter('192.0.2.1')).not.toBeNull();
    expect(bench.lines.has('3 connections from one address')).toBe(true);
  });

  it('counts an IPv6 network as one address', () => {
    const bench = new GateBench({ perAddress: { connectionsMax: 2 } });
    expect(bench.enter('2001:db8::1')).not.toBeNull();
    expect(bench.enter('2001:db8::2')).not.toBeNull();
    expect(bench.enter('2001:db8::3')).toBeNull();
    expect(bench.enter('2001:db8:0:1::1')).not.toBeNull();
  });

  it('takes no more connections than there are files for', () => {
    const bench = new GateBench({ connectionsMax: 100 }, 2);
    expect([1, 2, 3].map(() => bench.enter('192.0.2.1') === null)).toEqual([false, false, true]);
  });

  it('allows an address a rate of connects and a burst', () => {
    const bench = new GateBench({ perAddress: { connectsPerSecondMax: 10, connectBurst: 5 } });
    const entered = (n: number) =>
      Array.from({ length: n }, () => bench.enter('192.0.2.1')).filter((v) => v !== null).length;
    expect(entered(20)).toBe(5);
    expect(bench.enter('192.0.2.2')).not.toBeNull();
    bench.clock.advance(300);
    expect(entered(20)).toBe(3);
    bench.clock.advance(60_000);
    expect(entered(20)).toBe(5);
  });

  it('lets a flood of half-open connections crowd out itself, not the clients that introduce themselves', () => {
    const bench = new GateBench({ total: { unintroducedMax: 10 }, perAddress: { unintroducedMax: 5 } });
    const flood = Array.from({ length: 20 }, () => bench.enter('192.0.2.66'));
    expect(flood.filter((v) => v !== null)).toHaveLength(5);
    for (let i = 0; i < 100; i++) {
      const client = bench.enter(`198.51.100.${i}`)!;
      bench.gate.introduce(client);
    }
    bench.clock.advance(1001);
    // Who has been silent for a second makes room for a new one.
    expect(bench.enter('192.0.2.66')).not.toBeNull();
    expect(flood[0]!.introduced).toBe(true);
    expect(bench.inside.has(flood[0]!)).toBe(false);
    expect(bench.gate.unintroduced).toBe(5);
    expect(bench.gate.connections).toBe(105);
  });

  it('ends who does not introduce itself in time, or sends more than a CONNECT may have', () => {
    const bench = new GateBench({ connectTimeoutMs: 5000, connectPacketBytesMax: 1000 });
    const late = bench.enter('192.0.2.1')!;
    const loud = bench.enter('192.0.2.1', 100_000)!;
    const fine = bench.enter('192.0.2.1', 1500)!;
    bench.gate.sweep();
    expect([late, loud, fine].map((v) => bench.inside.has(v))).toEqual([true, false, true]);
    bench.gate.introduce(fine);
    bench.clock.advance(6001);
    bench.gate.sweep();
    expect([late, loud, fine].map((v) => bench.inside.has(v))).toEqual([false, false, true]);
  });

  it('makes an address wait longer for each wrong password beyond some, and forgives in time', () => {
    const bench = new GateBench({ perAddress: { authFailuresMax: 3, authBackoffMsMax: 5000 } });
    const { gate, clock } = bench;
    for (let i = 0; i < 3; i++) gate.authFailed('192.0.2.1');
    expect(gate.authBlockedMs('192.0.2.1')).toBe(0);
    const waits = [1, 2, 3, 4, 5].map(() => {
      gate.authFailed('192.0.2.1');
      return gate.authBlockedMs('192.0.2.1');
    });
    expect(waits).toEqual([1000, 2000, 4000, 5000, 5000]);
    expect(gate.authBlockedMs('192.0.2.2')).toBe(0);
    clock.advance(5000);
    expect(gate.authBlockedMs('192.0.2.1')).toBe(0);
    clock.advance(11 * 60_000);
    gate.authFailed('192.0.2.1');
    expect(gate.authBlockedMs('192.0.2.1')).toBe(0);
  });

  it('never counts wrongly, whatever comes and goes', () => {
    const address = fc.constantFrom('192.0.2.1', '192.0.2.2', '2001:db8::1', '2001:db8::2');
    const action = fc.oneof(
      address.map((a) => ({ kind: 'enter' as const, address: a })),
      fc.nat().map((n) => ({ kind: 'introduce' as const, n })),
      fc.nat().map((n) => ({ kind: 'leave' as const, n })),
      fc.integer({ min: 1, max: 3000 }).map((ms) => ({ kind: 'wait' as const, ms })),
    );
    fc.assert(
      fc.property(fc.array(action, { maxLength: 200 }), (actions) => {
        const limits = { connectionsMax: 8, connectTimeoutMs: 4000, total: { unintroducedMax: 4 } };
        const bench = new GateBench({ ...limits, perAddress: { connectionsMax: 5, unintroducedMax: 3 } });
        for (const one of actions) {
          const present = [...bench.inside];
          if (one.kind === 'enter') bench.enter(one.address);
          else if (one.kind === 'wait') {
            bench.clock.advance(one.ms);
            bench.gate.sweep();
          } else if (present.length > 0) {
            const visit = present[one.n % present.length];
            if (one.kind === 'introduce') bench.gate.introduce(visit);
            else visit.socket.destroy();
          }
          const now = [...bench.inside];
          expect(bench.gate.connections).toBe(now.length);
          expect(bench.gate.unintroduced).toBe(now.filter((v) => !v.introduced).length);
          expect(now.length).toBeLessThanOrEqual(8);
          expect(bench.gate.unintroduced).toBeLessThanOrEqual(4);
          for (const visit of now) {
            const same = now.filter((v) => v.source === visit.source);
            expect(visit.source.connections).toBe(same.length);
            expect(visit.source.unintroduced).toBe(same.filter((v) => !v.introduced).length);
          }
        }
      }),
    );
  });
});
