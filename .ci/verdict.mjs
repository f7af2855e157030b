// What CI prints last: every failed test with its message, so that the end of the output is enough to begin with, and then the count.
//   node .ci/verdict.mjs BROKEN NAME=REPORT.json…   BROKEN: how many steps without tests have failed
//   node .ci/verdict.mjs again REPORT.json          files with failed tests, if they are few enough for a second try
// Reports are of Vitest's JSON reporter. REPORT.json.again, where there is one, is of the second try: a test that passes then is counted as
// passed and told of, with the message of its first try. On a machine shared with others a whole program may meet a time limit for
// no fault of its own; a fault that is there fails twice.
import { existsSync, readFileSync } from 'node:fs';
import { relative } from 'node:path';

/** Lines of a message that are printed: what was expected, and the first places of the stack. */
const MESSAGE_LINES = 40;
/** With more files than this that failed it is not the machine. */
const FILES_MAX = 4;

const [first, ...rest] = process.argv.slice(2);
if (first === 'again') console.log(filesToTryAgain(rest[0]).join('\n'));
else conclude(Number(first), rest);

function filesToTryAgain(report) {
  const files = existsSync(report) ? read(report).testResults.filter(({ status }) => status === 'failed') : [];
  return files.length > FILES_MAX ? [] : files.map(({ name }) => relative(process.cwd(), name));
}

function conclude(broken, reports) {
  let [passed, failed] = [0, broken];
  for (const argument of reports) {
    const [name, file] = argument.split('=');
    if (!existsSync(file)) {
      console.log(`FAILED, ${name}: the tests wrote no report\n`);
      failed++;
      continue;
    }
    const run = read(file);
    const second = existsSync(`${file}.again`) ? read(`${file}.again`) : null;
    const failing = failures(run);
    const passedLater = second?.success ? failing.filter((test) => passes(second, test)) : [];
    for (const test of failing) tell(passedLater.includes(test) ? 'PASSED AT THE SECOND TRY' : 'FAILED', name, test);
    passed += run.numPassedTests + passedLater.length;
    // A suite that could not even be loaded, or an error outside any test, fails the run without a test that failed.
    failed += Math.max(run.numFailedTests, run.success ? 0 : 1) - passedLater.length;
  }
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = passed > 0 && failed === 0 ? 0 : 1;
}

/** Tests of a report that failed, and suites that could not be loaded (they have no test name). */
function failures(run) {
  return run.testResults.flatMap(({ name, status, message, assertionResults }) => {
    const tests = assertionResults.filter((test) => test.status === 'failed');
    if (tests.length === 0 && status === 'failed') return [{ file: name, test: '', message: message ?? '' }];
    return tests.map((test) => ({ file: name, test: test.fullName, message: test.failureMessages.join('\n') }));
  });
}

function passes(run, { file, test }) {
  const suite = run.testResults.find(({ name }) => name === file);
  return (
    test !== '' && suite?.assertionResults.some(({ fullName, status }) => fullName === test && status === 'passed')
  );
}

function tell(verdict, run, { file, test, message }) {
  const lines = message.split('\n');
  console.log(`${verdict}, ${run}: ${relative(process.cwd(), file)} > ${test}`);
  for (const line of lines.slice(0, MESSAGE_LINES)) console.log(`  ${line}`);
  if (lines.length > MESSAGE_LINES) console.log(`  … ${lines.length - MESSAGE_LINES} more lines above`);
  console.log('');
}

function read(file) {
  return JSON.parse(readFileSync(file, 'utf8'));
}
