import { afterEach, expect, it } from 'vitest';
import { type BlastResult, blast } from '../device-sim/blast.ts';
import { expectExactly } from './accounted.ts';
import { eventually, kill9, type Program, startProgram } from './program.ts';

/**
 * Real processes, real kills. The blaster remembers what was acknowledged and sends the rest again, as a device does; in the end
 * everything it sent is acknowledged, so the tables must hold exactly that: nothing missing, nothing double, nothing else.
 */

const config = `
version: 1
processors:
  idleMs: 2s
  checkpointMs: 500ms
windows:
  - name: 10s
    sizeMs: 10s
    outOfOrderMs: 1s
    allowedLatenessMs: 1h
`;

let program: Program | undefined;

afterEach(async () => {
  await program?.remove();
  program = undefined;
});

/** Publishes while `trouble` is made, until all is acknowledged. */
async function blastDuring(p: Program, messages: number, trouble: () => Promise<void>): Promise<BlastResult> {
  const published = blast({
    url: p.mqttUrl,
    connections: 20,
    messages,
    ratePerSecond: 20_000,
    reconnect: true,
    drainMs: 60_000,
  });
  await trouble();
  const result = await published;
  expect(result.unacknowledged).toBe(0);
  expect(result.acknowledged).toBe(messages);
  return result;
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

it.each(['door', 'processor', 'store', 'gateway'])(
  'loses and doubles nothing when the %s is killed again and again',
  async (role) => {
    program = await startProgram({ config });
    const p = program;
    const result = await blastDuring(p, 100_000, async () => {
      for (let i = 0; i < 3; i++) {
        await pause(700);
        const before = (await p.pids()).get(role);
        if (before !== undefined) kill9(before);
        await eventually(`another ${role}`, async () => {
          const now = (await p.pids()).get(role);
          return now !== undefined && now !== before;
        });
      }
    });
    await expectExactly(p, result);
    expect(await p.stop()).toBe(0);
  },
  180_000,
);

it('loses and doubles nothing when everything is killed at once and started again', async () => {
  program = await startProgram({ config });
  const p = program;
  const result = await blastDuring(p, 60_000, async () => {
    await pause(1200);
    await p.killAll();
    await p.restart();
  });
  await expectExactly(p, result);
}, 180_000);
