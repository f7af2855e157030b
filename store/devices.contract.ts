import { expect, it } from 'vitest';
import type { DeviceRow } from '../model/device.ts';
import { DevicesBlock } from './blocks.ts';
import type { Store } from './store.ts';

const T0 = Date.UTC(2024, 4, 17, 12);

/** A part of the contract of the store: the table of devices. */
export function holdsDevices(store: () => Store, token: () => string): void {
  it('gives devices back with their tags, with FINAL as they stand', async () => {
    const row: DeviceRow = {
      id: 'pump-7',
      name: 'Pumpe 7 – 高温',
      site: 'north',
      model: 'P200',
      tags: new Map([
        ['__proto__', ''],
        ['line', 'ä'],
      ]),
      thresholds: new Map([['max', 7.25]]),
      source: 'http',
      version: 2 ** 44,
      firstSeenMs: null,
      changedMs: T0,
      removed: false,
      revision: 2 ** 45,
      partition: 3,
      offset: 2 ** 40,
    };
    const nothing = { ...row, id: 'x', name: '', tags: new Map(), thresholds: new Map(), source: 'seen' as const };
    const block = new DevicesBlock();
    block.add({ ...nothing, firstSeenMs: T0, version: 0, revision: 1 });
    block.add(row);
    block.add({ ...nothing, id: 'y', removed: true });
    await store().insert('devices', block.finish(), { token: token() });
    block.add({ ...row, firstSeenMs: T0 + 1, revision: 2 ** 45 + 1 });
    await store().insert('devices', block.finish(), { token: token() });
    const rows = await store().query(
      `SELECT id, name, site, model, mapKeys(tags) AS keys, mapValues(tags) AS texts, thresholds, source, version,
         toUnixTimestamp64Milli(first_seen) AS firstSeenMs, toUnixTimestamp64Milli(changed_at) AS changedMs, removed,
         revision, partition, offset
       FROM devices FINAL ORDER BY id`,
    );
    const plain = { site: 'north', model: 'P200', changedMs: T0, partition: 3, offset: 2 ** 40 };
    const empty = { ...plain, name: '', keys: [], texts: [], thresholds: {}, source: 'seen' };
    expect(rows).toEqual([
      {
        ...plain,
        id: 'pump-7',
        name: row.name,
        keys: ['__proto__', 'line'],
        texts: ['', 'ä'],
        thresholds: { max: 7.25 },
        source: 'http',
        version: 2 ** 44,
        firstSeenMs: T0 + 1,
        removed: 0,
        revision: 2 ** 45 + 1,
      },
      { ...empty, id: 'x', version: 0, firstSeenMs: T0, removed: 0, revision: 1 },
      { ...empty, id: 'y', version: 2 ** 44, firstSeenMs: null, removed: 1, revision: 2 ** 45 },
    ]);
  });
}
