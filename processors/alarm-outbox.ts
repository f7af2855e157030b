import type { AlarmEvent } from '../model/alarm.ts';
import { encodeCloudEvent } from '../model/cloudevent.ts';
import { encodeIdentity, FrameBuilder } from '../model/frame.ts';
import { alarmTopic } from '../model/topics.ts';
import type { LastAlarm } from './batch-output.ts';

/** A frame of alarm events is closed at this size, which every log takes. */
const FRAME_BYTES = 256 * 1024;

/**
 * Alarm events of one partition on their way to the log. After a restart frames are worked at again whose events are
 * on the log already; emission is the same each time, so those up to the last one on the log are left out.
 */
export class AlarmOutbox {
  #last: LastAlarm | null;
  #builder = new FrameBuilder(4096);
  #frames: Uint8Array<ArrayBuffer>[] = [];
  /** Events of the frame that the last event on the log came from. */
  #held: AlarmEvent[] = [];

  constructor(last: LastAlarm | null) {
    this.#last = last;
  }

  /** Whether events of this frame, or some of them, are on the log already. */
  isBehind(offset: number): boolean {
    return this.#last !== null && offset <= this.#last.offset;
  }

  add(event: AlarmEvent): void {
    const last = this.#last;
    if (last === null || event.position.offset > last.offset) this.#append(event);
    else if (event.position.offset === last.offset) this.#held.push(event);
  }

  /** The frame at `offset` has ended. */
  endFrame(offset: number): void {
    const last = this.#last;
    if (last === null || offset < last.offset) return;
    const at = this.#held.findIndex(({ alarm }) => `${alarm.id}-${alarm.version}` === last.eventId);
    // When it is not among them (the rules have changed) all are sent: receivers know an event by its id.
    for (const event of this.#held.slice(at + 1)) this.#append(event);
    this.#held = [];
    this.#last = null;
  }

  take(): Uint8Array<ArrayBuffer>[] {
    if (this.#builder.messages > 0) this.#frames.push(this.#finish());
    const frames = this.#frames;
    this.#frames = [];
    return frames;
  }

  #append(event: AlarmEvent): void {
    const { device, rule } = event.alarm;
    const payload = encodeCloudEvent(event);
    // Without a topic it is on the log for those who read it, and the door publishes it to nobody.
    const topic = event.notify ? alarmTopic(device, rule) : '';
    this.#builder.append(event.atMs, encodeIdentity(device, topic), payload, 0, payload.length);
    if (this.#builder.bytes >= FRAME_BYTES) this.#frames.push(this.#finish());
  }

  /** In a buffer of its own length, so that it can be passed between threads without what lies behind it. */
  #finish(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#builder.finish());
  }
}
