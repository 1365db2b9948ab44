/**
 * Runs the compiled tests, each file in its own process: node scripts/run-tests.js [--quick] [WORD...]
 *
 * Prints a line for each file, then all failures, then the counts. All TAP goes to dist/test-results.tap.
 *
 * tap's command line is not used: it would compile TypeScript itself, with a compiler interface that
 * TypeScript 7 no longer has, and it would load its instruments into every program that the tests start.
 */
import { spawnSync } from 'node:child_process';
import { createWriteStream, readdirSync } from 'node:fs';
import process from 'node:process';
import { parseArgs } from 'node:util';
import t from 'tap';
import { stringify } from 'yaml';
import { packages, provisions } from './provisions.js';

/** More than a small machine has cores, because many tests mostly wait. */
const JOBS = 3;
/** Milliseconds. It ends a test that hangs. It is the only limit, so that slow machines pass. */
const FILE_TIMEOUT_MS = 1_200_000;
/**
 * Tests that take over 30 s on a quiet machine, the longest first. They start first, and --quick leaves them
 * out.
 */
const SLOW = [
  'apiserver/outage',
  'e2e/hanging-programs',
  'e2e/rtps-fuzz',
  'e2e/remote-pods',
  'sources/kubernetes/outage',
  'sources/kubernetes/storm',
  'e2e/programs',
  'apiserver/scale',
  'e2e/affinity',
  'e2e/carrier-addresses',
  'e2e/denied-clients',
  'e2e/failover',
  'e2e/policies',
  'e2e/hops',
  'e2e/limits',
  'e2e/ports',
  'e2e/lifecycle',
  'e2e/flood',
  'e2e/streams',
  'e2e/changes',
  'affinity/proxies',
  'affinity/events',
  'affinity/command',
].map((name) => `${name}.test.ts`);

process.chdir(new URL('..', import.meta.url).pathname);
const { values, positionals } = parseArgs({
  options: { quick: { type: 'boolean', default: false } },
  allowPositionals: true,
});
const files = testFiles(positionals, values.quick);
if (files.length === 0) fail('no test file has such a word in its path');
const namespace = ownNamespace();

t.pipe(createWriteStream('dist/test-results.tap'));
t.jobs = JOBS;
t.setTimeout(0);
for (const file of files) for (const provision of neededBy(file)) provision.settle();
await Promise.all(Array.from({ length: JOBS }, runInTurn));
t.end();
for (const failure of t.lists.fail) describe(failure);
const { pass, fail: failed, skip } = t.counts;
process.stdout.write(`${pass} passed, ${failed} failed, ${skip} skipped\n`);
process.exitCode = t.passing() ? 0 : 1;

/** Paths below test/. Read from the sources, because dist may have outputs of removed files. */
function testFiles(words, isQuick) {
  const all = readdirSync('test', { recursive: true })
    .filter((path) => path.endsWith('.test.ts'))
    .filter((path) => words.length === 0 || words.some((word) => path.includes(word)));
  const isLong = (file) => SLOW.includes(file) || neededBy(file).some((provision) => provision !== packages);
  const chosen = isQuick ? all.filter((file) => !isLong(file)) : all;
  if (chosen.length < all.length) {
    process.stdout.write(`--quick: ${all.length - chosen.length} of ${all.length} test files are left out\n`);
  }
  const rank = (file) => SLOW.indexOf(file) + 1 || SLOW.length + 1;
  return chosen.sort().sort((one, other) => rank(one) - rank(other));
}

function neededBy(file) {
  return provisions.filter((provision) => provision.isFor(file));
}

/**
 * The beginning of a test's command. A user who may not make network namespaces gets a user namespace for
 * each file, and in it a network namespace.
 */
function ownNamespace() {
  const works = (...command) => spawnSync(command[0], command.slice(1)).status === 0;
  const probe = ['unshare', '--net', '--mount', 'true'];
  if (works(...probe)) return [];
  if (!works('unshare', '--user', '--map-root-user', ...probe)) {
    fail('this kernel gives ordinary users no network namespace; run as root: sudo npm test');
  }
  // Without iproute2 it fails. Then only tests run that need no namespace.
  const prefix = ['scripts/own-namespace.sh'];
  return works(...prefix, ...probe) ? prefix : [];
}

/** Runs one file after the other, until none is left. */
async function runInTurn() {
  while (files.length > 0) {
    const index = files.findIndex((file) => neededBy(file).every(({ isSettled }) => isSettled));
    if (index >= 0) await runOrSkip(files.splice(index, 1)[0]);
    else await Promise.race(files.flatMap(unsettledFor));
  }
}

function unsettledFor(file) {
  return neededBy(file)
    .filter(({ isSettled }) => !isSettled)
    .map((provision) => provision.settle());
}

async function runOrSkip(file) {
  const program = `dist/test/${file.replace(/\.ts$/, '.js')}`;
  const missing = neededBy(file).find((provision) => provision.missing !== '')?.missing;
  if (missing === undefined) return await run(program);
  t.pass(program, { skip: missing });
  process.stdout.write(`skip   ${program} (${missing})\n`);
}

async function run(program) {
  // env -u: tap's spawn puts its instruments into NODE_OPTIONS. The child processes of the tests would inherit
  // them, and some tests measure their memory and descriptors. TAP_TIMEOUT: no limit.
  const command = [
    'env',
    '-u',
    'NODE_OPTIONS',
    'TAP_TIMEOUT=0',
    process.execPath,
    '--enable-source-maps',
    program,
  ];
  const [first, ...args] = [...namespace, ...command];
  const results = await t.spawn(first, args, { buffered: true, timeout: FILE_TIMEOUT_MS }, program);
  report(program, results);
}

function report(program, { ok, count, time }) {
  const verdict = ok ? 'ok    ' : 'FAILED';
  process.stdout.write(`${verdict} ${program} (${count} tests, ${(time / 1000).toFixed(1)} s)\n`);
}

function describe({ fullname, diag }) {
  process.stdout.write(`\nFAILED ${fullname}\n${stringify(diag ?? {})}`);
}

function fail(message) {
  process.stderr.write(`error: ${message}\n`);
  process.exit(1);
}
