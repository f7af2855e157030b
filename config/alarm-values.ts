import { parsed } from './fields.ts';
import { clip, describe, type Parsed } from './quantity.ts';

/** Values that only alarm rules have. */

/** A level: a number, or the name of a threshold in the device's registry entry with a number for devices without one. */
export interface LevelValue {
  /** Null: none is given. */
  number: number | null;
  device: string | null;
}

export function deviceLevel(description: string) {
  return parsed<LevelValue | null>((value) => (value === null ? { value: null } : parseLevel(value)))
    .meta({
      description: `${description} A number, or \`{device: NAME, default: NUMBER}\`: a threshold of the device's registry entry.`,
      'x-type': 'level',
      anyOf: [
        { type: 'number' },
        {
          type: 'object',
          properties: {
            device: { type: 'string', description: 'Name of a threshold in the registry.' },
            default: { type: ['number', 'null'], description: 'For devices without one; null watches none of them.' },
          },
          required: ['device'],
          additionalProperties: false,
        },
        { type: 'null' },
      ],
    })
    .prefault(null);
}

function parseLevel(value: unknown): Parsed<LevelValue> {
  const remedy = 'write a number, as 35 or 7.1, or {device: temp_max, default: 80}';
  if (typeof value === 'number' && Number.isFinite(value)) return { value: { number: value, device: null } };
  if (typeof value === 'string' && /^-?\d+(\.\d+)?$/.test(value.trim())) {
    return { what: `${describe(value)} is a text`, remedy: `write ${value.trim()} without quotes` };
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return { what: `${describe(value)} is not a number`, remedy };
  }
  const { device, default: number = null, ...others } = value as Record<string, unknown>;
  const [other] = Object.keys(others);
  if (other !== undefined) return { what: `a level has no "${clip(other)}"`, remedy };
  if (typeof device !== 'string' || device === '') {
    return { what: 'the name of the threshold is missing', remedy };
  }
  if (number !== null && (typeof number !== 'number' || !Number.isFinite(number))) {
    return { what: `the default ${describe(number)} is not a number`, remedy };
  }
  return { value: { number, device } };
}

/** A time of the day as minutes after midnight; 24:00 is the end of the day. */
export function dayTime(description: string) {
  return parsed<number>((value) => {
    const remedy = 'write a time of the day in quotes, as "08:00"';
    const match = typeof value === 'string' ? /^(\d{1,2}):(\d{2})$/.exec(value.trim()) : null;
    if (match === null) return { what: `${describe(value)} is not a time of the day`, remedy };
    const minutes = Number(match[1]) * 60 + Number(match[2]);
    if (Number(match[2]) > 59 || minutes > 1440) return { what: `${describe(value)} is no time of a day`, remedy };
    return { value: minutes };
  }).meta({ description, type: 'string', pattern: '^\\d{1,2}:\\d{2}$' });
}

export function metricProblem(text: string): { what: string; remedy: string } | null {
  if (text !== '' && !text.includes('*')) return null;
  return {
    what: `"${clip(text)}" is not the name of one metric`,
    remedy: 'write one metric, and a rule for each further one',
  };
}

export function timeZoneProblem(text: string): { what: string; remedy: string } | null {
  try {
    new Intl.DateTimeFormat('en', { timeZone: text });
    return null;
  } catch {
    return { what: `there is no time zone "${clip(text)}"`, remedy: 'write one as Europe/Berlin, or UTC' };
  }
}

export function dateProblem(text: string): { what: string; remedy: string } | null {
  const date = /^\d{4}-\d{2}-\d{2}$/.test(text) ? new Date(`${text}T00:00:00Z`) : null;
  if (date !== null && !Number.isNaN(date.getTime()) && date.toISOString().startsWith(text)) return null;
  return { what: `"${clip(text)}" is not a date`, remedy: 'write one as 2026-12-25' };
}
