import { warningsOf } from '../config/warnings.ts';
import { systemClock } from '../model/clock.ts';
import { SluiceError } from '../model/errors.ts';
import { checkAccess } from './doctor/access.ts';
import { type Check, type Examine, fail, ok, type Patient, reasonOf, warn } from './doctor/check.ts';
import { checkData } from './doctor/data.ts';
import { checkKafka } from './doctor/kafka.ts';
import { checkLog } from './doctor/log.ts';
import { checkMachine, checkNative, checkNode } from './doctor/machine.ts';
import { checkPage, checkPorts, checkRoles, runningRoles } from './doctor/running.ts';
import { checkStore } from './doctor/store.ts';
import { loadSettings, type StartOptions } from './settings.ts';

export interface DoctorOptions extends StartOptions {
  json?: boolean;
}

export interface Diagnosis {
  state: Check['state'];
  checks: Check[];
}

/** In the order in which somebody would look: the machine, the settings, what is stored, what runs. */
const EXAMINATIONS: readonly [name: string, examine: Examine][] = [
  ['native', checkNative],
  ['machine', checkMachine],
  ['access', checkAccess],
  ['data', checkData],
  ['ports', checkPorts],
  ['log', checkLog],
  ['kafka', checkKafka],
  ['store', checkStore],
  ['roles', checkRoles],
  ['page', checkPage],
];
/** One examination that hangs must not keep the others from being told. */
const PATIENCE_MS = 20_000;

/** `sluice doctor`: checks an installation, stopped or running, and exits with 0 (all well), 1 (warnings) or 2 (failures). */
export async function doctor(options: DoctorOptions): Promise<never> {
  const diagnosis = await diagnose(options);
  console.log(options.json ? JSON.stringify(diagnosis, null, 2) : report(diagnosis));
  process.exit({ ok: 0, warn: 1, fail: 2 }[diagnosis.state]);
}

/** Looks at everything; changes nothing but for a small file of its own that it flushes and removes. Never rejects. */
export async function diagnose(options: StartOptions): Promise<Diagnosis> {
  const checks: Check[] = [checkNode(process.versions.node)];
  const patient = admit(options, checks);
  if (patient !== null) {
    for (const [name, examine] of EXAMINATIONS) checks.push(...(await carryOut(name, examine, patient)));
  }
  const states = checks.map((check) => check.state);
  return { state: states.includes('fail') ? 'fail' : states.includes('warn') ? 'warn' : 'ok', checks };
}

function admit(options: StartOptions, checks: Check[]): Patient | null {
  try {
    const { config, configFile } = loadSettings(options);
    checks.push(
      ok('settings', configFile === null ? 'the defaults hold (no sluice.yaml here)' : `${configFile} is valid`),
    );
    for (const warning of warningsOf(config)) checks.push(warn('settings.open', warning, 'see the sentence itself'));
    return { config, running: runningRoles(config), nowMs: () => systemClock.nowMs() };
  } catch (error) {
    const what = error instanceof SluiceError ? error.message : reasonOf(error);
    checks.push(fail('settings', what, 'correct what is named, and try `sluice validate`'));
    return null;
  }
}

async function carryOut(name: string, examine: Examine, patient: Patient): Promise<Check[]> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Check[]>((resolve) => {
    const tooLong = fail(name, `took more than ${PATIENCE_MS / 1000} s`, 'something that it asks does not answer');
    timer = setTimeout(() => resolve([tooLong]), PATIENCE_MS);
  });
  try {
    return await Promise.race([(async () => examine(patient))(), late]);
  } catch (error) {
    return [fail(name, `could not be examined: ${reasonOf(error)}`, 'run as the user that runs Sluice')];
  } finally {
    clearTimeout(timer);
  }
}

const MARKS = { ok: 'ok  ', warn: 'WARN', fail: 'FAIL' } as const;

export function report({ checks }: Diagnosis): string {
  const width = Math.max(...checks.map((check) => check.name.length));
  const lines = checks.map(({ state, name, what, remedy }) => {
    const line = `${MARKS[state]}  ${name.padEnd(width)}  ${what}`;
    return remedy === '' ? line : `${line}\n${' '.repeat(width + 8)}→ ${remedy}`;
  });
  const count = (state: Check['state']): number => checks.filter((check) => check.state === state).length;
  return [...lines, '', `${count('ok')} well, ${count('warn')} to look at, ${count('fail')} failed`].join('\n');
}
