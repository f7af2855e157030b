import { runBlast } from './generator.ts';
import type { BenchOptions } from './options.ts';
import type { Peer } from './peers.ts';
import { blastOptions, roundOf } from './pipeline-run.ts';
import { costBetween, sampleTree } from './processes.ts';
import type { Round } from './result.ts';

/** Something that only acknowledges: a peer, or the door without the rest. Warm-up and rounds as for the whole program. */
export async function brokerRounds(peer: Peer, options: BenchOptions): Promise<Round[]> {
  const { child, url } = await peer.start(options.folder);
  const sample = () => sampleTree(child.pid, () => peer.name);
  try {
    await runBlast({ ...blastOptions(options, options.warmUpSeconds), url, devicePrefix: 'warm' });
    const rounds: Round[] = [];
    for (let i = 0; i < options.rounds; i++) {
      const before = sample();
      const result = await runBlast({ ...blastOptions(options, options.seconds), url, devicePrefix: `round${i + 1}` });
      const problems = result.unacknowledged > 0 ? [`${result.unacknowledged} messages were not acknowledged`] : [];
      rounds.push(roundOf(result, costBetween(before, sample()), problems, null, null));
    }
    return rounds;
  } finally {
    await child.stop();
  }
}
