import { featuresOf } from './features.ts';
import { Random } from './random.ts';

/**
 * What one seed does: how large its world is, which faults happen in it, and how often. Each seed enables a random subset of the
 * faults (swarm testing: a fault that is always there hides what only its absence would show), at rates of its own.
 */
export interface Plan {
  log: 'disk' | 'kafka';
  partitions: number;
  doors: number;
  /** By how much the clock of the second door differs. */
  doorSkewMs: number;
  processors: number;
  workers: number;
  devices: number;
  messagesPerDevice: number;
  /** Mean pause between a device's messages. */
  messagePauseMs: number;
  startMs: number;
  lingerMs: number;
  frameBytesMax: number;
  inFlightBytesMax: number;
  tickMs: number;
  checkpointMs: number;
  batchBytesMax: number;
  batchesMax: number;
  roomBytesMax: number;
  insertRowsMax: number;
  drainMs: number;
  idleMs: number;
  clockSkewMaxMs: number;
  /** Threads get copies whose buffers are moved, as real ones do. */
  threadsMove: boolean;
  /** How long faults go on; then all heals and drains. */
  chaosMs: number;
  /** All delays are multiplied by this. */
  slowness: number;
  faults: Faults;
  /** What else the engine is asked for; null: tumbling windows and thresholds alone. */
  features: ReturnType<typeof featuresOf>;
}

/** Mean time between faults in ms, or a probability for each occasion; 0: never. */
export interface Faults {
  doorCrashMs: number;
  doorRestartMs: number;
  processorCrashMs: number;
  processorRestartMs: number;
  storeCrashMs: number;
  storeAwayMs: number;
  powerLossMs: number;
  workerDeathMs: number;
  logFullMs: number;
  logAwayMs: number;
  slowDiskMs: number;
  clockJumpMs: number;
  clockJumpBackMs: number;
  linkLossMs: number;
  rebalanceMs: number;
  checkpointRotMs: number;
  mergeMs: number;
  appendFails: number;
  /** Of the appends that fail, how many are on the log all the same. */
  appendLands: number;
  readFails: number;
  saveFails: number;
  answerLost: number;
  insertSlow: number;
  partialInsert: number;
  tokensForgotten: number;
  /** What a dead process had sent lands later, instead of at once or never. */
  landsLate: number;
  zombies: number;
}

export function planOf(seed: number): Plan {
  const r = new Random(seed, 'plan');
  const log = r.chance(0.6) ? 'disk' : 'kafka';
  const quick = r.chance(0.3);
  // Most worlds are small: more of them find more. Some are large enough to fill what is bounded.
  const messages = r.chance(0.85) ? r.int(15, 60) : r.int(60, 250);
  const chaosMs = 3000 + messages * r.between(40, 250);
  const devices = r.int(1, 6);
  const messagesPerDevice = Math.ceil(messages / devices);
  return {
    log,
    partitions: r.int(1, 3),
    doors: log === 'kafka' ? r.int(1, 2) : 1,
    doorSkewMs: r.chance(0.5) ? 0 : r.int(-90_000, 90_000),
    processors: log === 'kafka' ? r.int(1, 3) : 1,
    workers: r.int(1, 2),
    devices,
    messagesPerDevice,
    messagePauseMs: (chaosMs / messagesPerDevice) * r.between(0.3, 1.1),
    // A UTC midnight is near in some seeds: blocks are cut there.
    startMs: r.chance(0.2) ? 1_760_054_400_000 - r.int(0, 20_000) : 1_760_000_000_000 + r.int(0, 5000),
    lingerMs: r.pick([0, 1, 5, 20]),
    frameBytesMax: r.pick([300, 1000, 64 * 1024]),
    inFlightBytesMax: r.pick([600, 2000, 1024 * 1024]),
    tickMs: r.pick([500, 1000, 3000]),
    checkpointMs: r.pick([300, 1000, 5000]),
    batchBytesMax: r.pick([200, 1000, 1024 * 1024]),
    batchesMax: r.int(1, 4),
    roomBytesMax: r.pick([400, 3000, 64 * 1024 * 1024]),
    insertRowsMax: r.pick([5, 40, 200_000]),
    drainMs: r.pick([50, 2000, 15_000]),
    idleMs: r.pick([2000, 6000, 30_000]),
    clockSkewMaxMs: r.pick([60_000, 600_000]),
    threadsMove: r.chance(0.25),
    chaosMs,
    slowness: r.chance(0.2) ? r.between(5, 40) : quick ? 0.2 : 1,
    faults: faultsOf(r, log, chaosMs),
    features: featuresOf(seed),
  };
}

function faultsOf(r: Random, log: Plan['log'], chaosMs: number): Faults {
  /** Mostly off; when on, from a few in a run to a dozen. */
  const often = (chance: number): number => (r.chance(chance) ? chaosMs / r.between(1, 12) : 0);
  const sometimes = (chance: number, most: number): number => (r.chance(chance) ? r.next() * most : 0);
  const kafka = log === 'kafka';
  return {
    doorCrashMs: often(0.35),
    doorRestartMs: often(0.15),
    processorCrashMs: often(0.5),
    processorRestartMs: often(0.25),
    storeCrashMs: often(0.3),
    storeAwayMs: often(0.25),
    powerLossMs: kafka ? 0 : often(0.2),
    workerDeathMs: often(0.3),
    logFullMs: kafka ? 0 : often(0.2),
    logAwayMs: kafka ? often(0.3) : 0,
    slowDiskMs: often(0.2),
    clockJumpMs: often(0.15),
    clockJumpBackMs: often(0.15),
    linkLossMs: often(0.35),
    rebalanceMs: kafka ? often(0.4) : 0,
    checkpointRotMs: often(0.25),
    mergeMs: often(0.2),
    appendFails: sometimes(0.3, 0.1),
    appendLands: kafka ? sometimes(0.7, 1) : 0,
    readFails: sometimes(0.2, 0.1),
    saveFails: sometimes(0.2, 0.3),
    answerLost: sometimes(0.35, 0.3),
    insertSlow: sometimes(0.25, 0.3),
    partialInsert: sometimes(0.3, 0.5),
    tokensForgotten: sometimes(0.15, 1),
    landsLate: sometimes(0.2, 1),
    zombies: kafka ? sometimes(0.3, 1) : 0,
  };
}
