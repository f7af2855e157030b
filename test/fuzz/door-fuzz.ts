import { connectAsync, type MqttClient } from 'mqtt';
import { openDoor } from '../../ingest/door.ts';
import { MemoryLog } from '../../ingest/memory-log.fixture.ts';
import { SluiceError } from '../../model/errors.ts';
import { FrameReader } from '../../model/frame.ts';
import { silentLogger } from '../../model/logger.ts';
import { Random } from '../simulation/random.ts';
import { FuzzClient, type Sent } from './fuzz-client.ts';
import { connect, field, mutate, other, packet, publish } from './grammar.ts';

export interface DoorFuzzResult {
  connections: number;
  packets: number;
  bytes: number;
  answers: number;
  acksChecked: number;
  messagesLogged: number;
  neighbourMessages: number;
  problems: string[];
}

const CLIENT_IDS = ['f0', 'f1', 'f2', 'f3', 'f4'];
const PATIENCE_MS = 20_000;

/** Attacks one door with `rounds` rounds of a few interleaved clients each; everything follows from the seed but the sockets' timing. */
export async function fuzzDoor(seed: number, rounds: number): Promise<DoorFuzzResult> {
  const run = new DoorFuzz(seed);
  await run.open();
  try {
    for (let round = 0; round < rounds && run.result.problems.length === 0; round++) await run.round(round);
    await run.finish();
  } finally {
    await run.close();
  }
  return run.result;
}

class DoorFuzz {
  readonly result: DoorFuzzResult = {
    connections: 0,
    packets: 0,
    bytes: 0,
    answers: 0,
    acksChecked: 0,
    messagesLogged: 0,
    neighbourMessages: 0,
    problems: [],
  };
  readonly #random: Random;
  readonly #log = new MemoryLog(4);
  readonly #onLog = new Set<string>();
  #door!: Awaited<ReturnType<typeof openDoor>>;
  #neighbour!: MqttClient;
  #heard = 0;
  #sequence = 0;
  readonly #reader = new FrameReader();
  readonly #frames = [0, 0, 0, 0];
  readonly #handshakes = new Map<string, Sent[]>();
  readonly #newest = new Map<string, number>();

  constructor(seed: number) {
    this.#random = new Random(seed, 'door');
  }

  async open(): Promise<void> {
    this.#door = await openDoor({
      log: this.#log,
      listeners: { tcp: { host: '127.0.0.1', port: 0 } },
      access: { anonymous: 'loopback', users: [] },
      batch: { lingerMs: 0, frameBytesMax: 4096, inFlightBytesMax: 1 << 20, tickMs: 60_000 },
      limits: { packetBytesMax: 64 * 1024, connectTimeoutMs: 2000, perAddress: { connectsPerSecondMax: 0 } },
      logger: silentLogger,
    });
    const url = `mqtt://127.0.0.1:${this.#port}`;
    this.#neighbour = await connectAsync(url, { clientId: 'neighbour', reconnectPeriod: 0 }, false);
    this.#neighbour.on('message', () => this.#heard++);
    this.#neighbour.on('close', () => this.result.problems.push('the neighbour was closed'));
    await this.#neighbour.subscribeAsync('neighbour/#', { qos: 1 });
  }

  get #port(): number {
    return this.#door.addresses.tcp!.port;
  }

  async round(round: number): Promise<void> {
    const random = this.#random;
    const clients = Array.from({ length: random.int(1, 8) }, () => this.#client(round));
    if (random.chance(0.1)) this.#log.failures.push(new SluiceError('LOG_UNAVAILABLE', 'away for a moment'));
    this.#log.holding = random.chance(0.2);
    const writing = Promise.all(clients.map((c) => this.#write(c.client, c.bytes, c.cuts, c.ending)));
    await writing;
    this.#log.holding = false;
    this.#log.release();
    await this.#serveNeighbour(round);
    for (const { client } of clients) {
      this.result.answers += client.packetsSeen;
      this.result.acksChecked += client.acksChecked;
      for (const problem of client.problems) this.result.problems.push(`round ${round}: ${problem}`);
      client.socket.destroy();
    }
    this.#readLog();
  }

  /** A client with all that it will say. */
  #client(round: number) {
    const random = this.#random;
    const id = random.pick(CLIENT_IDS);
    const parts: Buffer[] = [];
    if (!random.chance(0.03)) parts.push(connect(random, id));
    for (let i = random.int(0, 30); i > 0; i--) {
      if (random.chance(0.55)) {
        const device = random.chance(0.8) ? id : random.pick(CLIENT_IDS);
        const sequence = this.#sequence++;
        const payload = `${round}.${this.result.connections}:${sequence}:${checkOf(sequence)};`;
        parts.push(
          publish(random, `devices/${device}/telemetry`, payload + 'x'.repeat(random.chance(0.05) ? 5000 : 0)),
        );
      } else parts.push(other(random));
    }
    if (random.chance(0.05)) parts.push(connect(random, id));
    if (random.chance(0.5) && parts.length > 0) {
      const at = random.int(0, parts.length - 1);
      parts[at] = mutate(random, parts[at]);
    }
    if (random.chance(0.2)) parts.push(packet(0xe0));
    const bytes = Buffer.concat(parts);
    const cuts = Array.from({ length: random.chance(0.3) ? random.int(1, 60) : random.int(0, 3) }, () =>
      random.int(0, bytes.length),
    );
    this.result.connections++;
    this.result.packets += parts.length;
    this.result.bytes += bytes.length;
    const ending = random.pick(['destroy', 'end', 'stay', 'stay'] as const);
    const client = new FuzzClient(this.#port, this.#handshakes, (topic, payload) => this.#isOnLog(topic, payload));
    return { client, bytes, cuts: cuts.sort((a, b) => a - b), ending };
  }

  async #write(client: FuzzClient, bytes: Buffer, cuts: number[], ending: 'destroy' | 'end' | 'stay'): Promise<void> {
    let from = 0;
    for (const to of [...cuts, bytes.length]) {
      if (to > from) client.send(bytes.subarray(from, to));
      from = to;
      await new Promise((resolve) => setImmediate(resolve));
    }
    if (ending === 'destroy') client.socket.destroy();
    if (ending === 'end') client.socket.end();
  }

  /** The neighbour publishes and subscribes all the time, and must notice nothing. */
  async #serveNeighbour(round: number): Promise<void> {
    const served = Promise.all([
      this.#neighbour.publishAsync('devices/neighbour/telemetry', `n:${round};`, { qos: 1 }),
      this.#neighbour.publishAsync('neighbour/own', `${round}`, { qos: 2 }),
    ]);
    // A failure of the log that nobody else has met is the neighbour's; it was not meant for it.
    this.#log.failures.length = 0;
    await this.#inTime(served, `round ${round}: the neighbour got no acknowledgement`);
    const heard = async (): Promise<void> => {
      while (this.#heard <= this.result.neighbourMessages) await new Promise((resolve) => setTimeout(resolve, 1));
    };
    await this.#inTime(heard(), `round ${round}: the neighbour did not hear itself`);
    this.result.neighbourMessages++;
  }

  async #inTime(what: Promise<unknown>, problem: string): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<'late'>((resolve) => {
      timer = setTimeout(resolve, PATIENCE_MS, 'late');
    });
    if ((await Promise.race([what, late])) === 'late') this.result.problems.push(problem);
    clearTimeout(timer);
  }

  #isOnLog(topic: string, payload: string): boolean {
    if (this.#onLog.has(`${topic} ${payload}`)) return true;
    this.#readLog();
    return this.#onLog.has(`${topic} ${payload}`);
  }

  #newMessages(): { topic: string; payload: string }[] {
    const found: { topic: string; payload: string }[] = [];
    for (let partition = 0; partition < this.#log.partitions; partition++) {
      const frames = this.#log.framesOf(partition);
      for (; this.#frames[partition] < frames.length; this.#frames[partition]++) {
        this.#reader.reset(frames[this.#frames[partition]].bytes);
        while (this.#reader.next())
          found.push({ topic: this.#reader.topic(), payload: Buffer.from(this.#reader.payload()).toString('latin1') });
      }
    }
    return found;
  }

  /** Notes what is new on the log, and that each connection's messages for a device stand in the order in which they were sent. */
  #readLog(): void {
    for (const { topic, payload } of this.#newMessages()) {
      this.#onLog.add(`${topic} ${payload}`);
      this.result.messagesLogged++;
      const told = /^(\d+\.\d+):(\d+):(\w+);x*$/.exec(payload);
      // A digit that was damaged on the way says nothing of the order.
      if (told === null || told[3] !== checkOf(Number(told[2]))) continue;
      const key = `${topic} ${told[1]}`;
      const sequence = Number(told[2]);
      if (sequence < (this.#newest.get(key) ?? -1)) this.result.problems.push(`${topic}: ${payload} is out of order`);
      this.#newest.set(key, sequence);
    }
    if (this.#newest.size > 5000) this.#newest.clear();
  }

  /** All that came is gone again. */
  async finish(): Promise<void> {
    for (const clientId of CLIENT_IDS) {
      const client = new FuzzClient(this.#port, new Map(), () => true);
      client.send(packet(0x10, field('MQTT'), Uint8Array.of(4, 2, 0, 0), field(clientId)));
      while (client.packetsSeen === 0 && !client.closed) await new Promise((resolve) => setTimeout(resolve, 1));
      client.socket.destroy();
    }
    const gone = async (): Promise<void> => {
      while (this.#door.stats().connections > 1 || this.#door.stats().messagesInFlight > 0)
        await new Promise((resolve) => setTimeout(resolve, 5));
    };
    await this.#inTime(gone(), `something stays: ${JSON.stringify(this.#door.stats())}`);
    const { socketsPaused } = this.#door.stats();
    if (socketsPaused > 0) this.result.problems.push(`${socketsPaused} sockets are paused with nobody there`);
  }

  async close(): Promise<void> {
    this.#neighbour.removeAllListeners('close');
    await this.#neighbour.endAsync(true);
    await this.#door.close();
  }
}

function checkOf(sequence: number): string {
  return (Math.imul(sequence + 1, 0x9e3779b1) >>> 0).toString(36);
}
