import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { stringify } from 'yaml';
import { loadClusterUser } from '../../../lib/sources/kubernetes/cluster-user.js';
import { KubeconfigError } from '../../../lib/sources/kubernetes/kubeconfig.js';
import { Authority } from './certificates.js';
import { FakeApiServer, PATHS } from './fake-apiserver.js';
import { Harness, service } from './harness.js';

t.setTimeout(0);

interface Parts {
  readonly cluster?: object;
  readonly user?: object;
  readonly more?: object;
}

function kubeconfigText({ cluster = {}, user = {}, more = {} }: Parts): string {
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'here',
    contexts: [{ name: 'here', context: { cluster: 'c', user: 'u' } }],
    clusters: [{ name: 'c', cluster: { server: 'https://192.0.2.1:6443/', ...cluster } }],
    users: [{ name: 'u', user }],
    ...more,
  });
}

function write(t: Test, parts: Parts): string {
  const path = join(t.testdir(), 'kubeconfig');
  writeFileSync(path, kubeconfigText(parts));
  return path;
}

t.test('server and paths', async (t) => {
  const path = write(t, {
    cluster: { 'certificate-authority': 'ca.crt', 'tls-server-name': 'kubernetes' },
    user: { tokenFile: 'token', 'client-certificate': '/etc/client.crt' },
  });
  const { cluster, user } = loadClusterUser({ kubeconfig: path });
  t.match(cluster, { server: 'https://192.0.2.1:6443', caFile: path.replace(/kubeconfig$/, 'ca.crt') });
  t.match(user, { tokenFile: path.replace(/kubeconfig$/, 'token'), certFile: '/etc/client.crt' });

  const moved = loadClusterUser({ kubeconfig: path, master: 'https://192.0.2.9:6443' });
  t.equal(moved.cluster.server, 'https://192.0.2.9:6443', '--master wins over the file');
  t.equal(loadClusterUser({ master: '127.0.0.1:8080' }).cluster.server, 'http://127.0.0.1:8080');
});

t.test('what is wrong with it is told by file and field', async (t) => {
  const wrong: [Parts, RegExp][] = [
    [{ more: { 'current-context': '' } }, /current-context: missing/],
    [{ more: { 'current-context': 'there' } }, /current-context: there is no context there/],
    [{ more: { clusters: [] } }, /contexts: here: there is no cluster c/],
    [{ cluster: { server: 'https://[' } }, /kubeconfig: clusters: c: server: https:\/\/\[ is not the URL/],
    [{ more: { clusters: [{ name: 'c', cluster: {} }] } }, /clusters\[0\].cluster.server is missing/],
    [{ user: { 'auth-provider': { name: 'gcp' } } }, /users: u: auth-provider is not supported; use exec/],
    [{ cluster: { 'proxy-url': 'socks5://x' } }, /clusters: c: proxy-url is not supported/],
  ];
  for (const [parts, message] of wrong) {
    t.throws(() => loadClusterUser({ kubeconfig: write(t, parts) }), message);
  }
  t.throws(() => loadClusterUser({ kubeconfig: '/nowhere' }), {
    name: 'KubeconfigError',
    message: /\/nowhere/,
  });
  const path = join(t.testdir(), 'broken');
  writeFileSync(path, ': : [');
  t.throws(() => loadClusterUser({ kubeconfig: path }), KubeconfigError);
  t.throws(() => loadClusterUser({ master: 'https://[' }), /^--master: https:\/\/\[ is not the URL/);
  t.throws(() => loadClusterUser({ env: {} }), /not in a pod .*; give --kubeconfig/);
});

t.test('a user in the URL of the server is for basic authentication, and is not told', async (t) => {
  const path = write(t, { cluster: { server: 'https://joe:s%40cret@192.0.2.1:6443/' } });
  t.match(loadClusterUser({ kubeconfig: path }), {
    cluster: { server: 'https://192.0.2.1:6443' },
    user: { username: 'joe', password: 's@cret' },
  });
  t.match(loadClusterUser({ master: 'joe:secret@192.0.2.1:6443' }), {
    cluster: { server: 'http://192.0.2.1:6443' },
    user: { username: 'joe', password: 'secret' },
  });
  const named = {
    cluster: { server: 'https://joe:secret@192.0.2.1' },
    user: { username: 'ann', password: 'p' },
  };
  t.match(loadClusterUser({ kubeconfig: write(t, named) }).user, { username: 'ann', password: 'p' });
});

t.test('no message about a kubeconfig tells a secret', async (t) => {
  const secret = 'correct-horse';
  const exec = { command: 'cat', args: [] };
  const wrong: [text: string, message: RegExp][] = [
    [kubeconfigText({ cluster: { server: `https://joe:${secret}@[` } }), /https:\/\/\[ is not the URL/],
    [kubeconfigText({ cluster: { server: `https://joe:${secret}%zz@host` } }), /server: .* write %25/],
    [
      kubeconfigText({ cluster: { 'proxy-url': `http://joe:${secret}@proxy` } }),
      /proxy-url is not supported/,
    ],
    [kubeconfigText({ user: { exec: { ...exec, args: [{ secret }] } } }), /users: u: exec: args: not a list/],
    [
      kubeconfigText({ user: { exec: { ...exec, args: [`${secret}\0`] } } }),
      /users: u: exec: args: not a list/,
    ],
    [
      kubeconfigText({ user: { exec: { ...exec, env: [{ value: secret }] } } }),
      /users: u: exec: env: not a list/,
    ],
    [kubeconfigText({ user: { exec: { args: [secret] } } }), /users: u: exec: command: missing/],
    [
      `users:\n- user:\n    token: "${secret}\n`,
      /not readable as YAML: MISSING_CHAR in line \d+, column \d+/,
    ],
    [`users:\n- user:\n    password: *${secret}\n`, /not readable as YAML: .* needs quotes/],
  ];
  const path = join(t.testdir(), 'kubeconfig');
  for (const [text, message] of wrong) {
    writeFileSync(path, text);
    t.throws(() => loadClusterUser({ kubeconfig: path }), { name: 'KubeconfigError', message });
    t.throws(() => loadClusterUser({ kubeconfig: path }), {
      message: new RegExp(`^((?!${secret}).)*$`, 's'),
    });
  }
});

t.test('a kubeconfig that is no file does not keep the start waiting', async (t) => {
  const path = join(t.testdir(), 'fifo');
  execFileSync('mkfifo', [path]);
  t.throws(() => loadClusterUser({ kubeconfig: path }), /fifo: it is a FIFO and not a file/);
  t.throws(() => loadClusterUser({ kubeconfig: '/dev/zero' }), /it is a device and not a file/);
});

t.test('in a pod', async (t) => {
  const env = { KUBERNETES_SERVICE_HOST: 'fd00:96::1', KUBERNETES_SERVICE_PORT: '443' };
  t.match(loadClusterUser({ env }), {
    cluster: {
      server: 'https://[fd00:96::1]:443',
      caFile: '/var/run/secrets/kubernetes.io/serviceaccount/ca.crt',
    },
    user: { tokenFile: '/var/run/secrets/kubernetes.io/serviceaccount/token' },
  });
});

/** A server with TLS, and a directory with its authority. */
async function prepareTls(t: Test) {
  const directory = t.testdir();
  const authority = new Authority(directory);
  const { cert, key } = authority.issue('server', '/CN=server', 'IP:127.0.0.1,DNS:kubernetes');
  const tls = { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8'), ca: authority.ca };
  const api = await FakeApiServer.forTest(t, { tls });
  api.put(PATHS.services, service('web'));
  const connect = (parts: Parts, times = {}) => {
    const path = join(directory, 'kubeconfig');
    const cluster = { server: api.url, 'certificate-authority': 'ca.crt', ...parts.cluster };
    writeFileSync(path, kubeconfigText({ ...parts, cluster }));
    return new Harness(t, { clusterUser: loadClusterUser({ kubeconfig: path }), times });
  };
  return { directory, authority, api, connect };
}

t.test('the token file is read again and again', async (t) => {
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

t.test('client certificates are shown, and new ones are used', async (t) => {
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

t.test('a plug-in gives the credentials, and is asked again when they are refused', async (t) => {
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

/** What a script is run with as a plug-in. */
function scripted(script: string): Parts {
  return { user: { exec: { ...EXEC, args: ['-c', script] } } };
}

/** Whether a process is there and has not ended. */
function isAlive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) [ZX]/s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

t.test('a plug-in that hangs is killed with what it started, told, and asked again', async (t) => {
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

t.test('what a plug-in says is bounded, and its answer is never told', async (t) => {
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

t.test('a server that quotes the credentials does not bring them into the log', async (t) => {
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

t.test('a token file that is no file is told', async (t) => {
  const { directory, connect } = await prepareTls(t);
  execFileSync('mkfifo', [join(directory, 'token')]);
  const harness = connect({ user: { tokenFile: 'token' } });
  void harness.start();
  await harness.until(() => harness.troubles.length > 0, 'a warning');
  t.match(harness.troubles, [/cannot read .*\/token: it is a FIFO and not a file/]);
});

t.test('a server that cannot prove who it is is not trusted, unless told so', async (t) => {
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
