import { encodeIdentity, FrameBuilder, TICK_TOPIC } from '../../model/frame.ts';
import { telemetryTopic } from '../../model/topics.ts';
import type { OfflineFrame } from '../../processors/offline/offline-engine.ts';
import type { Store } from '../../store/store.ts';
import type { Passed, PastSpan } from './log-source.ts';

/** Rows of one query at most, where minutes allow it. */
const ROWS_MAX = 200_000;
const MINUTE_MS = 60_000;
/** Bits of the column `flags`: the device gave no time; it was computed of other readings, and will be again. */
const UNTIMED = 1;
const DERIVED = 2;

interface Row {
  d: string;
  m: string;
  ts: number;
  v: number | null;
  x: string;
  r: number;
  p: number;
  o: number;
  i: number;
  f: number;
}

/**
 * The readings of the table as frames again, in order of the time received: each message as it was told apart by its position, with the values
 * that were stored of it. What was not stored (text that is no reading, redeliveries, refused messages) is not in it. Ticks come each
 * `tickMs` where a partition had nothing. Read in slices of whole minutes; only one is held.
 */
export async function* storeFrames(
  store: Store,
  span: PastSpan & { devices: readonly string[]; partitions: number; tickMs: number },
  passed: Passed,
): AsyncGenerator<OfflineFrame> {
  const rebuild = new Rebuild(span.partitions, span.tickMs);
  for (const slice of await slicesOf(store, span)) {
    const rows = await store.query<Row>(
      `SELECT device AS d, metric AS m, toUnixTimestamp64Milli(ts) AS ts, value AS v, text AS x,
         toUnixTimestamp64Milli(received) AS r, \`partition\` AS p, \`offset\` AS o, \`index\` AS i, flags AS f
       FROM readings FINAL
       WHERE received >= fromUnixTimestamp64Milli({fromMs:Int64}) AND received < fromUnixTimestamp64Milli({toMs:Int64})
         AND bitAnd(flags, ${DERIVED}) = 0
         AND ({all:UInt8} = 1 OR multiSearchAny(device, {parts:Array(String)}))
       ORDER BY received, \`partition\`, \`offset\`, \`index\`, metric, ts`,
      { ...slice, ...deviceParams(span.devices) },
    );
    const { wanted } = span;
    for (let at = 0; at < rows.length; ) {
      const first = rows[at];
      let end = at + 1;
      while (end < rows.length && sameMessage(rows[end], first)) end++;
      if (wanted === null || wanted(first.d)) yield* rebuild.message(rows.slice(at, end), passed);
      at = end;
    }
  }
  yield* rebuild.finish(span.toMs, passed);
}

/** A coarse choice for the server, by the longest plain part of each pattern; the exact one is made here. */
function deviceParams(patterns: readonly string[]): { all: number; parts: string[] } {
  const parts = patterns.map((pattern) =>
    pattern.split('*').reduce((longest, part) => (part.length > longest.length ? part : longest), ''),
  );
  const all = parts.length === 0 || parts.some((part) => part === '');
  return { all: all ? 1 : 0, parts: all ? [''] : parts };
}

function sameMessage(a: Row, b: Row): boolean {
  return a.o === b.o && a.i === b.i && a.p === b.p && a.r === b.r && a.d === b.d;
}

async function slicesOf(store: Store, { fromMs, toMs }: PastSpan): Promise<{ fromMs: number; toMs: number }[]> {
  const minutes = await store.query<{ minute: number | string; n: number | string }>(
    `SELECT intDiv(toUnixTimestamp64Milli(received), ${MINUTE_MS}) AS minute, count() AS n FROM readings
     WHERE received >= fromUnixTimestamp64Milli({fromMs:Int64}) AND received < fromUnixTimestamp64Milli({toMs:Int64})
     GROUP BY minute ORDER BY minute`,
    { fromMs, toMs },
  );
  const slices: { fromMs: number; toMs: number; rows: number }[] = [];
  for (const { minute, n } of minutes) {
    const start = Math.max(Number(minute) * MINUTE_MS, fromMs);
    const last = slices.at(-1);
    if (last !== undefined && last.rows + Number(n) <= ROWS_MAX) {
      last.toMs = Math.min((Number(minute) + 1) * MINUTE_MS, toMs);
      last.rows += Number(n);
    } else {
      slices.push({ fromMs: start, toMs: Math.min((Number(minute) + 1) * MINUTE_MS, toMs), rows: Number(n) });
    }
  }
  return slices;
}

/** Makes frames of messages: one for each `tickMs` and partition, or sooner when it has grown. */
class Rebuild {
  readonly #tickMs: number;
  readonly #builders: FrameBuilder[];
  readonly #offsets: number[];
  readonly #identities = new Map<string, Uint8Array>();
  readonly #tick = encodeIdentity('', TICK_TOPIC);
  #untilMs = Number.NEGATIVE_INFINITY;

  constructor(partitions: number, tickMs: number) {
    this.#tickMs = tickMs;
    this.#builders = Array.from({ length: partitions }, () => new FrameBuilder(4096));
    this.#offsets = new Array<number>(partitions).fill(0);
  }

  *message(rows: readonly Row[], passed: Passed): Generator<OfflineFrame> {
    const { d: device, r: receivedMs, p } = rows[0];
    if (this.#untilMs === Number.NEGATIVE_INFINITY) this.#untilMs = receivedMs + this.#tickMs;
    yield* this.#until(receivedMs, passed);
    const payload = Buffer.from(payloadOf(rows));
    let identity = this.#identities.get(device);
    if (identity === undefined) {
      identity = encodeIdentity(device, telemetryTopic(device));
      this.#identities.set(device, identity);
    }
    // A store may have been filled with more partitions than the log has now.
    const partition = p % this.#builders.length;
    this.#builders[partition].append(receivedMs, identity, payload, 0, payload.length);
    passed.fromMs ??= receivedMs;
    passed.toMs = receivedMs;
  }

  *finish(toMs: number, passed: Passed): Generator<OfflineFrame> {
    if (passed.fromMs === null) return;
    yield* this.#until(toMs, passed);
    yield* this.#close(toMs, passed);
  }

  /** Closes the frames of the time before, and lets the time go on. */
  *#until(nowMs: number, passed: Passed): Generator<OfflineFrame> {
    while (nowMs >= this.#untilMs) {
      yield* this.#close(this.#untilMs, passed);
      this.#untilMs += this.#tickMs;
    }
  }

  *#close(atMs: number, passed: Passed): Generator<OfflineFrame> {
    for (const [partition, builder] of this.#builders.entries()) {
      if (builder.messages === 0) builder.append(atMs, this.#tick, NOTHING, 0, 0);
      const bytes = builder.finish(4096);
      passed.frames++;
      passed.bytes += bytes.length;
      yield { partition, offset: this.#offsets[partition]++, bytes };
    }
  }
}

const NOTHING = new Uint8Array(0);

/** JSON as the README describes it: readings of one time together, those without a time alone. */
function payloadOf(rows: readonly Row[]): string {
  const objects: { ts: number | null; values: [string, number | string][] }[] = [];
  for (const { m, ts, v, x, f } of rows) {
    const own = (f & UNTIMED) === 0 ? ts : null;
    let object = objects.find((o) => o.ts === own);
    if (object === undefined) {
      object = { ts: own, values: [] };
      objects.push(object);
    }
    object.values.push([m, x !== '' || v === null ? x : v]);
  }
  const all = objects.map(({ ts, values }) => {
    const named = Object.fromEntries(values);
    return ts === null ? { values: named } : { ts, values: named };
  });
  return JSON.stringify(all.length === 1 ? all[0] : all);
}
