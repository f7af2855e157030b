import { connectAsync } from 'mqtt';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { partitionOf } from '../model/partition.ts';
import { eventually, kill9, type Program, startProgram } from './program.ts';

/** What partitions tell each other, through the whole program: the outage of a site mutes its devices, wherever they are. */

const PARTITIONS = 4;
const plants = ['plant-1', 'plant-2', 'plant-3', 'plant-4', 'plant-5', 'plant-6'];

describe('a site whose devices are in all partitions', () => {
  let site: Program;

  beforeAll(async () => {
    site = await startProgram({
      config: `
version: 1
log: { partitions: ${PARTITIONS}, tickMs: 200 }
devices:
  registry: [${plants.map((id) => `{ id: ${id}, site: north }`).join(', ')}]
alarms:
  - { name: site-lost, kind: silence, by: site, afterMs: 2s, outageMs: 2s, graceMs: 1s, severity: critical }
  - { name: silent, kind: silence, afterMs: 5s, outageMs: 2s, graceMs: 1s, inhibitedBy: [site-lost] }
`,
    });
  }, 90_000);

  afterAll(() => site?.remove());

  it('falls silent as one, which mutes the silence of its devices, though door and processor are killed', async () => {
    expect(new Set(plants.map((id) => partitionOf(id, PARTITIONS))).size).toBeGreaterThan(2);
    const devices = await Promise.all(plants.map((clientId) => connectAsync(site.mqttUrl, { clientId })));
    const speak = () =>
      Promise.all(devices.map((d, i) => d.publishAsync(`devices/${plants[i]}/telemetry`, '{"t":1}', { qos: 1 })));
    interface Row {
      rule: string;
      device: string;
      state: string;
      suppressed: string;
    }
    const rows = () => site.query<Row>('SELECT rule, device, state, suppressed FROM sluice.alarms FINAL');
    const raises = async () => {
      const [{ n }] = await site.query<{ n: number }>(
        "SELECT toUInt32(count()) AS n FROM sluice.alarm_events FINAL WHERE rule = 'site-lost' AND transition = 'raised'",
      );
      return n;
    };
    // On a slow machine they may have been expected for too long before the first word.
    await eventually('all have spoken', async () => {
      await speak();
      return (await rows()).every(({ state }) => state === 'cleared');
    });
    const before = await raises();
    const pids = await site.pids();
    kill9(pids.get('door') as number);
    kill9(pids.get('processor') as number);
    const muted = await eventually('all are silent', async () => {
      const all = await rows();
      const silent = all.filter(({ rule, state }) => rule === 'silent' && state === 'raised');
      return silent.length === plants.length ? all.filter(({ state }) => state === 'raised') : null;
    });
    expect(muted.filter(({ rule }) => rule === 'site-lost')).toEqual([
      { rule: 'site-lost', device: 'site=north', state: 'raised', suppressed: '' },
    ]);
    expect(muted.filter(({ rule, suppressed }) => rule === 'silent' && suppressed === '')).toEqual([]);
    kill9((await site.pids()).get('processor') as number);
    await eventually('the devices are back', async () => {
      // The door may not be back; devices try again.
      await speak().catch(() => {});
      return (await rows()).every(({ state }) => state === 'cleared');
    });
    expect(await raises()).toBe(before + 1);
    await Promise.all(devices.map((device) => device.endAsync(true)));
  }, 120_000);
});
