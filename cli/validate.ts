import { loadConfig } from '../config/load.ts';
import { warningsOf } from '../config/warnings.ts';
import { SluiceError } from '../model/errors.ts';

/** `sluice validate FILE`: says that the settings are right and what they amount to, or every problem with its place. */
export function validate(file: string): void {
  try {
    // Certificates and password files may belong to another machine; that they are missing here is no fault of the file.
    const config = loadConfig({ file, checkFiles: false, checkDevices: true });
    const { windows, alarms, access } = config;
    const named = (items: readonly { name: string }[]): string =>
      items.length === 0 ? 'none' : items.map((item) => item.name).join(', ');
    console.log(`${file} is valid.`);
    console.log(`  windows  ${named(windows)}`);
    console.log(`  alarms   ${named(alarms)}`);
    console.log(`  users    ${named(access.users)} (anonymous: ${access.anonymous})`);
    for (const warning of warningsOf(config)) console.log(`  note     ${warning}`);
  } catch (error) {
    if (!(error instanceof SluiceError) || error.code !== 'CONFIG_INVALID') throw error;
    console.error(error.message);
    process.exit(1);
  }
}
