import type { Address } from './address.ts';
import { collide, formatAddress } from './address.ts';
import type { Finding } from './explain.ts';
import type { Path } from './problem.ts';
import { clip, formatQuantity } from './quantity.ts';
import { deviceRelations } from './relations-devices.ts';
import { ruleRelations } from './relations-rules.ts';
import { tierRelations } from './relations-tiers.ts';
import type { DraftConfig } from './schema.ts';

/** A finding about several settings. It is dropped when one of `uses` is itself wrong: its default would be judged instead. */
export interface Relation extends Finding {
  uses: Path[];
}

const size = (bytes: number): string => formatQuantity(bytes, 'bytes');
const time = (ms: number): string => formatQuantity(ms, 'duration');

/** Everything that one setting alone cannot show: what would make the start impossible, or a setting without effect. */
export function relations(config: DraftConfig): Relation[] {
  return [
    ...listenRelations(config),
    ...tlsRelations(config),
    ...accessRelations(config),
    ...logRelations(config),
    ...kafkaRelations(config),
    ...processorRelations(config),
    ...storeRelations(config),
    ...deviceRelations(config),
    ...ruleRelations(config),
    ...tierRelations(config),
  ];
}

function listenRelations({ mqtt, gateway, store, health }: DraftConfig): Relation[] {
  const found: Relation[] = [];
  const named: [Path, Address | null][] = [
    [['mqtt', 'listen'], mqtt.listen],
    [['mqtt', 'websocketListen'], mqtt.websocketListen],
    [['mqtt', 'tlsListen'], mqtt.tlsListen],
    [['mqtt', 'websocketTlsListen'], mqtt.websocketTlsListen],
    [['gateway', 'listen'], gateway.listen],
    [['store', 'listen'], store.url === null ? store.listen : null],
    [['health', 'door'], health.door],
    [['health', 'processor'], health.processor],
    [['health', 'store'], store.url === null ? health.store : null],
    [['health', 'gateway'], health.gateway],
  ];
  if (named.slice(0, 4).every(([, address]) => address === null)) {
    found.push({
      path: ['mqtt', 'listen'],
      of: 'value',
      what: 'no address is left for devices to connect to',
      remedy: 'set mqtt.listen or mqtt.tlsListen, as 127.0.0.1:1883',
      uses: named.slice(0, 4).map(([path]) => path),
    });
  }
  for (const [i, [path, address]] of named.entries()) {
    if (address === null) continue;
    const other = named.slice(0, i).find(([, before]) => before !== null && collide(before, address));
    if (other === undefined) continue;
    found.push({
      path,
      of: 'value',
      what: `${formatAddress(address)} is the same port as ${other[0].join('.')} ${formatAddress(other[1]!)}`,
      remedy: 'choose another port',
      uses: [other[0]],
    });
  }
  return found;
}

function tlsRelations({ mqtt }: DraftConfig): Relation[] {
  const found: Relation[] = [];
  const { certFile, keyFile, clientCaFile } = mqtt.tls;
  const uses: Path[] = ['certFile', 'keyFile', 'clientCaFile'].map((key) => ['mqtt', 'tls', key]);
  const add = (path: Path, what: string, remedy: string): void => {
    found.push({
      path,
      of: 'value',
      what,
      remedy,
      uses: [...uses, ['mqtt', 'tlsListen'], ['mqtt', 'websocketTlsListen']],
    });
  };
  if (certFile !== null && keyFile === null)
    add(['mqtt', 'tls', 'certFile'], 'a certificate without its key', 'add mqtt.tls.keyFile');
  if (keyFile !== null && certFile === null)
    add(['mqtt', 'tls', 'keyFile'], 'a key without its certificate', 'add mqtt.tls.certFile');
  const listener =
    mqtt.tlsListen !== null ? 'tlsListen' : mqtt.websocketTlsListen !== null ? 'websocketTlsListen' : null;
  if (listener !== null && certFile === null && keyFile === null) {
    add(
      ['mqtt', listener],
      'TLS needs a certificate',
      'add mqtt.tls.certFile and mqtt.tls.keyFile, or remove the address',
    );
  }
  const given =
    certFile !== null ? 'certFile' : keyFile !== null ? 'keyFile' : clientCaFile !== null ? 'clientCaFile' : null;
  if (listener === null && given !== null) {
    add(['mqtt', 'tls', given], 'no listener speaks TLS, so this has no effect', 'add mqtt.tlsListen, as 0.0.0.0:8883');
  }
  return found;
}

function accessRelations({ access, mqtt }: DraftConfig): Relation[] {
  const found: Relation[] = [];
  if (mqtt.total.partialBytesMax < mqtt.packetBytesMax) {
    found.push({
      path: ['mqtt', 'total', 'partialBytesMax'],
      of: 'value',
      what: `${size(mqtt.total.partialBytesMax)} cannot hold one packet of mqtt.packetBytesMax ${size(mqtt.packetBytesMax)}`,
      remedy: `write ${size(mqtt.packetBytesMax)} or more, or lower mqtt.packetBytesMax`,
      uses: [['mqtt', 'packetBytesMax']],
    });
  }
  const add = (path: Path, what: string, remedy: string, of: Finding['of'] = 'value', uses: Path[] = []): void => {
    found.push({ path, of, what, remedy, uses });
  };
  const names = new Map<string, number>();
  for (const [i, user] of access.users.entries()) {
    const at = (key: string): Path => ['access', 'users', i, key];
    if (names.has(user.name)) add(at('name'), `"${clip(user.name)}" is given to two users`, 'choose another name');
    names.set(user.name, i);
    if (user.role === 'operator' && user.device !== null) {
      add(at('device'), 'an operator is not one device', 'remove it, or write `role: device`', 'value', [at('role')]);
    }
  }
  if (access.anonymous === 'never' && access.users.length === 0 && mqtt.tls.clientCaFile === null) {
    add(
      ['access', 'anonymous'],
      'nobody could connect: there are no users',
      'add access.users, or write loopback',
      'value',
      [
        ['access', 'users'],
        ['mqtt', 'tls', 'clientCaFile'],
      ],
    );
  }
  return found;
}

function logRelations({ log, mqtt, processors }: DraftConfig): Relation[] {
  const found: Relation[] = [];
  const least = log.frameBytesMax + mqtt.packetBytesMax;
  if (log.inFlightBytesMax < least) {
    found.push({
      path: ['log', 'inFlightBytesMax'],
      of: 'value',
      what: `${size(log.inFlightBytesMax)} cannot hold one frame (log.frameBytesMax ${size(log.frameBytesMax)}) and one packet (mqtt.packetBytesMax ${size(mqtt.packetBytesMax)})`,
      remedy: `write ${size(roundUp(least))} or more, or lower the others`,
      uses: [
        ['log', 'frameBytesMax'],
        ['mqtt', 'packetBytesMax'],
      ],
    });
  }
  // Deleting old frames needs free pages of the map, and a frame is kept until its whole batch is let go.
  const map = Math.ceil(log.retention.bytesMax * 1.25);
  if (log.kafka.brokers.length === 0 && log.mapBytesMax < map) {
    found.push({
      path: ['log', 'mapBytesMax'],
      of: 'value',
      what: `${size(log.mapBytesMax)} is too little for log.retention.bytesMax ${size(log.retention.bytesMax)}: the log would be full before old frames are deleted`,
      remedy: `write ${size(roundUp(map))} or more (a quarter above it), or lower log.retention.bytesMax`,
      uses: [
        ['log', 'retention', 'bytesMax'],
        ['log', 'kafka', 'brokers'],
      ],
    });
  }
  if (log.retention.ageMs < 2 * processors.checkpointMs) {
    found.push({
      path: ['log', 'retention', 'ageMs'],
      of: 'value',
      what: `${time(log.retention.ageMs)} is less than two checkpoints (processors.checkpointMs ${time(processors.checkpointMs)}): a restart could find its frames deleted`,
      remedy: `write ${time(2 * processors.checkpointMs)} or more`,
      uses: [['processors', 'checkpointMs']],
    });
  }
  return found;
}

/** Up to the next whole KiB, MiB or GiB that is not much larger, so that the advice reads well. */
function roundUp(bytes: number): number {
  const step = 2 ** Math.max(0, Math.floor(Math.log2(bytes) / 10) * 10);
  return Math.ceil(bytes / step) * step;
}

function kafkaRelations({ log }: DraftConfig): Relation[] {
  const found: Relation[] = [];
  const { brokers, tls, caFile, sasl } = log.kafka;
  const at = (key: string): Path => ['log', 'kafka', key];
  for (const [i, broker] of brokers.entries()) {
    if (brokers.indexOf(broker) === i) continue;
    found.push({
      path: ['log', 'kafka', 'brokers', i],
      of: 'value',
      what: `${broker} is listed twice`,
      remedy: 'remove it',
      uses: [],
    });
  }
  if (caFile !== null && !tls) {
    found.push({
      path: at('caFile'),
      of: 'value',
      what: 'TLS is off, so this has no effect',
      remedy: 'write `tls: true`',
      uses: [at('tls')],
    });
  }
  if (brokers.length > 0) return found;
  const given = sasl !== null ? 'sasl' : tls ? 'tls' : null;
  if (given !== null) {
    found.push({
      path: at(given),
      of: given === 'sasl' ? 'key' : 'value',
      what: 'no brokers are given, so this has no effect',
      remedy: 'add log.kafka.brokers, or remove it',
      uses: [at('brokers')],
    });
  }
  return found;
}

function processorRelations({ processors, log }: DraftConfig): Relation[] {
  const found: Relation[] = [];
  if (processors.workers > log.partitions) {
    found.push({
      path: ['processors', 'workers'],
      of: 'value',
      what: `${processors.workers} workers cannot share ${log.partitions} partitions (log.partitions): some would have none`,
      remedy: `write ${log.partitions} or less`,
      uses: [['log', 'partitions']],
    });
  }
  if (processors.idleMs < 2 * log.tickMs) {
    found.push({
      path: ['processors', 'idleMs'],
      of: 'value',
      what: `${time(processors.idleMs)} is less than two ticks (log.tickMs ${time(log.tickMs)}), by which silence is measured`,
      remedy: `write ${time(2 * log.tickMs)} or more, or lower log.tickMs`,
      uses: [['log', 'tickMs']],
    });
  }
  return found;
}

function storeRelations({ store }: DraftConfig): Relation[] {
  if (store.url !== null || store.passwordFile === null) return [];
  return [
    {
      path: ['store', 'passwordFile'],
      of: 'value',
      what: 'the embedded engine asks for no password, so this has no effect',
      remedy: 'add store.url, or remove it and keep store.listen on 127.0.0.1',
      uses: [['store', 'url']],
    },
  ];
}
