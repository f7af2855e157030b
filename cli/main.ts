#!/usr/bin/env node
import { Command, InvalidArgumentError, Option } from 'commander';
import { SluiceError } from '../model/errors.ts';
import type { AuditCommand } from './audit.ts';
import type { BacktestCommand } from './backtest.ts';
import type { DoctorOptions } from './doctor.ts';
import type { ReplayCommand } from './replay.ts';
import { ROLES, type Role } from './roles.ts';
import type { StartOptions } from './settings.ts';
import type { SimulateCommand } from './simulate.ts';
import type { TestCommand } from './test.ts';
import type { TraceCommand } from './trace.ts';
import { VERSION } from './version.ts';
import type { WhyCommand } from './why.ts';
import type { WhyNotCommand } from './why-not.ts';

/**
 * The one file that knows commander: what is asked for on the command line, and which function does it. A command's code is
 * loaded when it is asked for, so that `--help` is quick and a role carries nothing that it does not use.
 */

const program = new Command('sluice')
  .description('Telemetry from many devices: MQTT in, a durable log, windows and alarms, ClickHouse for the series.')
  .version(VERSION)
  .showHelpAfterError('(sluice --help tells more)')
  .showSuggestionAfterError();

function withSettings(command: Command): Command {
  return command
    .option('-c, --config <file>', 'settings; ./sluice.yaml when it is there, else the defaults')
    .option('--data <dir>', 'folder for the log and the embedded store (default: ./data)')
    .option('--mqtt <host:port>', 'where devices connect (default: 127.0.0.1:1883)')
    .option('--http <host:port>', 'where the page and the HTTP API are (default: 127.0.0.1:8080)')
    .option(
      '--clickhouse-http <host:port>',
      "where the embedded store speaks ClickHouse's HTTP (default: 127.0.0.1:8123)",
    )
    .option('--kafka <host:port,...>', 'use this Kafka as the log instead of the embedded one')
    .option('--clickhouse <url>', 'use this ClickHouse as the store instead of the embedded one');
}

withSettings(program.command('start'))
  .description('run everything on this machine: door, processor, store and gateway')
  .option('--simulate <scenario>', 'publish a simulated fleet as well: greenhouse, factory or vehicles')
  .action(async (options: StartOptions) => (await import('./start.ts')).start(options));

withSettings(program.command('run'))
  .description('run one role, for a cluster: many doors and processors around one Kafka and one ClickHouse')
  .addArgument(program.createArgument('<role>', ROLES.join(', ')).choices(ROLES))
  .option('--health <host:port>', 'where this role answers /health, /ready and /metrics for itself (default: nowhere)')
  .addOption(new Option('--simulate <scenario>', 'use the rules of this scenario').hideHelp())
  .action(async (role: Role, options: StartOptions) => (await import('./run.ts')).run(role, options));

program
  .command('validate')
  .description('check a settings file and say what is wrong, with file:line:column')
  .argument('[file]', 'settings file', 'sluice.yaml')
  .action(async (file: string) => (await import('./validate.ts')).validate(file));

withSettings(program.command('doctor'))
  .description(
    'check this machine, the settings, what is stored and what runs; exits with 0, 1 (warnings) or 2 (failures)',
  )
  .option('--json', 'print the checks as JSON')
  .action(async (options: DoctorOptions) => (await import('./doctor.ts')).doctor(options));

withSettings(program.command('audit'))
  .description('balance the ledger: is everything that was acknowledged on the log and in the store?')
  .option('--from <time>', 'epoch, ISO 8601, or how long ago as in 6h (default: 24h)')
  .option('--to <time>', 'the same (default: now)')
  .option('--device <id>', 'one device only')
  .option('--read-log', 'also read the log of that time again and count it, which takes longer')
  .option('--json', 'print the result as JSON')
  .addHelpText('after', '\nExit codes: 0 it balances, 2 it does not, 1 it could not be found out.')
  .action(async (options: AuditCommand) => (await import('./audit.ts')).auditLedger(options));

withSettings(program.command('trace'))
  .description('show the way of one reading: received, frame, offset, rows, windows, alarms')
  .argument('<device>', 'device id')
  .argument('<ts>', "the reading's own time: epoch or ISO 8601")
  .option('--metric <name>', 'one metric only')
  .option('--json', 'print the result as JSON')
  .action(async (device: string, ts: string, options: TraceCommand) =>
    (await import('./trace.ts')).traceReading(device, ts, options),
  );

program
  .command('test')
  .description('run rule tests: given input against expected rollups and alarms, in virtual time')
  .argument(
    '[files...]',
    'YAML files, Markdown with ```yaml sluice-test blocks, or folders of *.test.yaml (default: .)',
  )
  .option('-c, --config <file>', 'settings of tests that name none (default: ./sluice.yaml)')
  .option('--name <text>', 'only tests whose name holds this')
  .option('--junit <file>', 'also write the results as JUnit XML, for CI')
  .option('--json', 'print the results as JSON')
  .option('--watch', 'run again when a file changes')
  .addHelpText(
    'after',
    '\nExit codes: 0 all passed, 2 a test failed, 1 a file could not be read.\ndocs/rule-tests.md describes the format.',
  )
  .action(async (files: string[], options: TestCommand) => (await import('./test.ts')).testRules(files, options));

withSettings(program.command('why'))
  .description('tell the story of an alarm: its rule, the readings that decided it, who did what, what ended it')
  .argument('<alarm>', 'id of the alarm, or as much of its beginning as tells it from others')
  .option('--json', 'print the story as JSON')
  .addHelpText('after', '\nExit codes: 0 told, 2 there is no such alarm, 1 it could not be found out.')
  .action(async (id: string, options: WhyCommand) => (await import('./why.ts')).why(id, options));

withSettings(program.command('why-not'))
  .description('tell how near a rule came to its alarm on a device, and what was missing')
  .argument('<rule>', 'name of the rule')
  .argument('<device>', 'device id')
  .option('--from <time>', 'epoch, ISO 8601, or how long ago as in 6h (default: 6h)')
  .option('--to <time>', 'the same (default: now)')
  .option('--json', 'print the result as JSON')
  .addHelpText(
    'after',
    '\nThe past is read from the log and run through the engine.\nExit codes: 0 told, 2 the device was not heard of, 1 it could not be found out.',
  )
  .action(async (rule: string, device: string, options: WhyNotCommand) =>
    (await import('./why-not.ts')).whyNot(rule, device, options),
  );

withSettings(program.command('backtest'))
  .description('run other rules over the past and print the difference with what is deployed')
  .requiredOption(
    '--rules <file>',
    'another settings file, or one with just alarms and windows: those of the same name change',
  )
  .option('--from <time>', 'epoch, ISO 8601, or how long ago as in 6h (default: 7d)')
  .option('--to <time>', 'the same (default: now)')
  .option('--device <ids>', 'only these devices, separated by commas; * stands for any run of characters', list)
  .addOption(new Option('--source <source>', 'where the past is read').choices(['log', 'store']).default('log'))
  .addOption(
    new Option('--against <what>', 'the deployed rules over the same input, or what the table alarms says of the time')
      .choices(['rules', 'table'])
      .default('rules'),
  )
  .option('--warm-up <time>', 'how long before --from the rules begin to run (default: by their windows and times)')
  .option('--changes', 'list each alarm that differs')
  .option('--json', 'print the result as JSON')
  .addHelpText(
    'after',
    '\nReads only, and works while everything runs.\nExit codes: 0 done, 2 there is nothing of that time, 1 it could not be done.',
  )
  .action(async (options: BacktestCommand) => (await import('./backtest.ts')).backtest(options));

program
  .command('simulate')
  .description('publish a simulated fleet over MQTT')
  .argument('<scenario>', 'greenhouse, factory or vehicles')
  .option('--url <url>', 'where to publish', 'mqtt://127.0.0.1:1883')
  .option('--devices <n>', 'size of the fleet', positiveInteger)
  .option('--rate-hz <n>', 'messages per second of each device', positiveNumber)
  .option('--seed <n>', 'the same seed gives the same readings', integer, 1)
  .option('--seconds <n>', 'stop after this long; runs until stopped otherwise', positiveNumber)
  .option('--qos <0|1|2>', 'quality of service', qos, 1)
  .option('--username <name>', 'for a door that asks for it')
  .option('--password-file <file>', 'file with the password')
  .option(
    '--troubles <list>',
    "'some', or rates as late=0.05,duplicate=0.01,drop=0.1,broken=0.01,clockOffset=0.1",
    'none',
  )
  .option('--speed <n>', "how fast the fleet's time runs; above 1 it starts in the past", positiveNumber)
  .option('--into-log', 'write the past straight onto the embedded log instead of publishing, a week in seconds')
  .option('--data <dir>', 'with --into-log: folder of the log (default: ./data)')
  .option('-c, --config <file>', 'with --into-log: settings')
  .option('--from <time>', 'with --into-log: where the past begins (default: --seconds ago, a day unless given)')
  .option('--blast', 'send pre-encoded packets over raw sockets, as fast as they are acknowledged')
  .option('--connections <n>', 'with --blast: how many sockets', positiveInteger)
  .option('--messages <n>', 'with --blast: how many messages in all', positiveInteger)
  .option('--payload <kind>', 'with --blast: object, array10, single or strings')
  .option('--rate <n>', 'with --blast: messages per second in all (default: as fast as acknowledged)', positiveNumber)
  .option('--json', 'print the result as JSON')
  .option('--quiet', 'print nothing but errors')
  .action(async (scenario: string, options: SimulateCommand) =>
    (await import('./simulate.ts')).simulateFleet(scenario, options),
  );

program
  .command('replay')
  .description('publish measurements from a CSV or NDJSON file')
  .argument('<file>', 'CSV with a header line, or one JSON object a line')
  .option('--url <url>', 'where to publish', 'mqtt://127.0.0.1:1883')
  .option('--device-column <column>', 'column of the device id (default: device, device_id, sensor …)')
  .option('--device <id>', 'one device for the whole file, instead of a column')
  .option('--time-column <column>', 'column of the time, epoch in s, ms, µs or ns, or ISO 8601 (default: ts, time …)')
  .option('--metrics <columns>', 'columns to publish, separated by commas (default: all that hold numbers)', list)
  .addOption(new Option('--format <format>', 'default: by the name of the file').choices(['csv', 'ndjson']))
  .option('--speed <n|max>', 'times faster than measured, or max: as fast as acknowledged', speed, 1)
  .option('--qos <0|1|2>', 'quality of service', qos, 1)
  .option('--skip-bad-rows', 'count rows that are wrong and go on, instead of stopping with file:line')
  .option('--username <name>', 'for a door that asks for it')
  .option('--password-file <file>', 'file with the password')
  .option('--json', 'print the result as JSON')
  .action(async (file: string, options: ReplayCommand) => (await import('./replay.ts')).replayFile(file, options));

program
  .command('passwd')
  .description('read a password from the terminal or standard input, print the hash for access.users')
  .action(async () => (await import('./passwd.ts')).hash());

function integer(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new InvalidArgumentError('a whole number is wanted');
  return value;
}

function positiveInteger(text: string): number {
  const value = integer(text);
  if (value <= 0) throw new InvalidArgumentError('a whole number above 0 is wanted');
  return value;
}

function positiveNumber(text: string): number {
  const value = Number(text);
  if (!(value > 0 && Number.isFinite(value))) throw new InvalidArgumentError('a number above 0 is wanted');
  return value;
}

function qos(text: string): 0 | 1 | 2 {
  if (text === '0' || text === '1' || text === '2') return Number(text) as 0 | 1 | 2;
  throw new InvalidArgumentError('0, 1 or 2 is wanted');
}

function speed(text: string): number | 'max' {
  return text === 'max' ? 'max' : positiveNumber(text);
}

function list(text: string): string[] {
  return text.split(',').map((s) => s.trim());
}

try {
  await program.parseAsync();
} catch (error) {
  console.error(error instanceof SluiceError ? `sluice: ${error.toLine()}` : error);
  process.exit(1);
}
