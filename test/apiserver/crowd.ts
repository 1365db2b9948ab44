/** Many Services. All their endpoints are addresses of five pods, so clients can use each endpoint. */
import type { Pod } from '../lab/lab.js';
import { type KubernetesObject, service } from '../lab/manifest.js';

export const SERVICES = 2_000;
/** The pods' names, one for each endpoint of a Service. */
export const PODS = ['p0', 'p1', 'p2', 'p3', 'p4'];
/** What the pods serve. */
export const TARGET_PORT = 8080;
/** A Service's slices can be told apart up to this version; then they begin again. */
const VERSIONS = 31;

const nameOf = (index: number) => `crowd-${index}`;

export function crowdVip(index: number): string {
  return `10.96.${16 + (index >> 8)}.${index & 255}`;
}

/** Gives each pod the addresses of its endpoints. */
export async function ownEndpoints(pods: readonly Pod[]): Promise<void> {
  for (const [place, pod] of pods.entries()) await pod.ownRange(`10.${130 + place}.0.0/16`);
}

export function crowdService(index: number): KubernetesObject {
  return service({
    name: nameOf(index),
    clusterIPs: [crowdVip(index)],
    ports: [{ port: 80, targetPort: TARGET_PORT }],
  });
}

/** Of each version all endpoints are others, on the same pods. */
export function crowdSlice(index: number, version: number): KubernetesObject {
  const name = nameOf(index);
  const third = (index >> 8) + 8 * (version % VERSIONS);
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      namespace: 'default',
      name,
      labels: { 'kubernetes.io/service-name': name },
      // Else the API server keeps account of who wrote which field, for a third of its time.
      managedFields: [{}],
    },
    addressType: 'IPv4',
    ports: [{ name: '', port: TARGET_PORT, protocol: 'TCP' }],
    endpoints: PODS.map((name, place) => ({
      addresses: [`10.${130 + place}.${third}.${index & 255}`],
      conditions: { ready: true, serving: true, terminating: false },
      targetRef: { kind: 'Pod', namespace: 'default', name },
    })),
  } as KubernetesObject;
}
