import type { Host } from '../test/lab/host.js';
import { type KubernetesObject, type ServiceOptions, serviceWithPods } from '../test/lab/manifest.js';
import { SERVICE_PORTS, VIP } from './service.js';

const PORTS_EACH = 2;

/** The Service that is measured, and as many others, each with a TCP and a UDP port, as bring all ports to a number. */
export function crowd(ports: number): ServiceOptions[] {
  const others = Math.max(0, Math.ceil((ports - SERVICE_PORTS.length) / PORTS_EACH));
  const services = Array.from({ length: others }, (_, index) => ({
    name: `other-${index}`,
    clusterIPs: [`10.97.${index >> 8}.${index & 255}`],
    ports: [
      { name: 'http', protocol: 'TCP', port: 80 },
      { name: 'dns', protocol: 'UDP', port: 53 },
    ] as const,
  }));
  return [...services, { name: 'bench', clusterIPs: [VIP], ports: SERVICE_PORTS }];
}

export function crowdObjects(ports: number, backend: Host): KubernetesObject[] {
  return crowd(ports).flatMap((options) => serviceWithPods(options, [backend]));
}
