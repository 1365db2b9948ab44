import type { Host } from '../test/lab/host.js';
import { type KubernetesObject, type ServiceOptions, serviceWithPods } from '../test/lab/manifest.js';
import { SERVICE_PORTS, VIP } from './service.js';

const OTHER_PORTS = [
  { name: 'http', protocol: 'TCP', port: 80 },
  { name: 'dns', protocol: 'UDP', port: 53 },
] as const;

/**
 * The measured Service and other Services. Together they have `ports` ports.
 * @param measured more of the measured one
 */
export function manyServices(ports: number, measured: Partial<ServiceOptions> = {}): ServiceOptions[] {
  const missing = Math.max(0, ports - SERVICE_PORTS.length);
  const others = Array.from({ length: Math.ceil(missing / OTHER_PORTS.length) }, (_, index) => ({
    name: `other-${index}`,
    clusterIPs: [`10.97.${index >> 8}.${index & 255}`],
    ports: OTHER_PORTS.slice(0, missing - index * OTHER_PORTS.length),
  }));
  return [...others, { name: 'bench', clusterIPs: [VIP], ports: SERVICE_PORTS, ...measured }];
}

export function manyServiceObjects(
  ports: number,
  backend: Host,
  measured: Partial<ServiceOptions> = {},
): KubernetesObject[] {
  return manyServices(ports, measured).flatMap((options) => serviceWithPods(options, [backend]));
}
