import { expect, it } from 'vitest';
import { PartialPacket, PartialPackets } from './partial-packets.ts';

it('what is held of packets that are not complete is bounded, at the cost of who began first', () => {
  const all = new PartialPackets(100_000);
  const closed: string[] = [];
  const begin = (name: string): PartialPacket => {
    const packet: PartialPacket = new PartialPacket(all, {
      close: () => {
        closed.push(name);
        packet.note(0, false, 0);
      },
    });
    return packet;
  };
  const slow = begin('slow');
  const quick = begin('quick');
  const last = begin('last');
  slow.note(30_000, true, 1);
  quick.note(60_000, true, 2);
  quick.note(0, true, 3); // complete
  expect(all.bytes).toBe(30_000);
  quick.note(40_000, true, 4);
  last.note(4000, true, 5); // small ones are not counted
  expect(all.bytes).toBe(70_000);
  last.note(50_000, false, 6);
  expect(closed).toEqual(['slow']);
  expect(all.bytes).toBe(90_000);
  last.note(100_001, false, 7);
  expect(closed).toEqual(['slow', 'quick', 'last']);
  expect(all.bytes).toBe(0);
});

it('the age of a packet counts from its first bytes', () => {
  const packet = new PartialPacket(new PartialPackets(1e6), { close: () => {} });
  expect(packet.ageMs(50)).toBe(0);
  packet.note(10, true, 100);
  packet.note(5000, false, 200);
  expect(packet.ageMs(300)).toBe(200);
  packet.note(10, true, 400); // the next one
  expect(packet.ageMs(450)).toBe(50);
  packet.note(0, true, 500);
  expect(packet.ageMs(600)).toBe(0);
});
