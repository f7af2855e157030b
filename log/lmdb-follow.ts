import { SluiceError } from '../model/errors.ts';
import type { Pace } from './lmdb-pace.ts';
import type { Topic, Warn } from './lmdb-topic.ts';
import type { LogFrame } from './log.ts';

export interface FollowOptions {
  partition: number;
  /** Where to start, asked once the topic is there; null for the first held frame. */
  from: () => Promise<number | null>;
  bytesMax: number;
  deliver: (frames: LogFrame[]) => void | Promise<void>;
  signal: AbortSignal;
  onWarning: Warn;
  /** Who follows, for warnings. */
  who: string;
  /** Between looks, unless there is more than one look gives; absent: none. */
  pace?: Pace;
}

/**
 * Gives the frames of one partition in order until aborted: looks, delivers, and when there is nothing waits for a commit.
 * Frames that retention took before they were read are skipped with a warning. Rejects when `deliver` does.
 */
export async function follow(topic: Topic, options: FollowOptions): Promise<void> {
  const { partition, signal, bytesMax, deliver, pace } = options;
  const from = await options.from();
  let offset = from ?? 0;
  let exact = from !== null;
  let isMore = false;
  while (!signal.aborted) {
    if (pace !== undefined && !isMore) await pace.turn();
    const seen = topic.wake.count;
    const reader = topic.reader();
    let frames: LogFrame[] = [];
    isMore = false;
    if (reader !== null) {
      const seenThere = reader.look(partition, offset, bytesMax);
      const { first, next } = seenThere;
      if (offset < first && exact) warnLost(topic, options, offset, first);
      if (offset > next) warnAhead(topic, options, offset, next, first);
      offset = seenThere.offset;
      exact = true;
      frames = seenThere.frames;
      isMore = frames.length > 0 && offset + frames.length < next;
    }
    if (frames.length === 0) {
      // While frames come with nearly every look, the next look is soon enough, and nobody has to be woken for it.
      if (pace === undefined || !pace.isFlowing) await topic.wake.changed(seen, signal);
      continue;
    }
    pace?.found();
    offset = frames[frames.length - 1].offset + 1;
    await deliver(frames);
  }
}

function warnLost(topic: Topic, options: FollowOptions, offset: number, first: number): void {
  options.onWarning(`retention took ${first - offset} frames before ${options.who} had read them`, {
    topic: topic.name,
    partition: options.partition,
    framesLost: first - offset,
    wanted: offset,
    first,
  });
}

/** The log was replaced while the reader kept its place. Waiting for that offset would pass over what comes until then. */
function warnAhead(topic: Topic, options: FollowOptions, offset: number, next: number, first: number): void {
  options.onWarning(
    `${options.who} is to start at an offset that the topic has not reached; it starts at the first held`,
    {
      topic: topic.name,
      partition: options.partition,
      wanted: offset,
      next,
      first,
    },
  );
}

/** Runs followers until all have ended; the first failure ends the others and is given to `onError`, once. */
export function runAll(
  followers: (() => Promise<void>)[],
  abort: AbortController,
  onError: (error: Error) => void,
): Promise<void> {
  const runs = followers.map(async (run) => {
    try {
      await run();
    } catch (error) {
      if (abort.signal.aborted) return;
      abort.abort();
      onError(error instanceof Error ? error : new SluiceError('LOG_UNAVAILABLE', String(error)));
    }
  });
  return Promise.all(runs).then(() => undefined);
}
