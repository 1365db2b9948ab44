import fc from 'fast-check';
import { objectSet, service, slice } from './fixtures.js';

const anyService = fc
  .record({
    name: fc.constantFrom('a', 'b', 'c'),
    type: fc.constantFrom('ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName'),
    clusterIPs: fc.constantFrom(['10.0.0.1'], ['10.0.0.2', 'fd00::2'], ['None'], []),
    externalIPs: fc.subarray(['10.0.0.1', 'fd00::2', '192.0.2.1']),
    ports: fc.constantFrom(
      [{ port: 80, nodePort: 30080 }],
      [
        { name: 'x', port: 80 },
        { name: 'y', port: 80, protocol: 'UDP', nodePort: 30080 },
      ],
      [{ name: 'x', port: 81, protocol: 'SCTP' }],
    ),
    creationTimestamp: fc.constantFrom(null, '2020-01-01T00:00:00Z', '2021-01-01T00:00:00Z'),
    publishNotReadyAddresses: fc.boolean(),
    internalTrafficPolicy: fc.constantFrom('Cluster', 'Local'),
    externalTrafficPolicy: fc.constantFrom('Cluster', 'Local'),
    loadBalancerSourceRanges: fc.subarray(['192.0.2.0/24', 'fd00::/8']),
    healthCheckNodePort: fc.constantFrom(0, 32000),
    sessionAffinity: fc.constantFrom('None', 'ClientIP'),
    annotations: fc.dictionary(
      fc.constantFrom(
        ...['affinity-key', 'rtps-routing', 'active-standby'].map((own) => `kube-portal.dev/${own}`),
      ),
      fc.constantFrom('rtps-participant', 'pin', 'fan-out', 'true', 'wrong'),
      { maxKeys: 2 },
    ),
    ingress: fc.subarray([{ ip: '192.0.2.1' }, { ip: '192.0.2.2' }, { ip: 'fd00::2' }]),
  })
  .map(({ name, creationTimestamp, annotations, ingress, ...spec }) =>
    service(spec, { name, creationTimestamp, annotations }, { status: { loadBalancer: { ingress } } }),
  );

/** Addresses of pods, VIPs of {@link anyService}, and addresses of the node. */
const HOSTS = [
  { IPv4: '10.1.0.1', IPv6: 'fd00::1', FQDN: 'one.example' },
  { IPv4: '10.1.0.2', IPv6: 'fd00::3', FQDN: 'two.example' },
  { IPv4: '10.0.0.1', IPv6: 'fd00::2', FQDN: 'three.example' },
  { IPv4: '192.0.2.1', IPv6: 'fd00::2', FQDN: 'four.example' },
  { IPv4: '10.2.0.1', IPv6: 'fd00:2::1', FQDN: 'five.example' },
] as const;

const anySlice = fc
  .record({
    name: fc.constantFrom('s1', 's2', 's3'),
    owner: fc.constantFrom('a', 'b', 'c'),
    addressType: fc.constantFrom('IPv4' as const, 'IPv4' as const, 'IPv6' as const, 'FQDN' as const),
    port: fc.constantFrom(8080, 80, 30080),
    names: fc.subarray([{}, { name: 'x' }, { name: 'y', protocol: 'UDP' }]),
    endpoints: fc.array(
      fc.record({
        host: fc.constantFrom(...HOSTS),
        ready: fc.boolean(),
        terminating: fc.boolean(),
        nodeName: fc.constantFrom('node-1', 'node-2'),
        zone: fc.constantFrom('zone-a', 'zone-b', undefined),
        pod: fc.constantFrom(undefined, 'p1', 'p2'),
      }),
      { maxLength: 4 },
    ),
  })
  .map(({ name, owner, addressType, port, names, endpoints }) =>
    slice(
      endpoints.map(({ host, ready, terminating, nodeName, zone, pod }) => ({
        addresses: [host[addressType]],
        conditions: { ready, terminating },
        nodeName,
        ...(zone && { hints: { forZones: [{ name: zone }] } }),
        ...(pod && { targetRef: { name: pod } }),
      })),
      { addressType, ports: names.map((one) => ({ ...one, port })) },
      { name, labels: { 'kubernetes.io/service-name': owner } },
    ),
  );

/** Services and slices that claim the same few names, addresses and ports. */
export const anyObjects = fc
  .tuple(fc.array(anyService, { maxLength: 4 }), fc.array(anySlice, { maxLength: 4 }))
  .map(([services, slices]) => objectSet(services, slices));
