import { connectAsync } from 'mqtt';
import { afterEach, expect, it } from 'vitest';
import { eventually, kill9, type Program, startProgram } from './program.ts';

/** Windows of groups in the real program, whose processor is killed while they are open. */

const config = `
version: 1
log:
  tickMs: 200ms
  partitions: 4
processors:
  checkpointMs: 300ms
  idleMs: 2s
windows:
  - name: site
    by: site
    sizeMs: 2s
    outOfOrderMs: 0s
    allowedLatenessMs: 10m
    aggregates: [stddev, p50]
  - name: line
    by: tag:line
    sizeMs: 2s
    outOfOrderMs: 0s
    allowedLatenessMs: 10m
alarms:
  - name: busy-site
    kind: expression
    when: rollup["site"].t.max > 20.0
`;

let program: Program | undefined;
afterEach(async () => {
  await program?.remove();
  program = undefined;
});

it('windows and alarms of groups are those of all their readings, once, after kills of the processor', async () => {
  program = await startProgram({ config });
  const p = program;
  const devices = Array.from({ length: 8 }, (_, i) => `d${i}`);
  const siteOf = (device: string) => (Number(device[1]) % 2 === 0 ? 'north' : 'south');
  for (const device of devices) {
    const body = JSON.stringify({ site: siteOf(device), tags: { line: device === 'd0' ? '' : `l${device}` } });
    const answer = await fetch(`${p.httpUrl}/api/devices/${device}`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body,
    });
    expect(answer.status, await answer.text()).toBe(202);
  }
  await eventually('the devices are known', async () => {
    const [row] = await p.query<{ n: string }>("SELECT count() AS n FROM sluice.devices FINAL WHERE site != ''");
    return Number(row.n) === devices.length;
  });
  const client = await connectAsync(p.mqttUrl, { clientId: 'tester' });
  // Every window before this is below the rule's level, and every one from it on is beyond it, however slowly the rounds go.
  const beyondMs = Math.ceil((Date.now() + 500) / 2000) * 2000;
  const sent: { device: string; ts: number; t: number }[] = [];
  for (let round = 0; round < 30 || Date.now() < beyondMs + 500; round++) {
    for (const device of devices) {
      const ts = Date.now() - (round % 5) * 700;
      const reading = { device, ts, t: (ts < beyondMs ? 0 : 100) + (round % 10) + Number(device[1]) };
      sent.push(reading);
      await client.publishAsync(`devices/${device}/telemetry`, JSON.stringify({ ts: reading.ts, t: reading.t }), {
        qos: 1,
      });
    }
    if (round === 10 || round === 20) kill9((await p.pids()).get('processor') as number);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await client.endAsync();
  const expected = new Map<string, { n: number; sum: number }>();
  // Of two readings with the same ts the first one counts.
  for (const { device, ts, t } of new Map(sent.reverse().map((s) => [`${s.device} ${s.ts}`, s])).values()) {
    const groups = [`site ${siteOf(device)}`, ...(device === 'd0' ? [] : [`tag:line l${device}`])];
    for (const group of groups) {
      const key = `${group} ${ts - (ts % 2000)}`;
      const before = expected.get(key) ?? { n: 0, sum: 0 };
      expected.set(key, { n: before.n + 1, sum: before.sum + t });
    }
  }
  const total = [...expected.values()].reduce((sum, { n }) => sum + n, 0);
  const rows = await eventually('all windows are there', async () => {
    const found = await p.query<Record<string, string>>(
      `SELECT grouping, device, toUnixTimestamp64Milli(start) AS start_ms, count AS n, sum, phase, revision, mapKeys(extra) AS extra
       FROM sluice.rollups FINAL`,
    );
    return found.reduce((sum, row) => sum + Number(row.n), 0) === total ? found : null;
  });
  const found = new Map(
    rows.map((row) => [`${row.grouping} ${row.device} ${row.start_ms}`, { n: Number(row.n), sum: Number(row.sum) }]),
  );
  expect(found).toEqual(expected);
  // Later results of older windows say nothing, so each site comes beyond the level once, whatever was killed and told again.
  const alarms = await eventually('the alarms of the sites', async () => {
    const events = await p.query<Record<string, string>>(
      'SELECT device, transition, rule FROM sluice.alarm_events FINAL ORDER BY device',
    );
    return events.length >= 2 ? events : null;
  });
  const raised = { transition: 'raised', rule: 'busy-site' };
  expect(alarms).toEqual([
    { device: 'site=north', ...raised },
    { device: 'site=south', ...raised },
  ]);
  expect(rows.every((row) => row.grouping !== 'site' || String(row.extra).includes('p50'))).toBe(true);
}, 240_000);
