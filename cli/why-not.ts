import { formatQuantity } from '../config/quantity.ts';
import type { Config } from '../config/schema.ts';
import { nearest } from '../config/suggest.ts';
import type { AlarmRule } from '../model/alarm.ts';
import { SluiceError } from '../model/errors.ts';
import { partitionOf } from '../model/partition.ts';
import { matcher } from '../model/pattern.ts';
import { OfflineEngine } from '../processors/offline/offline-engine.ts';
import { warmUpOf } from './backtest/backtest.ts';
import { logFrames, type Passed } from './backtest/log-source.ts';
import { openLog } from './engines.ts';
import { createLogger } from './logger.ts';
import { pipelineOptionsOf } from './pipeline-options.ts';
import { loadSettings, type StartOptions } from './settings.ts';
import { timeOf } from './time-argument.ts';
import { type Nearness, NearnessWatch } from './why/nearness.ts';
import { printNearness } from './why/print-nearness.ts';

export interface WhyNotCommand extends StartOptions {
  from?: string;
  to?: string;
  json?: boolean;
}

const SPAN_MS = 6 * 3_600_000;

/**
 * `sluice why-not RULE DEVICE`: runs the device's past from the log through the engine and tells how near the rule came. Exit code 2
 * when the device was not heard of.
 */
export async function whyNot(name: string, device: string, options: WhyNotCommand): Promise<void> {
  const { config } = loadSettings(options);
  const rule = ruleOf(name, config);
  const toMs = options.to === undefined ? Date.now() : timeOf(options.to);
  const fromMs = options.from === undefined ? toMs - SPAN_MS : timeOf(options.from);
  if (!(fromMs < toMs)) {
    throw new SluiceError('INPUT_INVALID', 'the span to look at is empty', { remedy: 'give --from before --to' });
  }
  const span = { fromMs, toMs };
  const watch = new NearnessWatch(rule, device, span);
  const passed: Passed = { fromMs: null, toMs: null, frames: 0, bytes: 0 };
  const logger = createLogger({ role: 'why-not', level: 'warn', format: config.logging.format });
  const log = await openLog('reader', config, logger);
  try {
    const partition = partitionOf(device, log.partitions);
    const engine = new OfflineEngine(
      pipelineOptionsOf(config),
      {
        onReading: watch.reading,
        onAlarmEvent: watch.event,
      },
      log.partitions,
    );
    const past = { fromMs: fromMs - warmUpOf([config]), toMs, partition };
    const wanted = isOfOneDevice(rule) ? (id: string) => id === device : null;
    for await (const frame of logFrames(log, { ...past, wanted }, passed)) {
      engine.process(frame);
      watch.look(engine.pipeline(partition)?.explain(device) ?? []);
    }
  } finally {
    await log.close();
  }
  const near: Nearness = {
    rule: name,
    device,
    kind: rule.kind,
    span,
    conditions: conditionsOf(rule, device, watch, { config, span, passed }),
    heard: [...watch.heard.values()],
    levels: [...watch.levels.values()].map(({ pendingFromMs: _, ...level }) => level),
    now: watch.now,
    raised: watch.raised,
  };
  console.log(options.json ? JSON.stringify(near) : printNearness(near));
  if (watch.heard.size === 0) process.exitCode = 2;
}

function ruleOf(name: string, config: Config): AlarmRule {
  const rule = config.alarms.find((alarm) => alarm.name === name);
  if (rule !== undefined) return rule;
  const names = config.alarms.map((alarm) => alarm.name);
  const near = nearest(name, names);
  throw new SluiceError('INPUT_INVALID', `there is no rule ${name} in the settings`, {
    remedy: near === null ? `the rules are ${names.join(', ') || 'none'}` : `did you mean ${near}?`,
  });
}

/** Rules that look at nothing but the device itself; for the others its whole partition is run. */
function isOfOneDevice(rule: AlarmRule): boolean {
  const alone =
    rule.kind === 'threshold' || rule.kind === 'rate' || rule.kind === 'repeat' || rule.kind === 'deviation';
  return alone && (rule.inhibitedBy ?? []).length === 0;
}

function conditionsOf(
  rule: AlarmRule,
  device: string,
  watch: NearnessWatch,
  { config, span, passed }: { config: Config; span: Nearness['span']; passed: Passed },
): Nearness['conditions'] {
  const found: Nearness['conditions'] = [];
  const add = (met: boolean, what: string): void => void found.push({ met, what });
  const applies = matcher(rule.devices)(device);
  const patterns = rule.devices.length === 0 ? 'every device' : rule.devices.join(', ');
  add(
    applies,
    applies ? `the rule is for this device (${patterns})` : `the rule is for ${patterns}, not for this device`,
  );
  if (rule.raises === false)
    add(false, 'it is a condition for other rules (`raises: false`), and raises no alarm itself');
  const { heard } = watch;
  const total = [...heard.values()].reduce((sum, { readings }) => sum + readings, 0);
  if (total === 0) {
    const where =
      passed.fromMs === null ? 'the log holds nothing of this time (log.retention)' : 'the log has none of it';
    add(false, `the device was not heard of: ${where}`);
  }
  const metric = 'metric' in rule ? rule.metric : '';
  if (metric !== '' && total > 0) {
    const own = heard.get(metric);
    if (own === undefined) {
      const near = nearest(metric, [...heard.keys()]);
      const names = [...heard.keys()].slice(0, 10).join(', ');
      add(false, `it sent no ${metric}; ${near === null ? `it sent ${names}` : `did you mean ${near}?`}`);
    } else if (own.texts === own.readings)
      add(false, `${metric} came as text (${own.readings} readings), and not as a number`);
    else
      add(
        true,
        `${metric}: ${own.readings.toLocaleString('en-US')} readings, the last at ${new Date(own.lastMs).toISOString()}`,
      );
  }
  for (const { name, devices, rules, fromMs, untilMs } of config.maintenance ?? []) {
    if (fromMs >= span.toMs || untilMs <= span.fromMs) continue;
    if (!matcher(devices)(device) || !matcher(rules)(rule.name)) continue;
    const times = `${new Date(fromMs).toISOString()} to ${new Date(untilMs).toISOString()}`;
    add(false, `maintenance "${name}" may have muted it: ${times}`);
  }
  if (passed.fromMs !== null && passed.fromMs > span.fromMs + 60_000) {
    add(
      false,
      `what the log holds begins at ${new Date(passed.fromMs).toISOString()}, after the beginning of this span`,
    );
  }
  if (rule.forMs > 0 && watch.levels.size === 0)
    add(true, `it would have to last ${formatQuantity(rule.forMs, 'duration')}`);
  return found;
}
