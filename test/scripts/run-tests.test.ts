import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t, { type Test } from 'tap';
import { type Result, run } from '../lab/program.js';

const SCRIPTS = ['run-tests.js', 'provisions.js', 'own-namespace.sh'];
/**
 * The beginning of a command that may not make namespaces. It keeps CAP_SETFCAP: the kernel requires it to
 * map root.
 */
const POWERLESS = ['setpriv', '--bounding-set=-sys_admin', '--inh-caps=-sys_admin'];
const PASSES = "import t from 'tap'; t.pass('fine');";

/**
 * A project with the test runner, tests (JavaScript by path below test/), a script that provides an API
 * server, and one that looks for Debian packages.
 */
function project(t: Test, tests: Readonly<Record<string, string>>, apiServer: string, packages = 'exit 0') {
  const directory = t.testdir({ 'package.json': '{ "type": "module" }', scripts: {} });
  const write = (path: string, text: string) => {
    mkdirSync(join(directory, dirname(path)), { recursive: true });
    writeFileSync(join(directory, path), text, { mode: 0o755 });
  };
  for (const [path, text] of Object.entries(tests)) {
    write(`test/${path}.test.ts`, text);
    write(`dist/test/${path}.test.js`, text);
  }
  write('scripts/apiserver.sh', `#!/bin/sh\n${apiServer}`);
  write('scripts/packages.sh', `#!/bin/sh\n${packages}`);
  for (const script of SCRIPTS) copyFileSync(join('scripts', script), join(directory, 'scripts', script));
  const runner = join(directory, 'scripts/run-tests.js');
  return (args: readonly string[] = [], launcher: readonly string[] = []): Promise<Result> =>
    run(['env', '-u', 'KUBEBUILDER_ASSETS', ...launcher, process.execPath, runner, ...args]);
}

const lastLine = (text: string) => text.trim().split('\n').at(-1);

t.test(
  'tests are skipped if their API server is not available, and the reason is printed once',
  async (t) => {
    const runTests = project(
      t,
      { 'model/a': PASSES, 'apiserver/b': 'process.exit(1)' },
      'echo building >&2; echo "no Go here" >&2; exit 77',
    );
    const { code, stdout, stderr } = await runTests();
    t.equal(code, 0);
    t.equal(stderr, 'building\nno Go here\n');
    t.match(stdout, /^skip {3}dist\/test\/apiserver\/b\.test\.js \(no Go here\)$/m);
    t.equal(lastLine(stdout), '1 passed, 0 failed, 1 skipped');
  },
);

t.test('if Debian packages are missing, tests that run programs are skipped', async (t) => {
  const tests = {
    'model/a': PASSES,
    'e2e/b': "import { execFileSync } from 'node:child_process'; execFileSync('ip');",
    'e2e/c': "import '../e2e/b.test.js';",
  };
  const runTests = project(t, tests, 'exit 1', 'echo "packages are missing" >&2; exit 77');
  const { code, stdout, stderr } = await runTests();
  t.equal(code, 0);
  t.equal(stderr, 'packages are missing\n', 'said once');
  t.match(stdout, /^skip {3}dist\/test\/e2e\/b\.test\.js \(packages are missing\)$/m);
  t.equal(lastLine(stdout), '1 passed, 0 failed, 2 skipped');
});

t.test('an API server is built while other tests run', async (t) => {
  const made = join(t.testdirName, 'made');
  const runTests = project(
    t,
    {
      'apiserver/a':
        "import t from 'tap'; t.equal(process.env.KUBEBUILDER_ASSETS, '/built'); t.equal(process.env.TAP_TIMEOUT, '0');",
      'model/b': `import { writeFileSync } from 'node:fs'; ${PASSES} writeFileSync('${made}', '');`,
    },
    `until [ -e ${made} ]; do sleep 0.1; done; echo /built`,
  );
  const { stdout } = await runTests();
  t.equal(lastLine(stdout), '3 passed, 0 failed, 0 skipped', stdout);
});

t.test('after a failed build, tests fail and are not skipped', async (t) => {
  const runTests = project(t, { 'apiserver/a': "import t from 'tap'; t.fail('none');" }, 'exit 1');
  const { code, stdout } = await runTests();
  t.equal(code, 1);
  t.equal(lastLine(stdout), '0 passed, 1 failed, 0 skipped');
});

t.test('--quick leaves out tests that need an API server or take long', async (t) => {
  const tests = { 'apiserver/a': PASSES, 'e2e/affinity': PASSES, 'model/b': PASSES };
  const runTests = project(t, tests, 'echo "not wanted" >&2');
  const { stdout, stderr } = await runTests(['--quick']);
  t.equal(stderr, '');
  t.match(stdout, /^--quick: 2 of 3 test files are left out$/m);
  t.equal(lastLine(stdout), '1 passed, 0 failed, 0 skipped');
});

t.test('a user who may not make network namespaces gets a user namespace for each file', async (t) => {
  const test = `
    import { execFileSync } from 'node:child_process';
    import t from 'tap';
    const sh = (script) => execFileSync('sh', ['-c', script], { encoding: 'utf8' });
    t.equal(sh('id -u'), '0\\n');
    t.equal(sh('ls /run'), '', 'its own /run');
    sh('ip netns add pod && ip -n pod link set lo up');`;
  const { stdout } = await project(t, { 'model/a': test }, 'exit 1')([], POWERLESS);
  t.equal(lastLine(stdout), '2 passed, 0 failed, 0 skipped', stdout);
});

t.test('without iproute2, such a user runs the tests that need no namespace', async (t) => {
  const withoutIp = [
    'unshare',
    '--mount',
    'sh',
    '-c',
    'mount --bind /dev/null "$(command -v ip)" && exec "$@"',
  ];
  const runTests = project(t, { 'model/a': PASSES }, 'exit 1');
  const { stdout, stderr } = await runTests([], [...withoutIp, 'sh', ...POWERLESS]);
  t.equal(lastLine(stdout), '1 passed, 0 failed, 0 skipped', stdout + stderr);
});
