import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SluiceError } from '../model/errors.ts';
import { encodeIdentity, FrameBuilder } from '../model/frame.ts';
import { PartitionPipeline } from './pipeline.ts';
import { StateReader } from './state-bytes.ts';
import { at, message, open, options, Run, rule, window } from './testing/run.ts';
import { frameOf, START_MS, troubledFrames } from './testing/scenario.ts';

describe('time', () => {
  it('closes the windows of a silent device by the clock of the partition, no earlier than its own time would', () => {
    const run = new Run(options({ idleMs: 5000 }));
    run.messages(message('a', 3, { ts: at(2), t: 1 }), message('b', 3, { ts: at(2), t: 1 }));
    const tick = (s: number) => run.messages({ device: '', receivedMs: at(s), payload: '' });
    tick(9);
    expect(run.rollups()).toEqual([]);
    for (let s = 10; s <= 16; s++) tick(s);
    expect(run.rollups().map((r) => [r.device, r.startMs, r.revision])).toEqual([
      ['a', at(0), 1],
      ['b', at(0), 1],
    ]);
    // It had buffered: what comes is in windows that were never there, and is not late.
    run.messages(message('a', 60, { ts: at(12), t: 2 }), message('a', 60, { ts: at(25), t: 3 }));
    expect(
      run
        .rollups()
        .slice(2)
        .map((r) => [r.startMs, r.count, r.revision]),
    ).toEqual([[at(10), 1, 1]]);
    expect(run.counts.readingsLate).toBe(0);
    // The window that is gone stays as it was.
    run.messages(message('a', 61, { ts: at(3), t: 9 }));
    expect(run.cut().counts.readingsLate).toBe(1);
    expect(run.rollups()).toHaveLength(3);
  });

  it('lets a device with a wild clock hurt nobody, itself included', () => {
    const run = new Run(options());
    run.messages(message('a', 1, { ts: at(1), t: 1 }));
    run.messages(message('a', 2, { ts: at(1_000_000), t: 99 }), message('b', 2, { ts: at(2), t: 1 }));
    run.messages(message('a', 3, { ts: at(3), t: 3 }));
    expect(run.rollups()).toEqual([]);
    expect(run.alarms()).toEqual([]);
    expect(run.counts.readingsAhead).toBe(1);
    expect(run.rows.readings).toHaveLength(4);
    run.messages(message('a', 11, { ts: at(11), t: 3 }));
    expect(run.rollups().map((r) => [r.device, r.count, r.max])).toEqual([['a', 2, 3]]);
  });

  it('corrects an emitted window once a frame, and counts what is too late', () => {
    const run = new Run(options({ windows: [window({ allowedLatenessMs: 10_000 })] }));
    run.messages(message('a', 1, { ts: at(1), t: 1 }), message('a', 11, { ts: at(11), t: 1 }));
    run.messages(message('a', 12, { ts: at(2), t: 5 }), message('a', 12, { ts: at(3), t: 7 }));
    run.messages(message('a', 20, { ts: at(20), t: 1 }), message('a', 20, { ts: at(4), t: 9 }));
    const ofFirst = run.rollups().filter((r) => r.startMs === at(0));
    expect(ofFirst.map((r) => [r.revision, r.count, r.max])).toEqual([
      [1, 1, 1],
      [2, 3, 7],
    ]);
    expect(run.counts.readingsLate).toBe(1);
  });
});

describe('changed configuration', () => {
  it('goes on with windows and rules that are the same, starts others afresh, and clears alarms that lost their rule', () => {
    const before = options({
      windows: [window(), window({ name: 'old', sizeMs: 5000 })],
      rules: [rule(), rule({ name: 'gone', above: 10, clear: 5 }), rule({ name: 'moved', above: 20, clear: 10 })],
    });
    const run = new Run(before).messages(message('a', 1, { ts: at(1), t: 40 }));
    const raised = run.alarms();
    expect(raised.map((a) => a.rule)).toEqual(['hot', 'gone', 'moved']);
    run.restart(
      options({
        windows: [window({ name: 'new', sizeMs: 5000 }), window()],
        rules: [rule({ name: 'moved', above: 35, clear: 10 }), rule({ severity: 'critical', message: 'other' })],
      }),
    );
    expect(run.pipeline.canSave).toBe(false);
    run.messages(message('a', 2, { ts: at(2), t: 39 }), message('a', 12, { ts: at(12), t: 20 }));
    const after = run.alarms().slice(3);
    expect(after.map((a) => [a.rule, a.state, a.id === raised.find((r) => r.rule === a.rule)?.id])).toEqual([
      ['gone', 'cleared', true],
      ['moved', 'cleared', true],
      ['moved', 'raised', false],
      ['hot', 'cleared', true],
    ]);
    expect(run.rollups().map((r) => [r.window, r.startMs, r.count])).toEqual([
      ['new', at(0), 1],
      ['10s', at(0), 2],
    ]);
  });

  it('refuses a damaged state with an error that says so, and nothing worse', () => {
    const run = new Run(options({ windows: [window({ allowedLatenessMs: 60_000 })] }));
    for (const frame of troubledFrames(9, 30, ['a', 'b'])) run.frame(frame);
    const state = run.pipeline.save();
    const attempt = (bytes: Uint8Array) => {
      try {
        open(options({ windows: [window({ allowedLatenessMs: 60_000 })] }), bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(SluiceError);
        expect((error as SluiceError).code).toBe('CHECKPOINT_UNREADABLE');
        return false;
      }
      return true;
    };
    expect(attempt(state)).toBe(true);
    for (let cut = 0; cut < state.length; cut += 7) expect(attempt(state.slice(0, cut)), `cut at ${cut}`).toBe(false);
    fc.assert(
      fc.property(fc.nat({ max: state.length - 1 }), fc.nat({ max: 255 }), (where, byte) => {
        const bytes = state.slice();
        bytes[where] = byte;
        attempt(bytes);
      }),
      { numRuns: 500 },
    );
  });
});

describe('whatever is on the log', () => {
  it('keeps the rest of a frame that cannot be read, and goes on', () => {
    const good = frameOf([message('a', 1, { ts: at(1), t: 1 })]);
    const run = new Run(options()).frame(Buffer.concat([good, Buffer.from('garbage')]));
    run.messages(message('a', 2, { ts: at(2), t: 2 })).cut();
    expect(run.rows.readings).toHaveLength(2);
    expect(run.rows.quarantine).toEqual([[expect.objectContaining({ payload: 'garbage', index: 1, offset: 0 })]]);
    expect((run.rows.quarantine[0][0] as { reason: string }).reason).toMatch(/^frame_malformed: /);
  });

  it('never throws', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            fc.uint8Array({ maxLength: 80 }),
            fc
              .tuple(
                fc.oneof(fc.nat(), fc.constantFrom(0, 2 ** 52, 7_258_118_400_000, START_MS)),
                fc.string({ unit: 'binary', maxLength: 6 }),
                fc.oneof(
                  fc.json().map((text) => Buffer.from(text)),
                  fc.uint8Array({ maxLength: 60 }),
                ),
              )
              .map(([receivedMs, device, payload]) => {
                const builder = new FrameBuilder(256);
                builder.append(receivedMs, encodeIdentity(device, 'x'), payload, 0, payload.length);
                return new Uint8Array(builder.finish());
              }),
          ),
          { maxLength: 6 },
        ),
        (frames) => {
          // The real blocks, which check their own bounds.
          const pipeline = new PartitionPipeline(3, options(), { state: null, lastAlarm: null });
          for (const [offset, frame] of frames.entries()) pipeline.process(offset, frame, null, true);
          const output = pipeline.take();
          expect(output.counts.messagesQuarantined).toBe(output.rows.quarantine);
          new PartitionPipeline(3, options(), { state: pipeline.save(), lastAlarm: null });
        },
      ),
      { numRuns: 500 },
    );
  });

  it('refuses a device that invents metrics, and not its neighbour', () => {
    const run = new Run(options());
    for (let i = 0; i < 1001; i++) {
      const values = Object.fromEntries(Array.from({ length: 10 }, (_, k) => [`m${i * 10 + k}`, 1]));
      run.messages(message('a', i, values), message('b', i, { t: 1 }));
    }
    run.cut();
    expect(run.rows.quarantine.map(([q]) => (q as { device: string; reason: string }).reason.split(':')[0])).toEqual([
      'too_many_metrics',
    ]);
    expect(run.rows.readings.filter(([device]) => device === 'b')).toHaveLength(1001);
  });

  it('takes an untimed reading every time, and two of one series in a message once', () => {
    const run = new Run(options());
    const untimed = message('a', 5, { t: 1 });
    run.messages(untimed, untimed).messages(untimed);
    run.messages({ ...untimed, payload: '[{"t":1},{"t":2},{"h":3}]' }).cut();
    expect(run.rows.readings).toHaveLength(5);
    expect(run.counts.readingsDuplicate).toBe(1);
  });
});

describe('a saved state', () => {
  it('has the documented bytes', () => {
    const run = new Run(options());
    run.messages(message('d', 1, { ts: at(1), t: 31.5 }), message('d', 2, { ts: at(2), t: 32 }));
    const state = run.pipeline.save();
    const common = [
      // magic, version
      'd598cd0205',
      // one device, one metric, one series
      '010164010174010000',
      // seen: a run of two times 1,000 ms apart; nothing older
      '02e887b3c19c33e80701',
      // clock, wheel; newest, active, due, second of the device
      'd08fb3c19c3382f09dc70601d18fb3c19c33d08fb3c19c3391ceb3c19c33818489a40a',
    ].join('');
    expect(Buffer.from(state).toString('hex').slice(0, common.length)).toBe(common);
    const from = new StateReader(state.subarray(common.length / 2));
    const parts = new Map<string, StateReader>();
    for (let left = from.count(); left > 0; left--) {
      const name = from.text();
      from.text();
      parts.set(name, from.part());
    }
    from.end();
    expect([...parts.keys()]).toEqual(expect.arrayContaining(['window 10s', 'alarms', 'ledger']));
    // Devices, the end of what is gone, then one open window: series, start, revision.
    const window = parts.get('window 10s') as StateReader;
    expect([window.count(), window.varint(), window.count()]).toEqual([1, 0, 1]);
    expect([window.varint(), window.varint(), window.varint()]).toEqual([0, at(0), 0]);
  });
});
