import { SluiceError } from '../model/errors.ts';
import { keyOf, uniformsAt } from './random.ts';
import { DAY_MS, MINUTE_MS, SECOND_MS } from './signals.ts';

/**
 * What goes wrong in the world. All of it is drawn from the seed, so that a run can be repeated. Rates are chances from 0 to 1:
 * for each reading, or where it says so for each device or each minute of a device.
 */
export interface Troubles {
  /** A reading is published late, up to `lateMsMax` after its time; what was measured later overtakes it. */
  late: number;
  lateMsMax: number;
  /** A reading is published twice, the second time up to `duplicateMsMax` later. */
  duplicate: number;
  duplicateMsMax: number;
  /** Share of the devices whose clock is wrong by a constant, up to `clockOffsetMsMax` either way. */
  clockOffset: number;
  clockOffsetMsMax: number;
  /** Share of the devices whose clock runs too fast or too slow, by up to `clockDriftPpmMax` millionths. */
  clockDrift: number;
  clockDriftPpmMax: number;
  /** A reading is stamped with a clock that was reset: 1970 or 2099. */
  clockJump: number;
  /** A device loses its connection, for each minute, for up to `dropMsMax`; it buffers, and catches up. */
  drop: number;
  dropMsMax: number;
  /** A payload is broken in one of the ways of BROKEN_KINDS. Its reading is not sent otherwise. */
  broken: number;
}

export const NO_TROUBLES: Troubles = {
  late: 0,
  lateMsMax: 30 * SECOND_MS,
  duplicate: 0,
  duplicateMsMax: 5 * SECOND_MS,
  clockOffset: 0,
  clockOffsetMsMax: 10 * MINUTE_MS,
  clockDrift: 0,
  clockDriftPpmMax: 200,
  clockJump: 0,
  drop: 0,
  dropMsMax: 20 * SECOND_MS,
  broken: 0,
};

/** A bit of everything. */
const SOME_TROUBLES: Troubles = {
  ...NO_TROUBLES,
  late: 0.02,
  duplicate: 0.02,
  clockOffset: 0.05,
  clockDrift: 0.1,
  clockJump: 0.001,
  drop: 0.1,
  broken: 0.005,
};

const SHARES = new Set<string>(['late', 'duplicate', 'clockOffset', 'clockDrift', 'clockJump', 'drop', 'broken']);

/**
 * Reads `late=0.05,duplicate=0.01,lateMsMax=60000`, or `some` for a bit of everything, or `none`. Throws INPUT_INVALID for an
 * unknown name, a rate outside 0 … 1, or a bound that is not a positive number.
 */
export function troublesOf(text: string): Troubles {
  if (text === 'none' || text === '') return NO_TROUBLES;
  const names = Object.keys(NO_TROUBLES) as (keyof Troubles)[];
  const troubles = { ...NO_TROUBLES };
  for (const part of text.split(',')) {
    if (part === 'some') {
      Object.assign(troubles, SOME_TROUBLES);
      continue;
    }
    const [key, value] = part.split('=').map((s) => s.trim());
    const name = names.find((n) => n === key);
    const number = value === undefined || value === '' ? Number.NaN : Number(value);
    const share = name !== undefined && SHARES.has(name);
    const fits = share ? number >= 0 && number <= 1 : number > 0 && Number.isFinite(number);
    if (name === undefined || !fits) {
      throw new SluiceError('INPUT_INVALID', `'${part}' does not name a trouble`, {
        remedy: share
          ? 'a rate is a number from 0 to 1'
          : `write NAME=NUMBER with a name of ${names.join(', ')}, or 'some', or 'none'`,
      });
    }
    troubles[name] = number;
  }
  return troubles;
}

const CLOCK = keyOf('troubles.clock');
const READING = keyOf('troubles.reading');
const DROP = keyOf('troubles.drop');

/** What becomes of one reading. Delays are from its own time; a delay of 0 is on time. */
export interface Fate {
  /** What the device's clock shows instead of the time. */
  stampMs: number;
  delayMs: number;
  /** When it is published again; null mostly. */
  againMs: number | null;
  broken: BrokenKind | null;
}

/** What becomes of the reading that a device took at `tsMs`. A function of its arguments. */
export function fateOf(troubles: Troubles, seed: number, device: number, tsMs: number): Fate {
  const draw = uniformsAt(seed, READING, device, tsMs);
  // Every draw is made whatever the rates, so that turning one trouble on leaves the others where they were.
  const late = draw();
  const lateBy = draw();
  const twice = draw();
  const twiceAfter = draw();
  const jump = draw();
  const jumpTo = draw();
  const broken = draw();
  const how = draw();
  const delayMs = late < troubles.late ? 1 + Math.floor(lateBy * troubles.lateMsMax) : 0;
  return {
    stampMs:
      jump < troubles.clockJump
        ? jumpTo < 0.5
          ? jumpTo * DAY_MS
          : YEAR_2099_MS
        : clockOf(troubles, seed, device, tsMs),
    delayMs,
    againMs: twice < troubles.duplicate ? delayMs + 1 + Math.floor(twiceAfter * troubles.duplicateMsMax) : null,
    broken: broken < troubles.broken ? BROKEN_KINDS[Math.floor(how * BROKEN_KINDS.length)] : null,
  };
}

const YEAR_2099_MS = Date.UTC(2099, 0, 1);
/** Drift counts from here; a clock that has run wrong for ever would be years off. It is set right each day. */
const CLOCK_SET_EACH_MS = DAY_MS;

function clockOf(troubles: Troubles, seed: number, device: number, tsMs: number): number {
  if (troubles.clockOffset === 0 && troubles.clockDrift === 0) return tsMs;
  const draw = uniformsAt(seed, CLOCK, device);
  const off = draw();
  const offBy = (draw() * 2 - 1) * troubles.clockOffsetMsMax;
  const drifts = draw();
  const ppm = (draw() * 2 - 1) * troubles.clockDriftPpmMax;
  let shown = tsMs;
  if (off < troubles.clockOffset) shown += offBy;
  if (drifts < troubles.clockDrift) shown += ((tsMs % CLOCK_SET_EACH_MS) * ppm) / 1e6;
  return Math.round(shown);
}

/** When the connection that is away at `tsMs` comes back; null when it is there. Each minute is drawn for itself. */
export function offlineUntil(troubles: Troubles, seed: number, device: number, tsMs: number): number | null {
  if (troubles.drop === 0) return null;
  const slot = Math.floor(tsMs / MINUTE_MS);
  const draw = uniformsAt(seed, DROP, device, slot);
  if (draw() >= troubles.drop) return null;
  const lengthMs = Math.min(MINUTE_MS - 2, 500 + draw() * Math.max(0, troubles.dropMsMax - 500));
  const startMs = slot * MINUTE_MS + draw() * (MINUTE_MS - 1 - lengthMs);
  return tsMs >= startMs && tsMs < startMs + lengthMs ? Math.ceil(startMs + lengthMs) : null;
}

/** The ways in which a payload is broken. Each ends in the quarantine, or in readings without the part that is wrong. */
export const BROKEN_KINDS = [
  'truncated',
  'not json',
  'empty',
  'not utf-8',
  'not a number',
  'too large a number',
  'no object',
  'prototype',
  'deep',
  'time of year 9999',
  'negative time',
] as const;
export type BrokenKind = (typeof BROKEN_KINDS)[number];

/** The bytes of a payload that is broken in the given way; `whole` is what it would have been. */
export function breakPayload(kind: BrokenKind, whole: string, tsMs: number): Buffer {
  switch (kind) {
    case 'truncated':
      return Buffer.from(whole.slice(0, Math.floor(whole.length / 2)));
    case 'not json':
      return Buffer.from(`temp=21.5;ts=${tsMs}`);
    case 'empty':
      return Buffer.alloc(0);
    case 'not utf-8':
      return Buffer.concat([Buffer.from(whole.slice(0, -1)), Buffer.from([0xc3, 0x28, 0xff])]);
    case 'not a number':
      return Buffer.from(`{"ts":${tsMs},"temperature":NaN}`);
    case 'too large a number':
      return Buffer.from(`{"ts":${tsMs},"temperature":1e999}`);
    case 'no object':
      return Buffer.from('42');
    case 'prototype':
      return Buffer.from(`{"ts":${tsMs},"__proto__":{"temperature":1},"constructor":2}`);
    case 'deep':
      return Buffer.from(`{"ts":${tsMs},"a":${'{"a":'.repeat(200)}1${'}'.repeat(201)}`);
    case 'time of year 9999':
      return Buffer.from('{"ts":"9999-12-31T23:59:59Z","temperature":21.5}');
    case 'negative time':
      return Buffer.from('{"ts":-1,"temperature":21.5}');
  }
}
