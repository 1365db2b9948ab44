import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { loadClusterUser } from '../../../lib/sources/kubernetes/cluster-user.js';
import { KubeconfigError } from '../../../lib/sources/kubernetes/kubeconfig.js';
import { type KubeconfigParts, kubeconfigText } from './kubeconfig-text.js';

function write(t: Test, parts: KubeconfigParts): string {
  const path = join(t.testdir(), 'kubeconfig');
  writeFileSync(path, kubeconfigText(parts));
  return path;
}

t.test('paths are relative to the kubeconfig, and --master replaces its server', async (t) => {
  const path = write(t, {
    cluster: { 'certificate-authority': 'ca.crt', 'tls-server-name': 'kubernetes' },
    user: { tokenFile: 'token', 'client-certificate': '/etc/client.crt' },
  });
  const { cluster, user } = loadClusterUser({ kubeconfig: path });
  t.match(cluster, { server: 'https://192.0.2.1:6443', caFile: path.replace(/kubeconfig$/, 'ca.crt') });
  t.match(user, { tokenFile: path.replace(/kubeconfig$/, 'token'), certFile: '/etc/client.crt' });

  const moved = loadClusterUser({ kubeconfig: path, master: 'https://192.0.2.9:6443' });
  t.equal(moved.cluster.server, 'https://192.0.2.9:6443', '--master wins over the file');
  const wrong = write(t, { cluster: { server: 'https://[' } });
  const replaced = loadClusterUser({ kubeconfig: wrong, master: 'https://192.0.2.9:6443' });
  t.equal(replaced.cluster.server, 'https://192.0.2.9:6443', 'a server that is replaced is not checked');
  t.equal(loadClusterUser({ master: '127.0.0.1:8080' }).cluster.server, 'http://127.0.0.1:8080');
});

t.test('a mistake is reported with its file and field', async (t) => {
  const wrong: [KubeconfigParts, RegExp][] = [
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

t.test('a user in the URL of the server is for basic authentication, and leaves the URL', async (t) => {
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

t.test('no message about a kubeconfig shows a secret', async (t) => {
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

t.test('a kubeconfig that is a FIFO or a device is refused, and nothing waits for it', async (t) => {
  const path = join(t.testdir(), 'fifo');
  execFileSync('mkfifo', [path]);
  t.throws(() => loadClusterUser({ kubeconfig: path }), /fifo: it is a FIFO and not a file/);
  t.throws(() => loadClusterUser({ kubeconfig: '/dev/zero' }), /it is a device and not a file/);
});

t.test('in a pod, the service account is used', async (t) => {
  const env = { KUBERNETES_SERVICE_HOST: 'fd00:96::1', KUBERNETES_SERVICE_PORT: '443' };
  t.match(loadClusterUser({ env }), {
    cluster: {
      server: 'https://[fd00:96::1]:443',
      caFile: '/var/run/secrets/kubernetes.io/serviceaccount/ca.crt',
    },
    user: { tokenFile: '/var/run/secrets/kubernetes.io/serviceaccount/token' },
  });
});
