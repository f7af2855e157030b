import fc from 'fast-check';
import { expect, it } from 'vitest';
import { AckLists, OpenFrame } from './open-frame.ts';
import { Qos2Handshakes, type SessionHandshakes } from './qos2-handshakes.ts';

const SESSIONS = ['a', 'b', 'c'];
const session = fc.constantFrom(...SESSIONS);
const id = fc.integer({ min: 1, max: 4 });
const command = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('begin' as const), session, id, byBroker: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('durable' as const, 'failed' as const), nth: fc.nat(20) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('release' as const), session, id }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('forget' as const), session }) },
);

it('handshakes are what a plain list of them says, also when frames end after their sessions', () => {
  fc.assert(
    fc.property(fc.array(command, { maxLength: 60 }), fc.integer({ min: 1, max: 6 }), (commands, max) => {
      interface Entry {
        session: string;
        id: number;
        byBroker: boolean;
        frame: OpenFrame;
        durable: boolean;
      }
      let entries: Entry[] = [];
      const forgotten: string[] = [];
      const handshakes = new Qos2Handshakes(max, (name) => forgotten.push(name));
      const frames: { frame: OpenFrame; of: SessionHandshakes; id: number }[] = [];
      const lookUp = (name: string, n: number) => entries.find((e) => e.session === name && e.id === n);
      for (const c of commands) {
        if (c.do === 'begin' && lookUp(c.session, c.id) === undefined) {
          const frame = new OpenFrame(new AckLists());
          const of = handshakes.of(c.session);
          of.begin(c.id, frame, c.byBroker);
          frames.push({ frame, of, id: c.id });
          entries.push({ ...c, frame, durable: false });
          if (entries.length > max) {
            const name = forgotten.shift()!;
            const size = (s: string) => entries.filter((e) => e.session === s).length;
            expect(size(name)).toBe(Math.max(...SESSIONS.map(size)));
            entries = entries.filter((e) => e.session !== name);
          }
        } else if ((c.do === 'durable' || c.do === 'failed') && frames.length > 0) {
          const [{ frame, of, id: n }] = frames.splice(c.nth % frames.length, 1);
          if (c.do === 'durable') of.durable(n, frame);
          else of.failed(frame);
          if (c.do === 'failed') entries = entries.filter((e) => e.frame !== frame);
          else for (const e of entries) if (e.frame === frame) e.durable = true;
        } else if (c.do === 'release') {
          const known = lookUp(c.session, c.id);
          const lanes = handshakes.find(c.session)?.release(c.id) ?? false;
          expect(lanes).toBe(known !== undefined && !known.byBroker);
          entries = entries.filter((e) => e !== known);
        } else if (c.do === 'forget') {
          handshakes.forget(c.session);
          entries = entries.filter((e) => e.session !== c.session);
        }
        expect(forgotten).toEqual([]);
        expect(handshakes.open).toBe(entries.length);
        for (const name of SESSIONS)
          for (let n = 1; n <= 4; n++) {
            const entry = lookUp(name, n);
            const frame = handshakes.find(name)?.frameOf(n);
            expect(frame).toBe(entry === undefined ? undefined : entry.durable ? null : entry.frame);
          }
      }
    }),
    { numRuns: 500 },
  );
});
