import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { KubeconfigParts } from './kubeconfig-text.js';
import { prepareTls } from './tls.js';

t.setTimeout(0);

t.test('a plug-in gives the credentials, and runs again if the server refuses them', async (t) => {
  const { directory, api, connect } = await prepareTls(t);
  const credential = (token: string) =>
    JSON.stringify({
      apiVersion: 'client.authentication.k8s.io/v1',
      kind: 'ExecCredential',
      status: { token },
    });
  const answer = join(directory, 'credential.json');
  writeFileSync(answer, credential('stale'));
  let valid = 'fresh';
  api.intercept = (_, { headers }) =>
    headers.authorization === `Bearer ${valid}` ? null : { status: 401, message: 'Unauthorized' };
  const exec = { apiVersion: 'client.authentication.k8s.io/v1', command: 'cat', args: [answer] };
  const harness = connect({ user: { exec } });
  const started = harness.start();
  await harness.until(() => harness.troubles.some((line) => /Unauthorized/.test(line)), 'a refusal');
  writeFileSync(answer, credential(valid));
  await started;
  t.same(harness.services, ['web:80']);
  valid = 'never';
});

const EXEC = { apiVersion: 'client.authentication.k8s.io/v1', command: 'sh' };

/** A kubeconfig with a shell script as its plug-in. */
function scripted(script: string): KubeconfigParts {
  return { user: { exec: { ...EXEC, args: ['-c', script] } } };
}

/** Whether a process exists and has not ended. */
function isAlive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) [ZX]/s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

t.test('a plug-in that hangs is killed with its children and logged, and it runs again', async (t) => {
  const { directory, api, connect } = await prepareTls(t);
  const pids = join(directory, 'pids');
  const answer = join(directory, 'answer');
  const hang = `[ -e ${answer} ] && exec cat ${answer}; sleep 1000 & echo $$ $! > ${pids}; wait`;
  const harness = connect(scripted(hang), { pluginTimeoutMs: 300 });
  const started = harness.start();
  const isTold = (line: string) => /reason|credential plug-in sh: killed: no answer within 0.3 s/.test(line);
  await harness.until(() => harness.troubles.some(isTold), 'the time-out');
  const hung = readFileSync(pids, 'utf8').trim().split(' ').map(Number);
  await harness.until(() => !hung.some(isAlive), 'both are dead');
  writeFileSync(`${answer}.new`, JSON.stringify({ kind: 'ExecCredential', status: { token: 'fresh' } }));
  renameSync(`${answer}.new`, answer);
  await started;
  t.equal(api.requests[0]!.authorization, 'Bearer fresh');
});

t.test('a plug-in that hangs does not keep the program from ending', async (t) => {
  const { directory, connect } = await prepareTls(t);
  const pids = join(directory, 'pids');
  const harness = connect(scripted(`sleep 1000 & echo $$ $! > ${pids}.new; mv ${pids}.new ${pids}; wait`));
  const started = harness.start();
  await harness.until(() => existsSync(pids), 'it runs');
  await harness.source.stop();
  await started;
  const hung = readFileSync(pids, 'utf8').trim().split(' ').map(Number);
  await harness.until(() => !hung.some(isAlive), 'both are dead');
  t.same(harness.troubles, []);
});

t.test("the log shows a part of a plug-in's complaint, and nothing of its answer", async (t) => {
  const { connect } = await prepareTls(t);
  const answers: Record<string, RegExp> = {
    'printf "log in first\\n\\033[31mat once" >&2; exit 3':
      /plug-in sh: ended with 3: log in first \| \\u001b\[31mat once$/,
    'head -c 100000 /dev/zero | tr "\\0" x >&2; exit 1': /ended with 1: x+\.\.\. \(\d+ more characters\)$/,
    'cat /dev/zero': /plug-in sh: killed: its answer is longer than 1 MiB$/,
    'kill -9 $$': /plug-in sh: ended with SIGKILL/,
    'echo correct-horse': /its answer is not an ExecCredential: it is not JSON$/,
    'echo \'{"kind":"ExecCredential","status":{"token":"correct-horse ?"}}\'':
      /status\.token has characters that a token cannot have/,
    'echo \'{"kind":"ExecCredential","status":{"token":["correct-horse"]}}\'':
      /status\.token is not a string/,
    'echo \'{"kind":"ExecCredential","status":{"clientKeyData":"correct-horse"}}\'':
      /clientCertificateData and clientKeyData must be there together/,
    'echo \'{"kind":"ExecCredential","status":{}}\'': /neither a token nor a certificate/,
  };
  for (const [script, message] of Object.entries(answers)) {
    const harness = connect(scripted(script));
    void harness.start();
    await harness.until(() => harness.troubles.length > 0, script);
    t.match(harness.troubles[0], message);
    t.ok(harness.troubles[0]!.length < 1000);
    t.notMatch(JSON.stringify(harness.lines), /correct-horse/);
    await harness.source.stop();
  }
  const missing = connect({
    user: { exec: { ...EXEC, command: '/no/such/plugin', args: ['correct-horse'] } },
  });
  void missing.start();
  await missing.until(() => missing.troubles.length > 0, 'a warning');
  t.match(missing.troubles, [/plug-in \/no\/such\/plugin: cannot be started \(ENOENT\)$/]);
  t.notMatch(JSON.stringify(missing.lines), /correct-horse/);
});
