/** Kubernetes objects as a cluster would print them, made from what a test wants to say. */
import type { Family } from '../../lib/net/address.js';
import type { Protocol } from '../../lib/net/protocol.js';
import type { Place } from './host.js';

export interface KubernetesObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly namespace: string; readonly name: string };
}

/** What an endpoint is made of: a pod, or whatever else has addresses. */
export type EndpointPlace = Pick<Place, 'name' | 'address4' | 'address6'>;

export interface PortOptions {
  /** Needed where there are several. */
  readonly name?: string;
  readonly protocol?: Protocol;
  readonly port: number;
  /** The pods' port; the same as `port` unless given. */
  readonly targetPort?: number;
  readonly nodePort?: number;
}

export interface ServiceOptions {
  readonly name: string;
  readonly clusterIPs: readonly string[];
  readonly ports: readonly PortOptions[];
  /** ClientIP affinity: true for the default time, or seconds. */
  readonly affinity?: boolean | number;
  /** By their names without `kube-portal.dev/`. */
  readonly annotations?: Readonly<Record<string, string>>;
  readonly externalIPs?: readonly string[];
  readonly ingressIPs?: readonly string[];
  /** More fields of the spec. */
  readonly spec?: object;
}

const namespace = 'default';

export function service(options: ServiceOptions): KubernetesObject {
  const { name, clusterIPs, ports, externalIPs = [], ingressIPs = [], spec = {} } = options;
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { namespace, name, annotations: annotationsOf(options) },
    spec: {
      type: serviceType(options),
      clusterIP: clusterIPs[0],
      clusterIPs,
      ipFamilies: clusterIPs.map(familyOf),
      externalIPs,
      ports: ports.map(({ name = '', protocol = 'TCP', port, targetPort = port, nodePort }) => ({
        name,
        protocol,
        port,
        targetPort,
        ...(nodePort !== undefined && { nodePort }),
      })),
      ...affinityOf(options),
      ...spec,
    },
    status: { loadBalancer: { ingress: ingressIPs.map((ip) => ({ ip })) } },
  } as KubernetesObject;
}

function serviceType({ ports, ingressIPs = [] }: ServiceOptions): string {
  if (ingressIPs.length > 0) return 'LoadBalancer';
  return ports.some(({ nodePort }) => nodePort !== undefined) ? 'NodePort' : 'ClusterIP';
}

function annotationsOf({ annotations = {} }: ServiceOptions): object {
  return Object.fromEntries(
    Object.entries(annotations).map(([own, value]) => [`kube-portal.dev/${own}`, value]),
  );
}

function affinityOf({ affinity = false }: ServiceOptions): object {
  if (affinity === false) return { sessionAffinity: 'None' };
  const timeoutSeconds = affinity === true ? 10800 : affinity;
  return { sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds } } };
}

export interface SliceOptions {
  /** Of the pods that are ready, where it matters. */
  readonly nodeNames?: readonly string[];
  /** Pods that terminate and still serve. */
  readonly leaving?: readonly EndpointPlace[];
}

/** The slice of one family with these pods, all ready. */
export function endpointSlice(
  { name, ports }: Pick<ServiceOptions, 'name' | 'ports'>,
  family: Family,
  pods: readonly EndpointPlace[],
  { nodeNames = [], leaving = [] }: SliceOptions = {},
): KubernetesObject {
  const endpoint = (pod: EndpointPlace, terminating: boolean) => ({
    addresses: [family === 'IPv4' ? pod.address4 : pod.address6],
    conditions: { ready: !terminating, serving: true, terminating },
    targetRef: { kind: 'Pod', namespace, name: pod.name },
  });
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      namespace,
      name: `${name}-${family.toLowerCase()}`,
      labels: { 'kubernetes.io/service-name': name },
    },
    addressType: family,
    ports: ports.map(({ name = '', protocol = 'TCP', port, targetPort = port }) => ({
      name,
      protocol,
      port: targetPort,
    })),
    endpoints: [
      ...pods.map((pod, i) => ({ ...endpoint(pod, false), nodeName: nodeNames[i] })),
      ...leaving.map((pod) => endpoint(pod, true)),
    ],
  } as KubernetesObject;
}

/** A Service with a slice for each family of its ClusterIPs. */
export function serviceWithPods(
  options: ServiceOptions,
  pods: readonly EndpointPlace[],
  nodeNames: readonly string[] = [],
): KubernetesObject[] {
  const families = new Set(options.clusterIPs.map(familyOf));
  return [
    service(options),
    ...[...families].map((family) => endpointSlice(options, family, pods, { nodeNames })),
  ];
}

/** The same with pods of the node named `node` and of another one. */
export function serviceAcrossNodes(
  options: ServiceOptions,
  local: readonly EndpointPlace[],
  remote: readonly EndpointPlace[],
): KubernetesObject[] {
  const nodeNames = [...local.map(() => 'node'), ...remote.map(() => 'other-node')];
  return serviceWithPods(options, [...local, ...remote], nodeNames);
}

/** As `kubectl get -o json` prints several objects. */
export function listOf(objects: readonly KubernetesObject[]): string {
  return `${JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }, null, 1)}\n`;
}

function familyOf(address: string): Family {
  return address.includes(':') ? 'IPv6' : 'IPv4';
}
