/** A Service with affinity, and whom its clients meet. */

import type { Test } from 'tap';
import type { Family } from '../../lib/net/address.js';
import { askTcp, askUdp } from '../lab/client.js';
import { item } from '../lab/items.js';
import type { Pod } from '../lab/lab.js';
import { nameIn } from '../lab/tally.js';

export const VIPS: Record<Family, string> = { IPv4: '10.96.0.10', IPv6: 'fd00:96::10' };
export const TCP = { name: 'tcp', protocol: 'TCP', port: 80, targetPort: 8080 } as const;
export const UDP = { name: 'udp', protocol: 'UDP', port: 53, targetPort: 5353 } as const;
export const DATA = { name: 'data', protocol: 'UDP', port: 54, targetPort: 5354 } as const;
export const SERVICE = {
  name: 'echo',
  clusterIPs: Object.values(VIPS),
  ports: [TCP, UDP, DATA],
  affinity: true,
};

/** Client address → the pods that it met, over some connections and flows to every port of the Service. */
async function meetings(client: Pod, sources: readonly string[]): Promise<Map<string, Set<string>>> {
  const address = VIPS[item(sources, 0).includes(':') ? 'IPv6' : 'IPv4'];
  const met = new Map(sources.map((source) => [source, new Set<string>()]));
  for (const { port } of [UDP, DATA]) {
    for (const { source, answers } of await askUdp(client, { address, port, sources, sockets: 3 })) {
      for (const answer of answers) met.get(source)?.add(nameIn(answer));
    }
  }
  for (const { source, text } of await askTcp(client, {
    address,
    port: TCP.port,
    sources,
    send: '?',
    times: 3,
  })) {
    met.get(source)?.add(nameIn(text));
  }
  return met;
}

/** Client address → its one pod. Fails where a client met several. */
export async function homes(t: Test, client: Pod, sources: readonly string[], when: string) {
  const met = await meetings(client, sources);
  const scattered = [...met]
    .filter(([, pods]) => pods.size !== 1)
    .map(([source, pods]) => [source, [...pods]]);
  t.same(scattered, [], `each client meets one pod on all ports ${when}`);
  return new Map([...met].map(([source, [pod = '']]) => [source, pod]));
}

/** Which clients have another home than before. */
export function moved(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): string[] {
  return [...after].filter(([source, pod]) => before.get(source) !== pod).map(([source]) => source);
}
