import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { FAMILIES } from '../../lib/net/address.js';
import { AddressStage, CLUSTER_CIDR, keptByKubeProxy } from '../e2e/clientaddresses.js';
import { NODE_UPLINK } from '../lab/lab.js';
import type { KubernetesObject } from '../lab/manifest.js';
import { ApiServer } from './apiserver.js';

/** What kube-proxy itself shows pods of their clients: what kube-portal promises is compared with this. */
t.setTimeout(0);

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const NODE = { apiVersion: 'v1', kind: 'Node', metadata: { name: 'node' } };
const NODE_ADDRESSES = [NODE_UPLINK.address4, NODE_UPLINK.address6];

/** Starts kube-proxy. Resolves once it has written its first rules of both families. */
async function startKubeProxy(t: Test, { lab }: AddressStage, api: ApiServer, flags: readonly string[]) {
  const bin = execFileSync(join(ROOT, 'scripts/kube-proxy.sh'), { encoding: 'utf8' }).trim();
  const program = lab.node.spawn(join(bin, 'kube-proxy'), [
    '--proxy-mode=iptables',
    `--kubeconfig=${api.adminKubeconfig}`,
    '--hostname-override=node',
    `--cluster-cidr=${CLUSTER_CIDR}`,
    // These would be the machine's.
    '--conntrack-max-per-core=0',
    '--conntrack-tcp-timeout-established=0',
    '--conntrack-tcp-timeout-close-wait=0',
    '--v=2',
    ...flags,
  ]);
  t.teardown(() => program.stop('SIGKILL'));
  for (const family of FAMILIES)
    await program.waitForOutput(new RegExp(`SyncProxyRules complete.*${family}`));
}

async function apply(api: ApiServer, objects: readonly KubernetesObject[]): Promise<void> {
  await api.apply(NODE, ...objects);
  const addresses = NODE_ADDRESSES.map((address) => ({ type: 'InternalIP', address }));
  await api.setStatus('node/node', { addresses });
  for (const object of objects) {
    if (object.kind !== 'Service') continue;
    const { status } = object as KubernetesObject & { status: object };
    await api.setStatus(`service/${object.metadata.name}`, status);
  }
}

for (const isAllMasqueraded of [false, true]) {
  t.test(`kube-proxy with --masquerade-all=${isAllMasqueraded}`, async (t) => {
    const stage = await AddressStage.forTest(t, 'point to point');
    const api = await ApiServer.forTest(t, stage.lab.node);
    await apply(api, stage.objects());
    await startKubeProxy(t, stage, api, [`--masquerade-all=${isAllMasqueraded}`]);
    await stage.check(t, keptByKubeProxy(isAllMasqueraded));
  });
}
