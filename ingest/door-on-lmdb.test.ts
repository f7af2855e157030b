import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type LmdbLog, openLmdbLog } from '../log/lmdb.ts';
import { encodeMessage, FrameReader, TICK_TOPIC } from '../model/frame.ts';
import { ALARMS, TELEMETRY } from '../model/topics.ts';
import { eventually, TestDoor, telemetry } from './door.fixture.ts';

/** The door on the log that a laptop really has. */

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'door-lmdb-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function open(mapBytesMax = 1 << 28): Promise<LmdbLog> {
  return openLmdbLog({ dir, partitions: 4, writes: [TELEMETRY, ALARMS], mapBytesMax });
}

/** Payloads on the log, each partition in its order, ticks apart. */
async function payloads(log: LmdbLog): Promise<string[]> {
  const out: string[] = [];
  const reader = new FrameReader();
  for (let partition = 0; partition < log.partitions; partition++) {
    let { first: offset, next } = await log.bounds(TELEMETRY, partition);
    while (offset < next) {
      for (const frame of await log.read(TELEMETRY, partition, offset, 1 << 22)) {
        reader.reset(frame.bytes);
        while (reader.next()) if (reader.topic() !== TICK_TOPIC) out.push(Buffer.from(reader.payload()).toString());
        offset = frame.offset + 1;
      }
    }
  }
  return out;
}

describe('the door on LMDB', () => {
  it('what was acknowledged to 50 clients is on the log, once and in order, also after it was opened again', async () => {
    const door = await new TestDoor(await open()).open({ batch: { lingerMs: 1, frameBytesMax: 4096, tickMs: 50 } });
    const clients = await Promise.all(Array.from({ length: 50 }, (_, i) => door.accepted(`d${i}`)));
    for (let from = 1; from <= 400; from += 100) {
      for (const [i, client] of clients.entries())
        client.send(...Array.from({ length: 100 }, (_, k) => telemetry(`d${i}`, `d${i} ${from + k}`, from + k)));
    }
    await Promise.all(clients.map((client) => client.until(() => client.acked.length === 400)));
    for (const client of clients) expect(client.acked).toEqual(Array.from({ length: 400 }, (_, k) => k + 1));
    await door.close();
    await door.log.close();
    const reopened = await open();
    const seen = await payloads(reopened);
    expect(seen).toHaveLength(50 * 400);
    for (let i = 0; i < 50; i++) {
      const own = seen.filter((p) => p.startsWith(`d${i} `));
      expect(own).toEqual(Array.from({ length: 400 }, (_, k) => `d${i} ${k + 1}`));
    }
    await reopened.close();
  });

  it('holds devices while it is full, and never acknowledges what is not there', async () => {
    const door = await new TestDoor(await open(4 << 20)).open({
      batch: { inFlightBytesMax: 1 << 20 },
      limits: { drainMsMax: 100 },
    });
    const client = await door.accepted('d1');
    const payload = 'x'.repeat(20_000);
    for (let id = 1; id <= 1000; id++) client.send(telemetry('d1', `${id} ${payload}`, id));
    await eventually(() => door.lines.has('the log is full'));
    await eventually(() => door.door.stats().socketsPaused === 1);
    expect(client.closed).toBe(false);
    const acked = [...client.acked];
    expect(acked.length).toBeGreaterThan(0);
    expect(acked.length).toBeLessThan(1000);
    const seen = await payloads(door.log);
    expect(seen.slice(0, acked.length).map((p) => Number.parseInt(p, 10))).toEqual(acked);
    await door.close();
    await door.log.close();
  });

  it('publishes the alarm events that are appended to it', async () => {
    const door = await new TestDoor(await open()).open();
    const client = await door.client();
    const got: string[] = [];
    client.on('message', (topic) => got.push(topic));
    await client.subscribeAsync('alarms/#');
    await door.log.append(ALARMS, 2, encodeMessage(1, 'd1', 'alarms/d1/hot', Buffer.from('{}')));
    await eventually(() => got.length === 1);
    expect(got).toEqual(['alarms/d1/hot']);
    await door.close();
    await door.log.close();
  });
});
