import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { settingsOfNode } from '../cli/child.ts';
import { type Child, freePort, projectRoot, startChild, untilUp } from './children.ts';
import { query } from './clickhouse.ts';
import { kafkaName, startKafka } from './kafka-broker.ts';
import { takesConnections } from './peers/peer.ts';
import { type ProcessSample, sampleTree, sluiceName } from './processes.ts';
import type { LogName } from './program.ts';

/** How one role is run. */
export interface RoleOptions {
  /** The cores that it may run on; all when absent. */
  cores?: string;
}

/**
 * The program's roles, each started when it is wanted, as often as it is wanted and on the cores that it is given: `sluice run ROLE`, as
 * a cluster is deployed. What they share is a folder, a log and the address of a store.
 */
export class Roles {
  readonly folder: string;
  readonly dataDir: string;
  readonly storeUrl: string;
  readonly kafkaAddress: string | null;
  readonly #args: readonly string[];
  readonly #kafka: Child | null;
  readonly #running: Child[] = [];

  /** `settings`: lines of a sluice.yaml. Rejects with the broker's words when Kafka does not come up. */
  static async open(log: LogName, folder: string, settings = '', kafkaCores?: string): Promise<Roles> {
    const own = await mkdtemp(join(folder, `roles-${log}-`));
    const kafka = log === 'kafka' ? await startKafka(join(own, 'kafka'), kafkaCores) : null;
    const [http, store] = await Promise.all([freePort(), freePort()]);
    const args = ['--http', `127.0.0.1:${http}`, '--clickhouse-http', `127.0.0.1:${store}`];
    if (kafka) args.push('--kafka', kafka.address);
    const config = join(own, 'bench.yaml');
    await writeFile(config, `version: 1\n${settings}`);
    args.push('--config', config);
    return new Roles(own, `http://127.0.0.1:${store}`, args, kafka);
  }

  private constructor(
    folder: string,
    storeUrl: string,
    args: readonly string[],
    kafka: { child: Child; address: string } | null,
  ) {
    this.folder = folder;
    this.dataDir = join(folder, 'data');
    this.storeUrl = storeUrl;
    this.kafkaAddress = kafka?.address ?? null;
    this.#args = args;
    this.#kafka = kafka?.child ?? null;
  }

  /** The embedded store; it takes queries when this resolves. */
  async store(options: RoleOptions = {}): Promise<Child> {
    const child = this.#start('store', options);
    await untilUp(child, 'the store', async () => (await query(this.storeUrl, 'SELECT 1')).length === 1);
    return child;
  }

  /** A door, and where it takes MQTT. On Kafka there may be several. */
  async door(options: RoleOptions = {}): Promise<{ child: Child; url: string }> {
    const port = await freePort();
    const child = this.#start('door', options, ['--mqtt', `127.0.0.1:${port}`]);
    await untilUp(child, 'the door', () => takesConnections(port));
    return { child, url: `mqtt://127.0.0.1:${port}` };
  }

  /** A processor; it needs the store. It is not waited for: what it does tells that it is there. On Kafka there may be several. */
  processor(options: RoleOptions = {}): Child {
    return this.#start('processor', options);
  }

  /** The HTTP API and the page. */
  gateway(options: RoleOptions = {}): Child {
    return this.#start('gateway', options);
  }

  /** Waits until the processor has made the tables. */
  async untilTables(): Promise<void> {
    const last = this.#running[this.#running.length - 1];
    await untilUp(
      last,
      'the tables',
      async () => (await query(this.storeUrl, 'SELECT 1 FROM sluice.readings LIMIT 0')).length === 0,
    );
  }

  /** Costs of all roles that run, and of Kafka's. */
  sample(): ProcessSample[] {
    return [
      ...this.#running.flatMap(({ pid }) => sampleTree(pid, sluiceName)),
      ...(this.#kafka ? sampleTree(this.#kafka.pid, kafkaName) : []),
    ];
  }

  /** Ends all, those that were started last first, and removes the folder. */
  async close(): Promise<void> {
    for (const child of this.#running.splice(0).reverse()) await child.stop();
    await this.#kafka?.stop();
    await rm(this.folder, { recursive: true, force: true });
  }

  #start(role: string, { cores }: RoleOptions, more: readonly string[] = []): Child {
    const { flags, env } = settingsOfNode(role);
    const main = join(projectRoot(), 'dist/cli/main.js');
    const args = [...flags, main, 'run', role, '--data', this.dataDir, ...more, ...this.#args];
    const child = startChild(process.execPath, args, { cwd: this.folder, env, cores });
    this.#running.push(child);
    return child;
  }
}
