import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { run } from '../lab/program.js';

const UNAVAILABLE = 77;

/** Runs the script with an empty cache. `programs` (shell scripts by name) replace those of the machine. */
function bringApiServer(t: Test, programs: Readonly<Record<string, string>>) {
  const directory = t.testdir({ bin: {} });
  for (const [name, script] of Object.entries({ 'dpkg-query': 'echo installed', ...programs })) {
    writeFileSync(join(directory, 'bin', name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  }
  const env = {
    PATH: `${directory}/bin:${process.env.PATH}`,
    XDG_CACHE_HOME: join(directory, 'cache'),
    KUBEBUILDER_ASSETS: '',
  };
  return run(['scripts/apiserver.sh'], { env });
}

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
