import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { stringify } from 'yaml';
import {
  hasServiceAccount,
  KubeconfigError,
  loadClusterUser,
} from '../../../lib/sources/kubernetes/kubeconfig.js';
import { Authority } from './certificates.js';
import { FakeApiServer, PATHS } from './fake-apiserver.js';
import { Harness, service } from './harness.js';

t.setTimeout(120_000);

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
    [{ cluster: { server: 'https://[' } }, /https:\/\/\[ is not the URL/],
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
  t.throws(() => loadClusterUser({ env: {} }), /not in a pod .*; give --kubeconfig/);
});

t.test('in a pod', async (t) => {
  const env = { KUBERNETES_SERVICE_HOST: 'fd00:96::1', KUBERNETES_SERVICE_PORT: '443' };
  t.ok(hasServiceAccount(env));
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
  const connect = (parts: Parts) => {
    const path = join(directory, 'kubeconfig');
    const cluster = { server: api.url, 'certificate-authority': 'ca.crt', ...parts.cluster };
    writeFileSync(path, kubeconfigText({ ...parts, cluster }));
    return new Harness(t, { clusterUser: loadClusterUser({ kubeconfig: path }) });
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
