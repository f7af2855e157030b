import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeIdentity, FrameBuilder } from '../../model/frame.ts';
import { encodeClaim, LEDGER_COUNTS, LEDGER_TOPIC, type LedgerRow, MINUTE_MS } from '../../model/ledger.ts';
import { at, message, options, Run } from '../testing/run.ts';

/** What an audit reads: of rows with the same key the one that was counted furthest, added up by minute and device. */
function totals(rows: readonly LedgerRow[]): Map<string, Record<string, number>> {
  const newest = new Map<string, LedgerRow>();
  for (const row of rows) {
    const key = `${row.minuteMs} ${row.device} ${row.offsetFirst}`;
    if ((newest.get(key)?.countedTo ?? -1) <= row.countedTo) newest.set(key, row);
  }
  const sums = new Map<string, Record<string, number>>();
  for (const row of newest.values()) {
    const key = `${row.minuteMs} ${row.device}`;
    const sum = sums.get(key) ?? {};
    for (const name of LEDGER_COUNTS) if (row[name] > 0) sum[name] = (sum[name] ?? 0) + row[name];
    if (Object.keys(sum).length > 0) sums.set(key, sum);
  }
  return sums;
}

const rowsOf = (run: Run) => run.cut().rows.ledger.map(([row]) => row as LedgerRow);

function claimFrame(receivedMs: number, n: number, rows: [number, string, number, number][], door = 'a'): Uint8Array {
  const builder = new FrameBuilder();
  const payload = encodeClaim({ door, n, rows });
  builder.append(receivedMs, encodeIdentity('', LEDGER_TOPIC), payload, 0, payload.length);
  return builder.finish();
}

const minuteOf = (seconds: number) => Math.floor(at(seconds) / MINUTE_MS);

describe('the ledger of a partition', () => {
  it('counts each hop of a device and a minute', () => {
    const run = new Run(options());
    run.messages(
      message('d', 1, { ts: at(1), t: 1, u: 2 }),
      message('d', 2, { ts: at(1), t: 1, u: 3 }),
      { device: 'd', receivedMs: at(3), payload: 'no JSON' },
      message('e', 3, { ts: at(500), t: 1 }),
    );
    run.frame(claimFrame(at(12), 1, [[minuteOf(0), 'd', 4, 1]]));
    const sums = totals(rowsOf(run));
    expect(sums.get(`${minuteOf(0) * MINUTE_MS} d`)).toEqual({
      received: 4,
      failed: 1,
      logged: 3,
      quarantined: 1,
      readings: 4,
      stored: 2,
      duplicates: 2,
    });
    expect(sums.get(`${minuteOf(0) * MINUTE_MS} e`)).toEqual({ logged: 1, readings: 1, stored: 1, unchecked: 1 });
  });

  it('takes a claim once, however often it is on the log, and bytes that are none for a message', () => {
    const run = new Run(options());
    for (const n of [1, 2, 2, 1]) run.frame(claimFrame(at(1), n, [[minuteOf(0), 'd', 10, 0]]));
    run.restart();
    run.frame(claimFrame(at(1), 2, [[minuteOf(0), 'd', 10, 0]]));
    run.frame(claimFrame(at(12), 1, [[minuteOf(0), 'd', 1, 0]], 'b'));
    run.messages({ device: '', receivedMs: at(31), payload: 'x' });
    const sums = totals(rowsOf(run));
    expect(sums.get(`${minuteOf(0) * MINUTE_MS} d`)).toEqual({ received: 21 });
    expect(run.rows.quarantine).toEqual([]);
  });

  it('says how far it has counted, in the row without a device', () => {
    const run = new Run(options());
    run
      .messages(message('d', 1, { t: 1 }))
      .messages(message('d', 2, { t: 1 }))
      .messages(message('d', 21, { t: 1 }));
    const marks = rowsOf(run).filter((row) => row.device === '');
    expect(marks.map((row) => row.countedTo)).toEqual([1, 3]);
  });

  it('counts gaps in the numbers that a device gives, redeliveries left out', () => {
    const run = new Run(options());
    const seqs = [1, 2, 2, 5, 4, 0, 1];
    for (const [i, seq] of seqs.entries()) run.messages(message('d', i, { ts: at(i === 2 ? 1 : i), seq }));
    run.messages(message('x', 30, { t: 1 }));
    expect(totals(rowsOf(run)).get(`${minuteOf(0) * MINUTE_MS} d`)).toMatchObject({
      seq_seen: 6,
      seq_missing: 2,
      seq_found: 1,
      seq_restarts: 1,
      duplicates: 1,
    });
  });

  const step = fc.record({
    device: fc.constantFrom('a', 'b', 'c'),
    /** Clocks of doors differ, and go back. */
    atS: fc.integer({ min: 0, max: 400 }),
    tsS: fc.integer({ min: 0, max: 30 }),
    bad: fc.boolean(),
    cut: fc.constantFrom('no', 'no', 'batch', 'restart', 'replay'),
  });

  it('adds up to what was on the log, wherever it is cut, stopped and replayed', () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(step, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 40 }),
        (frames) => {
          const expected = new Map<string, Record<string, number>>();
          const rows: LedgerRow[] = [];
          let run = new Run(options());
          let saved: { run: Run; from: number } | null = null;
          const play = (target: Run, index: number) =>
            target.messages(
              ...frames[index].map((s) =>
                s.bad
                  ? { device: s.device, receivedMs: at(s.atS), payload: '!' }
                  : message(s.device, s.atS, { ts: at(s.tsS), t: 1 }),
              ),
            );
          for (const [i, frame] of frames.entries()) {
            play(run, i);
            for (const s of frame) {
              const key = `${minuteOf(s.atS) * MINUTE_MS} ${s.device}`;
              const sum = expected.get(key) ?? { logged: 0, quarantined: 0 };
              sum.logged++;
              if (s.bad) sum.quarantined++;
              expected.set(key, sum);
            }
            if (frame[0].cut === 'batch') run.cut();
            if (frame[0].cut === 'restart') run.restart();
            if (frame[0].cut === 'replay' && saved === null) saved = { run: run.fork(), from: i + 1 };
          }
          run.messages(message('z', 1000, { t: 1 }));
          rows.push(...rowsOf(run));
          if (saved !== null) {
            // The processor died, and everything since a checkpoint is given again.
            run = saved.run;
            for (let i = saved.from; i < frames.length; i++) play(run, i);
            rows.push(...rowsOf(run));
          }
          const sums = totals(rows);
          for (const [key, { logged, quarantined }] of expected) {
            const sum = sums.get(key) ?? {};
            expect([key, sum.logged ?? 0, sum.quarantined ?? 0]).toEqual([key, logged, quarantined]);
            expect((sum.readings ?? 0) - (sum.stored ?? 0) - (sum.duplicates ?? 0)).toBe(0);
          }
          const stored = [...sums.values()].reduce((n, sum) => n + (sum.stored ?? 0), 0);
          const [kept] = saved === null ? [run.rows.readings.length] : [stored];
          expect(stored).toBe(kept);
        },
      ),
      { numRuns: 100 },
    );
  });
});
