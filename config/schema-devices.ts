import { z } from 'zod';
import { checkedText, choice, list, pairs, path, section } from './fields.ts';
import { patternProblem } from './names.ts';
import { clip } from './quantity.ts';

/** Settings about devices: what is known of each, and how their payloads are read. */

/** The formats of payloads. Siblings of one shape in processors/. */
export const PAYLOAD_FORMATS = ['json'] as const;

const payloadFormat = choice('`json` is described in the README.', PAYLOAD_FORMATS).default('json');

const payloadRule = section('How the payloads of some devices are read.', {
  match: checkedText('Device id; `*` stands for any run of characters.', patternProblem),
  format: payloadFormat,
});

const text = (description: string) => z.string().describe(description).default('');

const registryItem = section('One device. It cannot be changed over HTTP.', {
  id: z.string().describe('The device id, as in the MQTT topic devices/{id}/telemetry.'),
  name: text('For people; empty: the id stands for it.'),
  site: text('Where it stands.'),
  model: text('What it is.'),
  tags: pairs('Further words, NAME: TEXT, to group and filter by.', 'text').prefault({}),
  thresholds: pairs('Limits of its own, NAME: NUMBER, for alarm rules that name them.', 'number').prefault({}),
});

export const devicesSection = section('What is known about the devices.', {
  registry: list(
    'Devices that are declared here. One that is left out later is removed from the registry; its readings stay.',
    registryItem,
  ).prefault([]),
  file: path(
    'A file of further devices: CSV with the header id,name,site,model,tag:NAME,threshold:NAME (of which only id must be there), or JSON (.json), an array of devices. It is read at the start, and again when it has changed; null for none.',
  )
    .nullable()
    .prefault(null),
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
    (value) =>
      value.includes('*') ? { what: `"${clip(value)}" is not one name`, remedy: 'write the name of one value' } : null,
  ).default('seq'),
});
