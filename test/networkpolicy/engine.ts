/** A real engine of NetworkPolicies, and the objects of a cluster that it reads. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ApiServer } from '../apiserver/apiserver.js';
import type { Host } from '../lab/host.js';
import { NODE_UPLINK } from '../lab/lab.js';
import type { Program } from '../lab/program.js';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const NODE_NAME = 'node';
const NODE = {
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name: NODE_NAME },
  spec: { podCIDR: '10.244.0.0/24', podCIDRs: ['10.244.0.0/24'] },
};
const OTHER_NODE = '192.0.2.2';

const namespace = 'default';

/**
 * Starts kube-router as the engine of NetworkPolicies alone. It writes rules of iptables into the table
 * filter of its node, on top of INPUT, FORWARD and OUTPUT. IPv4 only: its rules for IPv6 name sets that it
 * has not made (v2.1.0).
 */
export async function startEngine(api: ApiServer, node: Host): Promise<Program> {
  await api.apply(NODE, { ...named('ServiceAccount', 'default'), apiVersion: 'v1' });
  await api.setStatus(`node/${NODE_NAME}`, {
    addresses: [{ type: 'InternalIP', address: NODE_UPLINK.address4 }],
  });
  const bin = execFileSync(join(ROOT, 'scripts/kube-router.sh'), { encoding: 'utf8' }).trim();
  return node.spawn(join(bin, 'kube-router'), [
    '--run-firewall=true',
    '--run-router=false',
    '--run-service-proxy=false',
    `--kubeconfig=${api.adminKubeconfig}`,
    `--hostname-override=${NODE_NAME}`,
    '--service-cluster-ip-range=10.96.0.0/16',
    '--health-port=0',
  ]);
}

/** Tells the API server of a running pod. The role is its label, which policies select. */
export async function addPod(api: ApiServer, pod: Host, role: string, isHere: boolean): Promise<void> {
  await api.apply({
    ...named('Pod', pod.name, { role }),
    apiVersion: 'v1',
    spec: {
      nodeName: isHere ? NODE_NAME : 'other-node',
      automountServiceAccountToken: false,
      containers: [{ name: 'main', image: 'none' }],
    },
  });
  const [ip, hostIP] = [pod.address4, isHere ? NODE_UPLINK.address4 : OTHER_NODE];
  const addresses = { podIP: ip, podIPs: [{ ip }], hostIP, hostIPs: [{ ip: hostIP }] };
  await api.setStatus(`pod/${pod.name}`, { phase: 'Running', ...addresses });
}

/** Lets only pods of one role in to those of another. */
export function ingressPolicy(role: string, from: string): object {
  return policy(`into-${role}`, role, { policyTypes: ['Ingress'], ingress: [{ from: [peer(from)] }] });
}

/** Lets pods of one role out to those of another only. */
export function egressPolicy(role: string, to: string): object {
  return policy(`out-of-${role}`, role, { policyTypes: ['Egress'], egress: [{ to: [peer(to)] }] });
}

function policy(name: string, role: string, rules: object): object {
  const spec = { podSelector: { matchLabels: { role } }, ...rules };
  return { ...named('NetworkPolicy', name), apiVersion: 'networking.k8s.io/v1', spec };
}

function peer(role: string): object {
  return { podSelector: { matchLabels: { role } } };
}

function named(kind: string, name: string, labels = {}): object {
  return { kind, metadata: { namespace, name, labels } };
}
