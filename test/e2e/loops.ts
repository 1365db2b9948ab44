/** Services that lead back to the proxy, and one beside them. */
import type { Test } from 'tap';
import { startBackend } from '../lab/backend.js';
import type { Host } from '../lab/host.js';
import type { Lab } from '../lab/lab.js';
import { type EndpointPlace, type KubernetesObject, serviceWithPods } from '../lab/manifest.js';
import { tallies } from '../lab/tally.js';

export const PORT = 80;
/** Where a Service of these tests has one. */
export const NODE_PORT = 30_080;
export const PROTOCOLS = ['TCP', 'UDP'] as const;

export interface ServiceAt extends EndpointPlace {
  readonly externalIPs?: readonly string[];
  readonly nodePort?: number;
}

/** A Service's ClusterIPs. Its VIPs may well be the endpoint of another. */
export function vips(name: string, number: number): ServiceAt {
  return { name, address4: `10.96.0.${number}`, address6: `fd00:96::${number}` };
}

const WEB = vips('web', 10);

/** The Service with TCP and UDP port 80 and one endpoint of each family. */
export function leadsTo(
  service: ServiceAt,
  endpoint: Omit<EndpointPlace, 'name'>,
  targetPort: number,
): KubernetesObject[] {
  const { name, address4, address6, externalIPs = [], nodePort } = service;
  const ports = PROTOCOLS.map((protocol) => ({
    name: protocol.toLowerCase(),
    protocol,
    port: PORT,
    targetPort,
    ...(nodePort !== undefined && { nodePort }),
  }));
  return serviceWithPods({ name, clusterIPs: [address4, address6], externalIPs, ports }, [
    { ...endpoint, name },
  ]);
}

/** A Service that has nothing to do with loops, and must not notice them. */
export async function startWeb(lab: Lab): Promise<KubernetesObject[]> {
  const server = lab.pod('server');
  await startBackend(server, { tcp: { [PORT]: 'name' }, udp: { [PORT]: 'name' } });
  return leadsTo(WEB, server, PORT);
}

export async function webIsServed(t: Test, client: Host, when: string): Promise<void> {
  const questions = [WEB.address4, WEB.address6].flatMap((address) =>
    PROTOCOLS.map((protocol) => ({ protocol, address, port: PORT, times: 4 })),
  );
  const expected = questions.map(() => ({ server: 4 }));
  t.same(await tallies(client, questions), expected, `another Service is served ${when}`);
}
