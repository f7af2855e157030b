import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';

/** Debian's Chromium, as it is installed by .ci/install. */
const EXECUTABLE = '/usr/bin/chromium';
const ARGS =
  '--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync';

/** True when there is a browser. Without one, tests of the page are left out with a line that says so; in CI that is an error. */
export function browserIsThere(): boolean {
  if (existsSync(EXECUTABLE)) return true;
  const message = `${EXECUTABLE} is not installed (apt-get install chromium): the page is not tested`;
  if (process.env.CI === 'true') throw new Error(message);
  console.warn(message);
  return false;
}

export function startBrowser(): Promise<Browser> {
  return chromium.launch({ executablePath: EXECUTABLE, args: ARGS.split(' ') });
}
