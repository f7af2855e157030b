import { z } from 'zod';
import { checkedText, choice, section } from './fields.ts';
import { patternProblem } from './names.ts';
import { clip } from './quantity.ts';

/** Settings that say what the data means: how payloads are read. */

/** The formats of payloads. Siblings of one shape in processors/. */
export const PAYLOAD_FORMATS = ['json'] as const;

const payloadFormat = choice('`json` is described in the README.', PAYLOAD_FORMATS).default('json');

const payloadRule = section('How the payloads of some devices are read.', {
  match: checkedText('Device id; `*` stands for any run of characters.', patternProblem),
  format: payloadFormat,
});

export const devicesSection = section('What is known about the devices.', {
  payload: z
    .union([
      z.array(payloadRule),
      // A single mapping stands for all devices. It is written `{format: json}`, so that the common case is one line.
      z.strictObject({ format: payloadFormat }).transform(({ format }) => [{ match: '*', format }]),
      // So does an empty value, as for every section and list.
      z.null().transform(() => [{ match: '*', format: 'json' as const }]),
    ])
    .meta({
      'x-type': 'list',
      description:
        'How payloads are read: one mapping for every device, or a list of which the first entry that matches counts. Devices that no entry matches are read as JSON.',
    })
    .prefault({ format: 'json' }),
  seq: checkedText(
    'Name of the value in which devices number their messages, each one more than the last: the ledger then tells gaps. It is stored as a reading as well. Empty: there is none.',
    (text) =>
      text.includes('*') ? { what: `"${clip(text)}" is not one name`, remedy: 'write the name of one value' } : null,
  ).default('seq'),
});
