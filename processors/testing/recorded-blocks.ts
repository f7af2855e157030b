import type { AlarmEvent } from '../../model/alarm.ts';
import type { DeviceRow } from '../../model/device.ts';
import type { Blocks } from '../batch-builder.ts';

/** Where a line of a reading says that it is late: behind all that `add` is given. */
const LATE_AT = 10;

/** Blocks whose bytes are lines of text, one a row, so that a test can read and compare them. */
export function recordedBlocks(): Blocks {
  return {
    readings: (names) => {
      const lines = new Lines();
      return Object.assign(lines, {
        add(series: number, ...rest: unknown[]) {
          lines.line([names.device(series), names.metric(series), ...rest]);
        },
        markLate(row: number) {
          lines.set(row, LATE_AT, 'late');
        },
      });
    },
    rollups: () => withAdd(new Lines()),
    alarms: () => {
      const lines = new Lines();
      return Object.assign(lines, {
        add({ alarm, position }: AlarmEvent) {
          lines.line([alarm, position]);
        },
      });
    },
    alarmEvents: () => withAdd(new Lines()),
    ledger: () => withAdd(new Lines()),
    devices: () => {
      const lines = new Lines();
      return Object.assign(lines, {
        add(row: DeviceRow) {
          lines.line([{ ...row, tags: [...row.tags], thresholds: [...row.thresholds] }]);
        },
      });
    },
    quarantine: () => {
      const lines = new Lines();
      return Object.assign(lines, {
        add(row: { payload: Uint8Array }) {
          lines.line([{ ...row, payload: Buffer.from(row.payload).toString('latin1') }]);
        },
      });
    },
  };
}

/** The rows of a recorded block. */
export function linesOf(blocks: readonly Uint8Array[]): unknown[][] {
  return blocks.flatMap((block) =>
    Buffer.from(block)
      .toString('utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) =>
        JSON.parse(line, (_, value) => (Array.isArray(value?.entriesOfMap) ? new Map(value.entriesOfMap) : value)),
      ),
  );
}

class Lines {
  rows = 0;
  #text: string[] = [];

  line(values: unknown[]): void {
    this.rows++;
    this.#text.push(
      `${JSON.stringify(values, (_, value) => (value instanceof Map ? { entriesOfMap: [...value] } : value))}\n`,
    );
  }

  set(row: number, at: number, value: unknown): void {
    const values = JSON.parse(this.#text[row]);
    values[at] = value;
    this.#text[row] = `${JSON.stringify(values)}\n`;
  }

  finish(): Uint8Array<ArrayBuffer>[] {
    const text = this.#text.join('');
    this.#text = [];
    this.rows = 0;
    return text === '' ? [] : [new TextEncoder().encode(text)];
  }
}

function withAdd(lines: Lines) {
  return Object.assign(lines, {
    add(...values: unknown[]) {
      lines.line(values);
    },
  });
}
