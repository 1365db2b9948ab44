/**
 * Runs the compiled tests, each file in a process of its own: node scripts/run-tests.js [WORD...]
 *
 * Prints a line per file, the failures in full, and last the counts. All TAP goes to dist/test-results.tap.
 *
 * tap's own command line is not used: it would compile TypeScript itself, with a compiler interface that
 * TypeScript 7 has no more, and it would load instruments into every program that the tests start.
 */
import { createWriteStream, readdirSync } from 'node:fs';
import process from 'node:process';
import t from 'tap';
import { stringify } from 'yaml';

const JOBS = 2;
const FILE_TIMEOUT_MS = 300_000;
/** For a test that sets no time of its own; tap's 30 s are not enough for properties on a busy machine. */
const TEST_TIMEOUT_S = 120;

process.chdir(new URL('..', import.meta.url).pathname);
const files = testFiles(process.argv.slice(2));
if (files.length === 0) {
  process.stderr.write('error: no test file has such a word in its path\n');
  process.exit(1);
}

t.pipe(createWriteStream('dist/test-results.tap'));
t.jobs = JOBS;
t.setTimeout(0);
await Promise.all(files.map(run));
t.end();
for (const failure of t.lists.fail) describe(failure);
const { pass, fail, skip } = t.counts;
process.stdout.write(`${pass} passed, ${fail} failed, ${skip} skipped\n`);
process.exitCode = t.passing() ? 0 : 1;

/** Only tests that still have a source: dist may hold outputs of files that are gone. */
function testFiles(words) {
  return readdirSync('test', { recursive: true })
    .filter((path) => path.endsWith('.test.ts'))
    .filter((path) => words.length === 0 || words.some((word) => path.includes(word)))
    .map((path) => `dist/test/${path.replace(/\.ts$/, '.js')}`)
    .sort();
}

async function run(file) {
  // env -u: tap's spawn puts its process instruments into NODE_OPTIONS, and the tests' own child processes,
  // whose memory and descriptors are measured, would inherit them.
  const args = [
    '-u',
    'NODE_OPTIONS',
    `TAP_TIMEOUT=${TEST_TIMEOUT_S}`,
    process.execPath,
    '--enable-source-maps',
    file,
  ];
  const results = await t.spawn('env', args, { buffered: true, timeout: FILE_TIMEOUT_MS }, file);
  report(file, results);
}

function report(file, { ok, count, time }) {
  const verdict = ok ? 'ok    ' : 'FAILED';
  process.stdout.write(`${verdict} ${file} (${count} tests, ${(time / 1000).toFixed(1)} s)\n`);
}

function describe({ fullname, diag }) {
  process.stdout.write(`\nFAILED ${fullname}\n${stringify(diag ?? {})}`);
}
