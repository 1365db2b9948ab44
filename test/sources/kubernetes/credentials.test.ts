import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Authority } from './certificates.js';
import { PATHS } from './fake-apiserver.js';
import { service } from './harness.js';
import { prepareTls } from './tls.js';

t.setTimeout(0);

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
