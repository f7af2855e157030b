import { SluiceError } from '../model/errors.ts';
import { openLog, openStoreClient } from './engines.ts';
import { createLogger } from './logger.ts';
import { loadSettings, type StartOptions } from './settings.ts';
import { printStory } from './why/print.ts';
import { storyOf } from './why/story.ts';

export interface WhyCommand extends StartOptions {
  json?: boolean;
}

/** `sluice why ALARM`: the story of an alarm. Exit code 2 when there is none with this id. */
export async function why(id: string, options: WhyCommand): Promise<void> {
  if (!/^[0-9a-f-]{4,}$/i.test(id)) {
    throw new SluiceError('INPUT_INVALID', `"${id}" is not the id of an alarm`, {
      remedy: 'write the id, or at least its first 4 digits; the page and the table alarms have it',
    });
  }
  const { config } = loadSettings(options);
  const logger = createLogger({ role: 'why', level: 'warn', format: config.logging.format });
  const client = await openStoreClient(config, 'read', logger);
  const store = (await client.ping().catch(() => false)) ? client : null;
  const log = await openLog('reader', config, logger).catch(() => null);
  if (store === null) console.error('The store does not answer; what follows is from the log alone.');
  try {
    const story = await storyOf(id, { store, log, rules: config.alarms });
    if (story === null) {
      console.error(`No alarm has an id that begins with ${id}.`);
      process.exitCode = 2;
    } else console.log(options.json ? JSON.stringify(story) : printStory(story));
  } finally {
    await log?.close();
    await client.close();
  }
}
