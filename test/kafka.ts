import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** A real broker for tests, run by docker/kafka/start.sh in a temporary directory. */
export interface KafkaBroker {
  /** HOST:PORT, the same over restarts. */
  brokers: string;
  /** Ends the broker in order and removes its data. */
  stop(): Promise<void>;
  /** kill -9. */
  kill(): Promise<void>;
  /** Starts it again on the same data and port, after `kill` or as a stop in order followed by a start. */
  restart(): Promise<void>;
}

const script = fileURLToPath(new URL('../docker/kafka/start.sh', import.meta.url));

/**
 * Starts a broker. Where Java or Maven is missing the answer is a reason to skip; in CI (CI=true) that is an error, so that
 * these tests never fall silent there. Give topics a prefix of their own, so that one broker serves all tests of a file.
 */
export async function startKafka(): Promise<KafkaBroker | { skip: string }> {
  const reason = kafkaMissing();
  if (reason !== null) {
    if (process.env.CI === 'true') throw new Error(reason);
    return { skip: reason };
  }
  const dir = await mkdtemp(join(tmpdir(), 'sluice-kafka-'));
  let running = await run(dir, 0);
  const broker: KafkaBroker = {
    brokers: running.address,
    async stop() {
      await running.end('SIGTERM');
      await rm(dir, { recursive: true, force: true });
    },
    kill: () => running.end('SIGKILL'),
    async restart() {
      await running.end('SIGTERM');
      running = await run(dir, Number(broker.brokers.split(':')[1]));
    },
  };
  return broker;
}

/** Why there can be no broker here; null when there can. */
export function kafkaMissing(): string | null {
  const missing = ['java', 'mvn'].filter((tool) => !isInstalled(tool));
  return missing.length === 0 ? null : `real Kafka needs ${missing.join(' and ')}, which is not installed`;
}

interface Running {
  address: string;
  end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void>;
}

async function run(dir: string, port: number): Promise<Running> {
  const child: ChildProcess = spawn(script, ['--dir', dir, '--port', String(port), '--attached'], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let complaint = '';
  child.stdin!.on('error', () => undefined);
  child.stderr!.on('data', (chunk) => {
    complaint += chunk;
  });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  let pid = 0;
  const address = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout! }).on('line', (line) => {
      const [word, value] = line.split(' ');
      if (word === 'pid') pid = Number(value);
      if (word === 'ready') resolve(value);
    });
    void ended.then(() => reject(new Error(`Kafka did not start: ${complaint}`)));
  });
  const onExit = (): void => {
    if (pid > 0) quietly(() => process.kill(pid, 'SIGKILL'));
  };
  process.once('exit', onExit);
  return {
    address,
    async end(signal) {
      process.off('exit', onExit);
      // The script ends when its broker has ended.
      quietly(() => process.kill(pid, signal));
      await ended;
    },
  };
}

function isInstalled(tool: string): boolean {
  try {
    execFileSync('which', [tool], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

function quietly(run: () => void): void {
  try {
    run();
  } catch {
    // It is gone already.
  }
}
