import { setTimeout as sleep } from 'node:timers/promises';
import type { BlastResult } from '../device-sim/blast.ts';
import { ContentTally } from './content.ts';
import { runBlast } from './generator.ts';
import type { Load } from './load.ts';
import type { Peer, RunningPeer } from './peers/peer.ts';
import { blastOptions, roundOf } from './pipeline-run.ts';
import { costBetween } from './processes.ts';
import type { Round } from './result.ts';

/** How long a destination may stand still before the rest is given up. */
const PATIENCE_MS = 10_000;
const POLL_MS = 50;

/**
 * A peer, the door without the rest, or a limit. Warm-up and rounds as for the whole program. Where messages go on to somewhere, the
 * clock runs until all have arrived there. Where they can be read back, each round is verified by its content.
 */
export async function brokerRounds(peer: Peer, load: Load, folder: string): Promise<Round[]> {
  const running = await peer.start(folder);
  try {
    await blastRound(running, load, 'warm', load.warmUpSeconds);
    const rounds: Round[] = [];
    for (let i = 0; i < load.rounds; i++) rounds.push(await verifiedRound(running, load, `round${i + 1}`));
    return rounds;
  } finally {
    await running.stop();
  }
}

/** A round, and what of it can be read back. */
async function verifiedRound(peer: RunningPeer, load: Load, prefix: string): Promise<Round> {
  await peer.contents?.begin();
  const { round, result } = await blastRound(peer, load, prefix, load.seconds);
  if (peer.contents !== undefined) {
    const tally = new ContentTally(result);
    await peer.contents.readInto(tally);
    round.problems.push(...tally.problems(result));
  }
  return round;
}

async function blastRound(peer: RunningPeer, load: Load, prefix: string, seconds: number) {
  const arrivedBefore = (await peer.destination?.arrived()) ?? 0;
  const before = peer.sample();
  const result = await runBlast({ ...blastOptions(load, seconds), url: peer.url, devicePrefix: prefix });
  const { storedMs, problems } = await arrival(peer, result, arrivedBefore);
  if (result.unacknowledged > 0) problems.push(`${result.unacknowledged} messages were not acknowledged`);
  for (const { device, reason } of result.closed) problems.push(`the connection of ${device} was lost: ${reason}`);
  const round = roundOf(result, costBetween(before, peer.sample()), problems, storedMs, null);
  return { round, result };
}

async function arrival(
  { destination }: RunningPeer,
  result: BlastResult,
  before: number,
): Promise<{ storedMs: number | null; problems: string[] }> {
  if (destination === undefined) return { storedMs: null, problems: [] };
  const target = before + destination.expected(result);
  let arrived = await destination.arrived();
  let seenMs = Date.now();
  while (arrived < target && Date.now() - seenMs < PATIENCE_MS) {
    await sleep(POLL_MS);
    const now = await destination.arrived();
    if (now !== arrived) seenMs = Date.now();
    arrived = now;
  }
  if (arrived < target) return { storedMs: null, problems: [`${target - arrived} did not arrive where they should`] };
  return { storedMs: seenMs, problems: arrived > target ? [`${arrived - target} arrived more than once`] : [] };
}
