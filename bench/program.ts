import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort, projectRoot, startChild, untilUp } from './children.ts';
import { kafkaName, startKafka } from './kafka-broker.ts';
import { type ProcessSample, sampleTree, sluiceName } from './processes.ts';

export type LogName = 'lmdb' | 'kafka';

/** The real program with its log, as `sluice start` runs it, in a folder of its own. */
export interface RunningProgram {
  mqttUrl: string;
  storeUrl: string;
  httpUrl: string;
  dataDir: string;
  /** Costs of its processes, and of Kafka's. */
  sample(): ProcessSample[];
  stop(): Promise<void>;
}

export interface ProgramOptions {
  /** Lines of a sluice.yaml; none by default. */
  settings?: string;
  /** For Node.js; those that profile hold for every role. */
  nodeFlags?: readonly string[];
  /** Called before it is started, with the folder that its data will be in. */
  prepare?(dataDir: string): Promise<void>;
}

/** Rejects with what was written when a part does not come up. `folder` is on the disk to be measured. */
export async function startProgram(
  log: LogName,
  folder: string,
  { settings = '', nodeFlags = [], prepare }: ProgramOptions = {},
): Promise<RunningProgram> {
  const own = await mkdtemp(join(folder, `${log}-`));
  const kafka = log === 'kafka' ? await startKafka(join(own, 'kafka')) : null;
  const [mqtt, http, store] = await Promise.all([freePort(), freePort(), freePort()]);
  const dataDir = join(own, 'data');
  const args = ['start', '--data', dataDir, '--mqtt', `127.0.0.1:${mqtt}`, '--http', `127.0.0.1:${http}`];
  args.push('--clickhouse-http', `127.0.0.1:${store}`);
  if (kafka) args.push('--kafka', kafka.address);
  if (settings !== '') {
    const config = join(own, 'bench.yaml');
    await writeFile(config, `version: 1\n${settings}`);
    args.push('--config', config);
  }
  await prepare?.(dataDir);
  // Started in its own folder: a sluice.yaml of the caller's shall not change what is measured.
  const child = startChild(process.execPath, [...nodeFlags, join(projectRoot(), 'dist/cli/main.js'), ...args], {
    cwd: own,
  });
  const stop = async () => {
    await child.stop();
    await kafka?.child.stop();
    await rm(own, { recursive: true, force: true });
  };
  try {
    await untilUp(child, 'sluice', async () => (await fetch(`http://127.0.0.1:${http}/ready`)).status === 200);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    mqttUrl: `mqtt://127.0.0.1:${mqtt}`,
    storeUrl: `http://127.0.0.1:${store}`,
    httpUrl: `http://127.0.0.1:${http}`,
    dataDir,
    sample: () => [...sampleTree(child.pid, sluiceName), ...(kafka ? sampleTree(kafka.child.pid, kafkaName) : [])],
    stop,
  };
}
