import { afterEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../model/clock.ts';
import { SluiceError } from '../model/errors.ts';
import { encodeMessage } from '../model/frame.ts';
import { silentLogger } from '../model/logger.ts';
import { type DeviceOperation, encodeOperation, OPERATION_TOPIC, type Operation } from '../model/operation.ts';
import { partitionOf } from '../model/partition.ts';
import { OPERATIONS, OPERATIONS_GROUP } from '../model/topics.ts';
import { Batcher } from './batcher.ts';
import { eventually } from './door.fixture.ts';
import { MemoryLog } from './memory-log.fixture.ts';
import { OperationIntake } from './operation-intake.ts';
import { Pressure } from './pressure.ts';

const device = (id: string, version: number): DeviceOperation => ({
  ...{ kind: 'device', id: `op ${version}`, atMs: 1, by: '', device: id, version, expects: null, source: 'http' },
  entry: null,
});
const maintenance: Operation = {
  ...{ kind: 'maintenance', id: 'm', atMs: 1, by: '', window: 'w', removed: false, fromMs: 0, untilMs: 1 },
  ...{ sites: [], devices: [], rules: [], text: '' },
};

describe('the intake of operations', () => {
  const clock = new ManualClock();
  let log: MemoryLog;
  let intake: OperationIntake | undefined;

  async function start(frameBytesMax = 1 << 20, pressure = new Pressure(1 << 24)): Promise<void> {
    const options = { lingerMs: 0, frameBytesMax, inFlightBytesMax: 1 << 24, tickMs: 1e9 };
    const batcher = new Batcher(log, options, pressure, clock, silentLogger);
    intake = new OperationIntake(log, batcher, clock, silentLogger);
    await intake.start();
  }
  const ask = (...operations: Operation[]) =>
    Promise.all(
      operations.map((op) => log.append(OPERATIONS, 0, encodeMessage(1, '', OPERATION_TOPIC, encodeOperation(op)))),
    );
  const ids = () => log.messages().map(({ partition, payload }) => [partition, (JSON.parse(payload) as Operation).id]);
  const committed = (): number => log.commits.get(`${OPERATIONS_GROUP} ${OPERATIONS} 0`) ?? 0;
  const untilCommitted = (offset: number) =>
    eventually(() => {
      clock.advance(1000);
      return committed() === offset;
    });

  afterEach(async () => {
    await intake?.close();
    intake = undefined;
  });

  it('writes each into the partition of its device, or into every one, and goes on where it was', async () => {
    log = new MemoryLog(3);
    await ask(device('a', 1), maintenance);
    await start();
    await untilCommitted(2);
    const home = partitionOf('a', 3);
    expect(ids().filter(([, id]) => id === 'op 1')).toEqual([[home, 'op 1']]);
    expect(ids().filter(([, id]) => id === 'm')).toEqual([0, 1, 2].map((p) => [p, 'm']));
    await intake?.close();
    await ask(device('a', 2));
    await start();
    await untilCommitted(3);
    expect(ids()).toHaveLength(5);
  });

  it('takes a frame of them at a time, so that a door holds no more than that of what came at once', async () => {
    log = new MemoryLog(3);
    await ask(...Array.from({ length: 60 }, (_, n) => ({ ...maintenance, id: `m${n}` })));
    const pressure = new Pressure(1 << 24);
    let most = 0;
    const append = log.append.bind(log);
    log.append = (topic, partition, frame) => {
      most = Math.max(most, pressure.bytes);
      return append(topic, partition, frame);
    };
    await start(2000, pressure);
    await untilCommitted(60);
    for (const partition of [0, 1, 2]) {
      const here = ids().filter(([p]) => p === partition);
      expect(here.map(([, id]) => id)).toEqual(Array.from({ length: 60 }, (_, n) => `m${n}`));
    }
    // The frame, with what a message has besides its payload.
    expect(most).toBeLessThan(3000);
  });

  it('tries again what the log did not take, passes over what cannot be read, and commits nothing before', async () => {
    log = new MemoryLog(1);
    await log.append(OPERATIONS, 0, encodeMessage(1, '', OPERATION_TOPIC, Buffer.from('no operation')));
    await ask(device('a', 7));
    log.failures = [new SluiceError('LOG_UNAVAILABLE', 'away')];
    await start();
    await eventually(() => {
      clock.advance(0);
      return log.failures.length === 0 && committed() === 1;
    });
    expect(ids()).toEqual([]);
    await untilCommitted(2);
    expect(ids()).toEqual([[0, 'op 7']]);
  });
});
