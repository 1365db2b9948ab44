import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { run } from '../lab/program.js';

const UNAVAILABLE = 77;

/** Runs a script with an empty cache. `programs` (shell scripts by name) replace those of the machine. */
function bring(t: Test, script: string, programs: Readonly<Record<string, string>>) {
  const directory = t.testdir({ bin: {} });
  for (const [name, script] of Object.entries({ 'dpkg-query': 'echo installed', ...programs })) {
    writeFileSync(join(directory, 'bin', name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  }
  const env = {
    PATH: `${directory}/bin:${process.env.PATH}`,
    XDG_CACHE_HOME: join(directory, 'cache'),
    KUBEBUILDER_ASSETS: '',
  };
  return run([script], { env });
}

const bringApiServer = (t: Test, programs: Readonly<Record<string, string>>) =>
  bring(t, 'scripts/apiserver.sh', programs);

const lastLine = (text: string) => text.trim().split('\n').at(-1);

t.test('without Go and PyPI, the script ends with status 77 and says so', async (t) => {
  const { code, stderr } = await bringApiServer(t, { go: 'exit 1', python3: 'echo "no PyPI" >&2; exit 1' });
  t.equal(code, UNAVAILABLE);
  t.match(
    lastLine(stderr),
    /cannot be built here: there is no Go .* PyPI gives none; set KUBEBUILDER_ASSETS/,
  );
});

t.test('a Go that is too old to fetch another counts as none', async (t) => {
  const programs = { go: 'echo go1.19.8', python3: 'exit 1' };
  t.equal((await bringApiServer(t, programs)).code, UNAVAILABLE);
});

t.test('without the Go module proxy, the script ends with status 77 and says so', async (t) => {
  const go = 'case "$1 $2" in "env GOVERSION") echo go1.26.1 ;; "mod download") exit 1 ;; esac';
  const { code, stderr } = await bringApiServer(t, { go });
  t.equal(code, UNAVAILABLE);
  t.match(lastLine(stderr), /cannot be built here: the Go module proxy/);
});

t.test('a failed build is an error, and its last lines are shown', async (t) => {
  const go = `case "$1 $2" in
    "env GOVERSION") echo go1.26.1 ;;
    "mod download") echo "\\"GoMod\\": \\"/dev/null\\"" ;;
    "get "*) echo "no such module"; exit 1 ;;
  esac`;
  const { code, stderr } = await bringApiServer(t, { go });
  t.equal(code, 1);
  t.equal(lastLine(stderr), 'no such module');
});

/** A Go that compiles every program into a script. */
const WORKING_GO = `case "$1 $2" in
  "env GOVERSION") echo go1.26.1 ;;
  "mod download") echo "\\"GoMod\\": \\"/dev/null\\"" ;;
  "build "*) touch building/kube-proxy; chmod +x building/kube-proxy ;;
esac`;

t.test('kube-proxy is built beside them, and found again without Go', async (t) => {
  const built = await bring(t, 'scripts/kube-proxy.sh', { go: WORKING_GO });
  t.equal(built.code, 0, built.stderr);
  const directory = built.stdout.trim();
  t.ok(existsSync(join(directory, 'kube-proxy')));
  const env = { XDG_CACHE_HOME: join(directory, '../../..'), PATH: '/usr/bin:/bin' };
  t.match(await run(['scripts/kube-proxy.sh'], { env }), { code: 0, stdout: `${directory}\n`, stderr: '' });
});

t.test('where kube-proxy cannot be built, its script ends with status 77 and says so', async (t) => {
  const { code, stderr } = await bring(t, 'scripts/kube-proxy.sh', { go: 'exit 1', python3: 'exit 1' });
  t.equal(code, UNAVAILABLE);
  t.match(lastLine(stderr), /^kube-proxy cannot be built here: there is no Go .* PyPI gives none$/);
});
