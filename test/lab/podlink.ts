import type { Host } from './host.js';
import type { Pod } from './lab.js';

/** How a pod is joined to its node. */
export type PodLink =
  /** By a port of the bridge; the node is its only neighbour, and routes between pods too. */
  | 'bridge port'
  /** By a port of the bridge, where pods are neighbours (the bridge plugin, as flannel uses it). */
  | 'neighbour'
  /** By a veth pair that is in no bridge (the ptp plugin, Calico). */
  | 'point to point';

/** Joins a pod to its node. */
export async function linkPod(pod: Pod, node: Host, link: PodLink): Promise<void> {
  const device = `pod${pod.number}`;
  await node.ip(`
    link add ${device} type veth peer name eth0 netns ${pod.namespace}
    link set ${device} up
    ${link === 'point to point' ? routesTo(pod, node, device) : `link set ${device} master bridge`}
    ${link === 'neighbour' ? `link set ${device} type bridge_slave hairpin on` : ''}
  `);
  const [length4, length6] = link === 'neighbour' ? [24, 64] : [32, 128];
  await pod.ip(`
    link set eth0 up
    addr add ${pod.address4}/${length4} dev eth0
    addr add ${pod.address6}/${length6} dev eth0 nodad
    route replace ${node.address4} dev eth0
    route add default via ${node.address4}
    route replace ${node.address6} dev eth0
    route add default via ${node.address6}
  `);
}

/** The node's own addresses are on each pod's device, too. */
function routesTo(pod: Pod, node: Host, device: string): string {
  return `
    addr add ${node.address4}/32 dev ${device}
    addr add ${node.address6}/128 dev ${device} nodad
    route add ${pod.address4} dev ${device}
    route add ${pod.address6} dev ${device}
  `;
}
