import { spawnSync } from 'node:child_process';
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { type Child, projectRoot, startChild, untilUp } from './children.ts';

/** A real Kafka broker by docker/kafka/start.sh, on a free port, with its topics in `dir`. */
export async function startKafka(dir: string, cores?: string): Promise<{ child: Child; address: string }> {
  const script = join(projectRoot(), 'docker/kafka/start.sh');
  await access(script);
  const child = startChild('bash', [script, '--dir', dir, '--port', '0', '--heap', '1g'], { cores });
  const ready = /^ready (\S+)$/m;
  // The first start fetches the broker from Maven Central.
  await untilUp(child, 'Kafka', async () => ready.test(child.output()), 300_000);
  return { child, address: ready.exec(child.output())![1] };
}

/** Names the broker among the processes of the script. */
export function kafkaName(args: readonly string[]): string | null {
  return args.includes('kafka.Kafka') ? 'kafka' : null;
}

/** Why no broker can be started here; null when one can. */
export function kafkaMissing(): string | null {
  return spawnSync('java', ['-version']).error === undefined ? null : 'Java, which Kafka runs on, is not installed';
}
