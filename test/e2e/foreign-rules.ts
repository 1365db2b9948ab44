/** A Service that the kernel carries, on a node with rules and settings of others. */
import type { Test } from 'tap';
import { FAMILIES, type Family } from '../../lib/net/address.js';
import { startBackend } from '../lab/backend.js';
import { askTcp, askUdp } from '../lab/client.js';
import type { Host } from '../lab/host.js';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab, type Pod } from '../lab/lab.js';
import { serviceWithPods } from '../lab/manifest.js';
import type { PodLink } from '../lab/podlink.js';

export const VIPS = { IPv4: '10.96.0.10', IPv6: 'fd00:96::10' };
export const PODS = { IPv4: '10.244.0.0/16', IPv6: 'fd00:244::/48' };
/** Pods answer with the address that they see. */
export const PORT = 80;
export const SINK_PORT = 81;
const SERVICE = {
  name: 'web',
  clusterIPs: Object.values(VIPS),
  ports: [
    { name: 'tcp', port: PORT },
    { name: 'udp', port: PORT, protocol: 'UDP' },
    { name: 'sink', port: SINK_PORT },
  ],
} as const;
const FLAGS = ['--redirect=iptables', '--carrier=kernel', `--cluster-cidr=${Object.values(PODS).join()}`];
const PROGRAMS = { IPv4: 'iptables', IPv6: 'ip6tables' };

export const ACCEPT_ESTABLISHED = '-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT';

export interface Surroundings {
  readonly link: PodLink;
  /** Names of the pods behind the Service. */
  readonly pods: readonly string[];
  /** Arguments of iptables or ip6tables. */
  readonly rules?: (family: Family) => readonly string[];
  /** Kernel parameters by path below /proc/sys. */
  readonly settings?: Readonly<Record<string, string>>;
}

export interface Stage {
  readonly lab: Lab;
  readonly kubePortal: KubePortal;
  readonly client: Pod;
}

export async function stageFor(t: Test, { link, pods, rules, settings = {} }: Surroundings): Promise<Stage> {
  const lab = await Lab.forTest(t, { pods: ['client', ...pods], link });
  const servers = pods.map((name) => lab.pod(name));
  for (const server of servers) {
    await startBackend(server, { tcp: { [PORT]: 'client', [SINK_PORT]: 'sink' }, udp: { [PORT]: 'client' } });
  }
  if (rules) for (const family of FAMILIES) await addRules(lab.node, family, rules(family));
  await lab.node.sysctl(settings);
  const objects = serviceWithPods(SERVICE, servers);
  const kubePortal = await KubePortal.forTest(t, lab.node, { objects, flags: FLAGS });
  return { lab, kubePortal, client: lab.pod('client') };
}

export async function addRules(node: Host, family: Family, rules: readonly string[]): Promise<void> {
  for (const rule of rules) await node.must(PROGRAMS[family], ['-w', '10', ...rule.split(' ')]);
}

/** What pods see of some connections, or what came instead of an answer; each once. */
export async function seenByTcp(client: Host, family: Family): Promise<string[]> {
  const replies = await askTcp(client, { address: VIPS[family], port: PORT, send: '?', times: 4 });
  return clientsIn(replies.map(({ text, outcome }) => text || outcome));
}

/** The same of some flows, with several datagrams each. */
export async function seenByUdp(client: Host, family: Family): Promise<string[]> {
  const request = { address: VIPS[family], port: PORT, sockets: 4, times: 3, patienceMs: 2000 };
  return clientsIn((await askUdp(client, request)).flatMap(({ answers }) => answers));
}

export function addressOf({ address4, address6 }: Host, family: Family): string {
  return family === 'IPv4' ? address4 : address6;
}

/** Without the names of the pods that answered. */
function clientsIn(answers: readonly string[]): string[] {
  return [...new Set(answers.map((answer) => answer.replace(/^\w:/, '')))];
}
