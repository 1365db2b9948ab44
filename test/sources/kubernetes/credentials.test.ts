import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { loadClusterUser } from '../../../lib/sources/kubernetes/cluster-user.js';
import { Authority } from './certificates.js';
import { FakeApiServer, PATHS } from './fake-apiserver.js';
import { Harness, service } from './harness.js';
import { type KubeconfigParts, kubeconfigText } from './kubeconfig-text.js';

t.setTimeout(0);

/** A server with TLS, and the directory of its certificate authority. */
async function prepareTls(t: Test) {
  const directory = t.testdir();
  const authority = new Authority(directory);
  const { cert, key } = authority.issue('server', '/CN=server', 'IP:127.0.0.1,DNS:kubernetes');
  const tls = { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8'), ca: authority.ca };
  const api = await FakeApiServer.forTest(t, { tls });
  api.put(PATHS.services, service('web'));
  const connect = (parts: KubeconfigParts, times = {}) => {
    const path = join(directory, 'kubeconfig');
    const cluster = { server: api.url, 'certificate-authority': 'ca.crt', ...parts.cluster };
    writeFileSync(path, kubeconfigText({ ...parts, cluster }));
    return new Harness(t, { clusterUser: loadClusterUser({ kubeconfig: path }), times });
  };
  return { directory, authority, api, connect };
}

t.test('a new token in the token file is used', async (t) => {
  const { directory, api, connect } = await prepareTls(t);
  let valid = 'Bearer first';
  api.intercept = (_, { headers }) =>
    headers.authorization === valid ? null : { status: 401, message: 'Unauthorized' };
  writeFileSync(join(directory, 'token'), 'first\n');
  const harness = connect({ user: { tokenFile: 'token' } });
  await harness.start();
  valid = 'Bearer second';
  writeFileSync(join(directory, 'token'), 'second\n');
  await harness.until(() => api.watches === 3, 'three watches');
  api.breakWatches();
  api.put(PATHS.services, service('web', 81));
  await harness.until(() => harness.services.join() === 'web:81', 'a change under the second token');
});

t.test('client certificates are sent, and new ones are used', async (t) => {
  const { authority, api, connect } = await prepareTls(t);
  const subjects = new Set<string>();
  api.intercept = (_, { socket }) => {
    const { subject } = (socket as import('node:tls').TLSSocket).getPeerCertificate();
    subjects.add(String(subject?.CN));
    return null;
  };
  authority.issue('client', '/CN=first');
  const harness = connect({ user: { 'client-certificate': 'client.crt', 'client-key': 'client.key' } });
  await harness.start();
  await harness.until(() => api.watches === 3, 'three watches');
  t.same([...subjects], ['first']);
  authority.issue('client', '/CN=second');
  api.breakWatches();
  await harness.until(() => subjects.has('second'), 'the second certificate');
});

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

t.test('if a server quotes the credentials, the log does not show them', async (t) => {
  const { directory, api, connect } = await prepareTls(t);
  const jwt = `eyJ${'a'.repeat(40)}.eyJ${'b'.repeat(40)}.c-d_e`;
  api.intercept = (_, { headers }) => ({
    status: 403,
    message: `"${headers.authorization}" may not; neither ${jwt} nor https://joe:pa55@proxy`,
  });
  writeFileSync(join(directory, 'token'), 'correct horse+battery');
  const basic = Buffer.from('joe:correct horse').toString('base64');
  for (const user of [
    { tokenFile: 'token' },
    { token: 'correct horse+battery' },
    { username: 'joe', password: 'correct horse' },
  ]) {
    const harness = connect({ user });
    void harness.start();
    await harness.until(() => harness.troubles.length > 0, 'a warning');
    t.match(harness.troubles[0], /may not; neither \[hidden\] nor https:\/\/\[hidden\]@proxy/);
    t.notMatch(JSON.stringify(harness.lines), new RegExp(`correct horse|eyJ|pa55|${basic}`));
    await harness.source.stop();
  }
});

t.test('a token file that is a FIFO is refused, and this is logged', async (t) => {
  const { directory, connect } = await prepareTls(t);
  execFileSync('mkfifo', [join(directory, 'token')]);
  const harness = connect({ user: { tokenFile: 'token' } });
  void harness.start();
  await harness.until(() => harness.troubles.length > 0, 'a warning');
  t.match(harness.troubles, [/cannot read .*\/token: it is a FIFO and not a file/]);
});

t.test('a server without a trusted certificate is refused, unless the kubeconfig allows it', async (t) => {
  const { directory, connect } = await prepareTls(t);
  mkdirSync(join(directory, 'stranger'));
  const stranger = new Authority(join(directory, 'stranger'));
  const harness = connect({ cluster: { 'certificate-authority': stranger.caFile } });
  void harness.start();
  await harness.until(() => harness.troubles.length > 0, 'a warning');
  t.match(harness.troubles, [/certificate/]);
  t.equal(harness.states.length, 0);

  const trusting = connect({ cluster: { 'insecure-skip-tls-verify': true } });
  await trusting.start();
  const named = connect({ cluster: { 'tls-server-name': 'kubernetes' } });
  await named.start();
  t.same(named.services, ['web:80']);
});
