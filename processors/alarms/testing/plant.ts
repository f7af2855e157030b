import type { AlarmEvent, ThresholdRule } from '../../../model/alarm.ts';
import { encodeIdentity, FrameBuilder, TICK_TOPIC } from '../../../model/frame.ts';
import { encodeOperation, OPERATION_TOPIC, type Operation } from '../../../model/operation.ts';
import { telemetryTopic } from '../../../model/topics.ts';
import { at, options, Run } from '../../testing/run.ts';

/** What happens to a partition. Times are seconds since its start; readings of a device come in order. */
export type Step =
  | { do: 'reading'; device: string; value: number; metric?: string }
  | { do: 'wait'; seconds: number }
  | { do: 'operate'; operation: Partial<Operation> & { kind: 'alarm' | 'maintenance' }; again?: boolean };

/** The steps, a frame each, the clock a second further with each. */
export class Plant {
  readonly run: Run;
  seconds = 0;
  #operations = 0;

  constructor(rules: ThresholdRule[], more: Parameters<typeof options>[0] = {}) {
    this.run = new Run(options({ windows: [], rules, ...more }));
  }

  step(step: Step): void {
    this.seconds += step.do === 'wait' ? step.seconds : 1;
    const nowMs = at(this.seconds);
    const builder = new FrameBuilder(256);
    const add = (identity: ReturnType<typeof encodeIdentity>, payload: Uint8Array) =>
      builder.append(nowMs, identity, payload, 0, payload.length);
    if (step.do === 'wait') add(encodeIdentity('', TICK_TOPIC), new Uint8Array(0));
    else if (step.do === 'reading') {
      const { device, value, metric = 't' } = step;
      add(encodeIdentity(device, telemetryTopic(device)), Buffer.from(`{"ts":${nowMs},"${metric}":${value}}`));
    } else {
      const operation = this.#complete(step.operation, nowMs);
      for (let n = step.again ? 2 : 1; n > 0; n--) add(encodeIdentity('', OPERATION_TOPIC), encodeOperation(operation));
    }
    this.run.frame(new Uint8Array(builder.finish()));
  }

  steps(...steps: Step[]): this {
    for (const step of steps) this.step(step);
    return this;
  }

  #complete(over: Partial<Operation> & { kind: Operation['kind'] }, atMs: number): Operation {
    const asked = { id: `op-${this.#operations++}`, atMs, by: 'ann' };
    if (over.kind === 'alarm')
      return { ...asked, action: 'comment', device: 'd1', rule: 'hot', alarm: null, text: '', untilMs: null, ...over };
    const lists = { sites: [], devices: [], rules: [] };
    return { ...asked, window: 'w', removed: false, fromMs: 0, untilMs: 0, text: '', ...lists, ...over } as Operation;
  }

  events(): AlarmEvent[] {
    return this.run.cut().rows.alarm_events.map(([event]) => event as AlarmEvent);
  }

  /** Each transition as a word, with a mark where subscribers hear nothing. */
  story(): string[] {
    return this.events().map(
      ({ transition, alarm, notify }) => `${transition} ${alarm.life}${notify ? '' : ' (muted)'}`,
    );
  }
}

export const high = (device = 'd1', value = 40): Step => ({ do: 'reading', device, value });
export const low = (device = 'd1'): Step => ({ do: 'reading', device, value: 10 });
export const wait = (seconds: number): Step => ({ do: 'wait', seconds });
export const operate = (
  action: 'acknowledge' | 'comment' | 'shelve' | 'unshelve' | 'reset' | 'out-of-service' | 'in-service',
  more: object = {},
): Step => ({ do: 'operate', operation: { kind: 'alarm', action, ...more } });
