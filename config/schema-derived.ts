import { DERIVED_PLACE } from '../model/derived.ts';
import { checkedText, duration, expression, list, section } from './fields.ts';
import { patternProblem } from './names.ts';
import { clip } from './quantity.ts';

const derivedItem = section(
  'One metric that is computed. It is stored, and goes through windows and alarm rules, as one that is sent.',
  {
    name: checkedText('Name of the metric that is made. Devices that send it themselves keep their own.', (text) =>
      text === '' || text.includes('*')
        ? { what: `"${clip(text)}" is not the name of one metric`, remedy: 'write one name' }
        : null,
    ),
    devices: list(
      'Which devices; an empty list means every one.',
      checkedText('A name; `*` stands for any run of characters.', patternProblem),
    ).prefault([]),
    expression: expression(
      'How it is computed, in CEL (docs/expressions.md), from `metrics.NAME`: the newest value of each metric of the device. Evaluated when one of them comes.',
      DERIVED_PLACE,
    ),
    maxAgeMs: duration(
      'A value older than this beside the newest one is not used; null uses it however old it is. `0s` asks for values of the same time, which suits devices that send each metric in a message of its own.',
      { max: 366 * 86_400_000 },
    )
      .nullable()
      .prefault(null),
  },
);

export const derivedSection = list(
  'Metrics that are computed from other metrics of the same device.',
  derivedItem,
).prefault([]);
