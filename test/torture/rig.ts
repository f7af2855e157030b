import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connect, type MqttClient } from 'mqtt';
import { type KafkaBroker, startKafka } from '../kafka.ts';
import { kill9, main, type Program, startProgram } from '../program.ts';
import { type LogContents, openLogContents } from './log-contents.ts';
import { LogReplay } from './log-replay.ts';
import type { OracleSettings } from './oracle.ts';
import { type StoreProxy, startProxy } from './proxy.ts';
import { type Mode, settingsOf } from './settings.ts';

/**
 * - embedded: `sluice start`, as on a laptop
 * - proxied: the store is a process of its own, and a bad network lies between it and everybody else
 * - kafka: `sluice start --kafka`, with a real broker and at times a second processor
 */
export type Variant = 'embedded' | 'proxied' | 'kafka';

/** A running program with all that is needed to trouble it and to look into it. */
export interface Rig {
  variant: Variant;
  mode: Mode;
  settings: OracleSettings;
  program: Program;
  contents: LogContents;
  /** Of a program with everything on; null otherwise. */
  replay: LogReplay | null;
  /** Ids of the CloudEvents that an MQTT subscriber was given. */
  heard: Set<string>;
  proxy: StoreProxy | null;
  broker: KafkaBroker | null;
  /** Process id of a role; undefined while it is between two lives. */
  pid(role: string): Promise<number | undefined>;
  /** Everything at once, the store too. */
  killAll(): Promise<void>;
  /** A second processor of the same group. */
  secondProcessor(): ChildProcess;
  close(): Promise<void>;
}

const THREAD_KILLER = fileURLToPath(new URL('./thread-killer.cjs', import.meta.url));
const RESTART_MS = 300;

export async function startRig(variant: Variant, mode: Mode): Promise<Rig> {
  const settings = settingsOf(mode);
  const parts: { proxy: StoreProxy | null; broker: KafkaBroker | null; store: StoreProcess | null } = {
    proxy: null,
    broker: null,
    store: null,
  };
  const args: string[] = [];
  if (variant === 'kafka') {
    const kafka = await startKafka();
    if ('skip' in kafka) throw new Error(kafka.skip);
    parts.broker = kafka;
    args.push('--kafka', kafka.brokers);
  }
  const program = await startProgram({
    config: `${settings.yaml}${variant === 'proxied' ? 'store:\n  username: sluice\n  passwordFile: ./password\n' : ''}`,
    args,
    env: { NODE_OPTIONS: `--require ${THREAD_KILLER}` },
    async before({ dir, dataDir, clickhousePort }) {
      if (variant !== 'proxied') return { args: [] };
      parts.proxy = await startProxy(clickhousePort);
      const password = 'f'.repeat(64);
      await mkdir(join(dataDir, 'store'), { recursive: true });
      await writeFile(join(dataDir, 'store', 'credentials'), `sluice:${password}\n`, { mode: 0o600 });
      await writeFile(join(dir, 'password'), password, { mode: 0o600 });
      await writeFile(join(dir, 'store.yaml'), settings.yaml);
      parts.store = new StoreProcess(
        ['--data', dataDir, '--config', join(dir, 'store.yaml')],
        `127.0.0.1:${clickhousePort}`,
      );
      return { args: ['--clickhouse', `http://127.0.0.1:${parts.proxy.port}`] };
    },
  });
  const { proxy, broker, store } = parts;
  const contents = await openLogContents(broker === null ? { dataDir: program.dataDir } : { brokers: broker.brokers });
  const heard = new Set<string>();
  const subscriber = listen(program.mqttUrl, heard);
  const seconds: ChildProcess[] = [];
  return {
    variant,
    mode,
    settings,
    program,
    contents,
    replay: mode === 'everything' ? new LogReplay(contents, settings.yaml) : null,
    heard,
    proxy,
    broker,
    pid: async (role) => (role === 'store' && store !== null ? store.pid : (await program.pids()).get(role)),
    async killAll() {
      store?.kill();
      await program.killAll();
    },
    secondProcessor() {
      const own = ['run', 'processor', '--kafka', broker!.brokers, '--data', program.dataDir];
      const shared = ['--clickhouse-http', new URL(program.clickhouseUrl).host, '--config', program.configFile];
      const processor = spawn(process.execPath, [main, ...own, ...shared], { stdio: 'ignore' });
      seconds.push(processor);
      return processor;
    },
    async close() {
      for (const second of seconds) second.kill('SIGKILL');
      subscriber.end(true);
      await contents.close();
      await program.remove();
      store?.close();
      await proxy?.close();
      await broker?.stop();
    },
  };
}

/** Subscribes to all alarm events, again after each connection that is lost. */
function listen(url: string, heard: Set<string>): MqttClient {
  const client = connect(url, { clientId: 'listener', reconnectPeriod: 100, connectTimeout: 5_000, clean: true });
  client.on('error', () => undefined);
  client.on('connect', () => client.subscribe('alarms/#', { qos: 1 }, () => undefined));
  client.on('message', (_topic, payload) => heard.add(JSON.parse(payload.toString()).id));
  return client;
}

/** `sluice run store`, started again when it ends, as a service manager does. */
class StoreProcess {
  readonly #args: string[];
  #child: ChildProcess;
  #closed = false;

  constructor(args: string[], listen: string) {
    this.#args = ['run', 'store', '--clickhouse-http', listen, ...args];
    this.#child = this.#launch();
  }

  get pid(): number | undefined {
    return this.#child.exitCode === null && this.#child.signalCode === null ? this.#child.pid : undefined;
  }

  kill(): void {
    if (this.pid !== undefined) kill9(this.pid);
  }

  close(): void {
    this.#closed = true;
    this.kill();
  }

  #launch(): ChildProcess {
    const child = spawn(process.execPath, [main, ...this.#args], { stdio: 'ignore' });
    child.once('exit', () => {
      setTimeout(() => {
        if (!this.#closed) this.#child = this.#launch();
      }, RESTART_MS);
    });
    return child;
  }
}
