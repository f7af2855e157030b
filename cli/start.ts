import { createServer } from 'node:net';
import { warningsOf } from '../config/warnings.ts';
import { systemClock } from '../model/clock.ts';
import { SluiceError } from '../model/errors.ts';
import { spawnSluice } from './child.ts';
import { createLogger } from './logger.ts';
import { loadSettings, type Settings, type StartOptions } from './settings.ts';
import { startStatusLines } from './status-lines.ts';
import { type ChildSpec, Supervisor } from './supervisor.ts';
import { VERSION } from './version.ts';

/** `sluice start`: all roles as child processes under the supervisor, until a signal comes. */
export async function start(options: StartOptions): Promise<void> {
  const settings = loadSettings(await withFreePorts(options));
  const { config } = settings;
  const logger = createLogger({ role: 'sluice', ...config.logging });
  const supervisor = new Supervisor({
    children: childrenOf(settings),
    stopOrder: ['simulator', 'door', 'processor', 'gateway', 'store'],
    clock: systemClock,
    logger,
  });
  // The clock's timers do not hold a process; a supervisor whose children are all waiting for a restart must live on.
  const alive = setInterval(() => {}, 60_000);

  const signalled = new Promise<'signal'>((resolve) => {
    process.on('SIGTERM', () => resolve('signal'));
    let interrupts = 0;
    process.on('SIGINT', () => {
      resolve('signal');
      // Who presses Ctrl-C again does not want to wait for the drain. What was acknowledged is on the log and goes on from there.
      if (++interrupts > 1) supervisor.kill();
    });
  });
  for (const warning of warningsOf(config)) logger.warn(warning);
  console.log(`Sluice ${VERSION} starts …`);
  const up = supervisor.start().then(() => 'up' as const);
  const failed = supervisor.failed.then((name) => ({ name }));
  const first = await Promise.race([up, failed, signalled]);
  let code = typeof first === 'object' ? 1 : 0;
  if (first === 'up') {
    console.log(banner(settings));
    const lines = startStatusLines({ url: settings.pageUrl, clock: systemClock, print: (line) => console.log(line) });
    const end = await Promise.race([failed, signalled]);
    lines.close();
    if (typeof end === 'object') code = 1;
  }
  if (code === 0) console.log('Sluice drains …');
  const clean = await supervisor.stop();
  clearInterval(alive);
  if (code === 0)
    console.log(clean ? 'Sluice has stopped; nothing is left undone.' : 'Sluice has stopped; see the errors above.');
  process.exit(clean ? code : 1);
}

function childrenOf(settings: Settings): ChildSpec[] {
  const role = (name: string): ChildSpec => ({
    name,
    awaitReady: true,
    spawn: () => spawnSluice(name, ['run', name, ...settings.args]),
  });
  const children = [role('door'), role('processor'), role('gateway')];
  if (settings.config.store.url === null) children.unshift(role('store'));
  const { simulate, mqttUrl } = settings;
  if (simulate !== null) {
    if (mqttUrl === null) {
      throw new SluiceError('CONFIG_INVALID', 'the simulated fleet publishes over plain TCP, and mqtt.listen is null', {
        remedy: 'set mqtt.listen, or run `sluice simulate` with an --url of its own',
      });
    }
    children.push({
      name: 'simulator',
      awaitReady: false,
      spawn: () => spawnSluice('simulator', ['simulate', simulate, '--url', mqttUrl, '--quiet']),
    });
  }
  return children;
}

function banner(settings: Settings): string {
  const { config } = settings;
  const rows: [string, string][] = [
    ['page', settings.pageUrl],
    ['MQTT', settings.mqttUrl ?? 'over TLS or WebSocket only'],
    ['ClickHouse', settings.storeUrl],
    [
      'log',
      config.log.kafka.brokers.length > 0 ? `Kafka at ${config.log.kafka.brokers.join(', ')}` : 'embedded (LMDB)',
    ],
    ['data', config.dataDir],
    ['settings', settings.configFile ?? 'defaults (no sluice.yaml here)'],
  ];
  if (settings.simulate !== null) rows.push(['fleet', `simulated: ${settings.simulate}`]);
  const lines = rows.map(([name, value]) => `  ${name.padEnd(11)} ${value}`);
  return ['Sluice is up.', ...lines, 'Ctrl-C drains and stops.'].join('\n');
}

/** Replaces port 0 by a port that is free now, so that every role is told the same one and keeps it over restarts. */
async function withFreePorts(options: StartOptions): Promise<StartOptions> {
  const out = { ...options };
  for (const key of ['mqtt', 'http', 'clickhouseHttp'] as const) {
    const address = out[key];
    if (address?.endsWith(':0')) out[key] = `${address.slice(0, -1)}${await freePort(address.slice(0, -2))}`;
  }
  return out;
}

function freePort(host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (cause) =>
      reject(new SluiceError('LISTEN_FAILED', `no free port on ${host}: ${cause.message}`, { cause })),
    );
    server.listen(0, host.replace(/^\[(.*)\]$/, '$1'), () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}
