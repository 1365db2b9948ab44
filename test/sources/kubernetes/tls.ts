import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { loadClusterUser } from '../../../lib/sources/kubernetes/cluster-user.js';
import { Authority } from './certificates.js';
import { FakeApiServer, PATHS } from './fake-apiserver.js';
import { Harness, service } from './harness.js';
import { type KubeconfigParts, kubeconfigText } from './kubeconfig-text.js';

/** A server with TLS, and the directory of its certificate authority. */
export async function prepareTls(t: Test) {
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
