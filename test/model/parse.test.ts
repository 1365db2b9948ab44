import fc from 'fast-check';
import t from 'tap';
import type { Parsed } from '../../lib/model/parse.js';
import { parseEndpoints } from '../../lib/model/parse-endpoints.js';
import { parseNode } from '../../lib/model/parse-node.js';
import { parseService } from '../../lib/model/parse-service.js';
import { parseEndpointSlice } from '../../lib/model/parse-slice.js';
import { describeProblem, freshProblems } from '../../lib/model/problem.js';
import { rawService, rawSlice, slice, unwrap } from './fixtures.js';

function complaint(parsed: Parsed<unknown>): string {
  return parsed.ok ? 'accepted' : describeProblem(parsed.problem);
}

t.test('the problem of a refused Service names it, the field and the reason', async (t) => {
  const ports = (...list: unknown[]) => rawService({ ports: list });
  const table: [unknown, string][] = [
    [null, 'Service without a name: metadata.name: missing'],
    [[], 'Service without a name: a list is not a mapping'],
    [{ metadata: 'web' }, 'Service without a name: metadata: "web" is not a mapping'],
    [
      rawService({}, { name: 8080 }),
      'Service without a name: metadata.name: 8080 is not a string; put it in quotes',
    ],
    [
      rawService({}, { namespace: 'a b' }),
      `Service without a name: metadata.namespace: "a b" is not a DNS label (lower-case letters, digits and '-', at most 63)`,
    ],
    [
      rawService({}, { name: 'web"\n-j DROP' }),
      `Service without a name: metadata.name: "web\\"\\n-j DROP" is not a DNS name (lower-case letters, digits, '-' and '.', at most 253)`,
    ],
    [
      rawService({}, { name: 'web.example' }),
      `Service default/web.example: metadata.name: "web.example" is not a DNS label (lower-case letters, digits and '-', at most 63)`,
    ],
    [
      rawService({}, { creationTimestamp: 'yesterday' }),
      'Service default/web: metadata.creationTimestamp: "yesterday" is not a time such as 2026-01-31T12:00:00Z',
    ],
    [
      rawService({ ports: [] }),
      'Service default/web: spec.ports: missing; a Service needs at least one port',
    ],
    [rawService({ ports: { port: 80 } }), 'Service default/web: spec.ports: a mapping is not a list'],
    [ports({ port: 70000 }), 'Service default/web: spec.ports[0].port: 70000 is not a port (1-65535)'],
    [ports({ port: '80' }), 'Service default/web: spec.ports[0].port: "80" is not a port (1-65535)'],
    [ports({ port: 80.5 }), 'Service default/web: spec.ports[0].port: 80.5 is not a port (1-65535)'],
    [ports({ name: 'a' }), 'Service default/web: spec.ports[0].port: missing'],
    [ports({ port: 80, name: 'a' }, { port: 81 }), 'Service default/web: spec.ports[1].name: missing'],
    [
      ports({ port: 80, name: 'a' }, { port: 81, name: 'a' }),
      'Service default/web: spec.ports[1].name: a is already used by spec.ports[0]',
    ],
    [
      ports({ port: 80, name: 'a' }, { port: 80, name: 'b' }),
      'Service default/web: spec.ports[1].port: 80/TCP is already used by spec.ports[0]',
    ],
    [
      ports({ port: 80, name: 'a', nodePort: 30000 }, { port: 81, name: 'b', nodePort: 30000 }),
      'Service default/web: spec.ports[1].nodePort: 30000/TCP is already used by spec.ports[0]',
    ],
    [
      ports({ port: 80, protocol: 'tcp' }),
      'Service default/web: spec.ports[0].protocol: "tcp" is not one of TCP, UDP, SCTP',
    ],
    [
      rawService({ clusterIP: '10.96.0' }),
      'Service default/web: spec.clusterIP: "10.96.0" is not the IP address of a host',
    ],
    [
      rawService({ clusterIPs: ['10.96.0.1', 'fe80::1%eth0'] }),
      'Service default/web: spec.clusterIPs[1]: "fe80::1%eth0" is not the IP address of a host',
    ],
    [
      rawService({ type: 'Headless' }),
      'Service default/web: spec.type: "Headless" is not one of ClusterIP, NodePort, LoadBalancer, ExternalName',
    ],
    [
      rawService({
        sessionAffinity: 'ClientIP',
        sessionAffinityConfig: { clientIP: { timeoutSeconds: 86401 } },
      }),
      'Service default/web: spec.sessionAffinityConfig.clientIP.timeoutSeconds: 86401 is not a number of seconds (1-86400)',
    ],
    [
      rawService({ publishNotReadyAddresses: 'yes' }),
      'Service default/web: spec.publishNotReadyAddresses: "yes" is not true or false',
    ],
    [
      rawService({ internalTrafficPolicy: 'local' }),
      'Service default/web: spec.internalTrafficPolicy: "local" is not one of Cluster, Local',
    ],
    [
      rawService({ healthCheckNodePort: -1 }),
      'Service default/web: spec.healthCheckNodePort: -1 is not a port (0-65535)',
    ],
  ];
  for (const [raw, expected] of table) t.equal(complaint(parseService(raw)), expected);
});

t.test('the problem of a refused EndpointSlice names it, the field and the reason', async (t) => {
  const one = [{ addresses: ['10.1.0.1'] }];
  const table: [unknown, string][] = [
    [
      rawSlice(one, {}, { labels: { 'kubernetes.io/service-name': 'a b' } }),
      `EndpointSlice default/web-1: metadata.labels["kubernetes.io/service-name"]: "a b" is not a DNS label (lower-case letters, digits and '-', at most 63)`,
    ],
    [rawSlice(one, {}, { name: null }), 'EndpointSlice without a name: metadata.name: missing'],
    [
      rawSlice(one, { addressType: null }),
      'EndpointSlice default/web-1: addressType: missing; give one of IPv4, IPv6, FQDN',
    ],
    [
      rawSlice(one, { addressType: 'IPv6' }),
      "EndpointSlice default/web-1: endpoints[0].addresses[0]: 10.1.0.1 is not IPv6, the slice's addressType",
    ],
    [
      rawSlice([{ addresses: [] }]),
      'EndpointSlice default/web-1: endpoints[0].addresses: missing; an endpoint needs an address',
    ],
    [
      rawSlice([...one, { addresses: ['10.1.0.256'] }]),
      'EndpointSlice default/web-1: endpoints[1].addresses[0]: "10.1.0.256" is not the IP address of a host',
    ],
    [
      rawSlice(one, { ports: [{ port: 0 }] }),
      'EndpointSlice default/web-1: ports[0].port: 0 is not a port (1-65535)',
    ],
    [
      rawSlice([{ ...one[0], conditions: { ready: 'true' } }]),
      'EndpointSlice default/web-1: endpoints[0].conditions.ready: "true" is not true or false',
    ],
  ];
  for (const [raw, expected] of table) t.equal(complaint(parseEndpointSlice(raw)), expected);
});

t.test('an ordinary dual-stack Service is read as the API server prints it', async (t) => {
  const parsed = parseService({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'web', namespace: 'shop', creationTimestamp: '2024-05-01T10:00:00Z', annotations: {} },
    spec: {
      type: 'LoadBalancer',
      clusterIP: '10.96.0.10',
      clusterIPs: ['10.96.0.10', 'FD00:0::10'],
      ipFamilies: ['IPv4', 'IPv6'],
      externalIPs: ['192.0.2.1'],
      ports: [{ name: 'http', port: 80, targetPort: 'web', nodePort: 30080, protocol: 'TCP' }],
      sessionAffinity: 'ClientIP',
      sessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } },
      selector: { app: 'web' },
    },
    status: {
      loadBalancer: {
        ingress: [
          { ip: '198.51.100.1', ipMode: 'VIP' },
          { ip: '198.51.100.2', ipMode: 'Proxy' },
          { hostname: 'lb.example' },
        ],
      },
    },
  });
  t.same(unwrap(parsed), {
    namespace: 'shop',
    name: 'web',
    createdMs: Date.UTC(2024, 4, 1, 10),
    excludedBy: null,
    type: 'LoadBalancer',
    headless: false,
    clusterIPs: ['10.96.0.10', 'fd00::10'],
    ipFamilies: ['IPv4', 'IPv6'],
    externalIPs: ['192.0.2.1'],
    ingressIPs: ['198.51.100.1'],
    ports: [{ name: 'http', protocol: 'TCP', port: 80, nodePort: 30080 }],
    policy: {
      affinity: { by: 'client-ip', timeoutMs: 60_000 },
      rtpsRouting: null,
      activeStandby: false,
      carrier: null,
    },
    publishNotReadyAddresses: false,
    internalTrafficPolicy: 'Cluster',
    externalTrafficPolicy: 'Cluster',
    loadBalancerSourceRanges: [],
    healthCheckNodePort: null,
    refused: [],
  });
});

/** The addresses and ranges of a load balancer, and the problems of those that were left out. */
function addressesOf(spec: Readonly<Record<string, unknown>>, ...ingress: unknown[]) {
  const raw = rawService({ type: 'LoadBalancer', ...spec }, {}, { status: { loadBalancer: { ingress } } });
  const { externalIPs, ingressIPs, loadBalancerSourceRanges: ranges, refused } = unwrap(parseService(raw));
  return { externalIPs, ingressIPs, ranges, refused: refused.map((one) => `${one.field}: ${one.message}`) };
}

t.test(
  'an address that cannot be used is left out, the problem names field and value, and the others are served',
  async (t) => {
    const none = { externalIPs: [], ingressIPs: [], ranges: [], refused: [] };
    const noHost = 'is not the IP address of a host';
    t.same(addressesOf({ externalIPs: ['', ' ', null, '192.0.2.1'] }, { ip: ' ' }), {
      ...none,
      externalIPs: ['192.0.2.1'],
    });
    t.same(addressesOf({ externalIPs: ['0.0.0.0', 'fe80::1%eth0', 8, '192.0.2.1'] }), {
      ...none,
      externalIPs: ['192.0.2.1'],
      refused: [
        `spec.externalIPs[0]: "0.0.0.0" ${noHost}`,
        `spec.externalIPs[1]: "fe80::1%eth0" ${noHost}`,
        'spec.externalIPs[2]: 8 is not a string; put it in quotes',
      ],
    });
    const ingress = [
      { ip: ' 192.0.2.2' },
      { ip: '239.0.0.1' },
      { ip: '192.0.2.3', ipMode: 'Any' },
      { ip: '192.0.2.4' },
    ];
    t.same(addressesOf({}, ...ingress), {
      ...none,
      ingressIPs: ['192.0.2.4'],
      refused: [
        'status.loadBalancer.ingress[2].ipMode: "Any" is not one of VIP, Proxy',
        `status.loadBalancer.ingress[0].ip: " 192.0.2.2" ${noHost}`,
        `status.loadBalancer.ingress[1].ip: "239.0.0.1" ${noHost}`,
      ],
    });
  },
);

t.test('if all source ranges are refused, no client may use the ingress IPs', async (t) => {
  const ranges = (...loadBalancerSourceRanges: unknown[]) => addressesOf({ loadBalancerSourceRanges });
  t.match(ranges('10.0.0.0/33', '010.0.0.0/08'), {
    ranges: ['10.0.0.0/8'],
    refused: [
      'spec.loadBalancerSourceRanges[0]: "10.0.0.0/33" is not a range of addresses, such as 10.0.0.0/8',
    ],
  });
  t.same(ranges('10.0.0.0/33').ranges, ['0.0.0.0/32', '::/128']);
});

t.test('a slice without a Service is ignored, and is no problem', async (t) => {
  for (const labels of [null, {}, { app: 'x' }, { 'kubernetes.io/service-name': '' }]) {
    t.equal(unwrap(parseEndpointSlice(rawSlice([{ addresses: ['nonsense'] }], {}, { labels }))), null);
  }
});

t.test('null means absent, because kubectl prints it so', async (t) => {
  const raw = rawService(
    { externalIPs: null, sessionAffinity: null, type: null },
    { creationTimestamp: null, labels: null },
    { status: null },
  );
  t.equal(complaint(parseService(raw)), 'accepted');
  t.same(slice([], { ports: null, endpoints: null }).endpoints, []);
  t.same(unwrap(parseEndpoints({ metadata: { name: 'web' }, subsets: null })), []);
});

t.test('an endpoint without conditions is ready, serves and does not terminate', async (t) => {
  const raw = rawSlice([
    { addresses: ['10.1.0.1'] },
    { addresses: ['10.1.0.2', '10.1.0.3'], conditions: { ready: false, serving: true, terminating: true } },
    { addresses: ['10.1.0.4'], targetRef: { kind: 'Pod', namespace: 'shop', name: 'web-4' } },
  ]);
  const place = { nodeName: null, hints: null };
  t.same(unwrap(parseEndpointSlice(raw))!.endpoints, [
    { address: '10.1.0.1', ready: true, serving: true, terminating: false, target: null, ...place },
    { address: '10.1.0.2', ready: false, serving: true, terminating: true, target: null, ...place },
    { address: '10.1.0.4', ready: true, serving: true, terminating: false, target: 'shop/web-4', ...place },
  ]);
});

t.test('v1 Endpoints become one slice per subset and family', async (t) => {
  const slices = unwrap(
    parseEndpoints({
      metadata: { name: 'web', namespace: 'shop' },
      subsets: [
        {
          addresses: [{ ip: '10.1.0.1', targetRef: { kind: 'Pod', name: 'web-1' } }, { ip: 'fd00::1' }],
          notReadyAddresses: [{ ip: '10.1.0.2' }],
          ports: [{ name: 'http', port: 8080 }],
        },
        { addresses: [{ ip: '10.1.0.3' }], ports: [{ name: 'http', port: 8081 }] },
      ],
    }),
  );
  t.same(
    slices.map(({ name, service, addressType, ports, endpoints }) => [
      name,
      service,
      addressType,
      ports[0]!.port,
      endpoints.map(({ address, ready, target }) => [address, ready, target]),
    ]),
    [
      [
        'web/0/IPv4',
        'shop/web',
        'IPv4',
        8080,
        [
          ['10.1.0.1', true, 'shop/web-1'],
          ['10.1.0.2', false, null],
        ],
      ],
      ['web/0/IPv6', 'shop/web', 'IPv6', 8080, [['fd00::1', true, null]]],
      ['web/1/IPv4', 'shop/web', 'IPv4', 8081, [['10.1.0.3', true, null]]],
    ],
  );
});

t.test('the parsers throw for no JSON value', async () => {
  const names = fc.constantFrom(
    ...[
      'metadata',
      'name',
      'namespace',
      'labels',
      'spec',
      'ports',
      'port',
      'clusterIPs',
      'status',
      'subsets',
    ],
    ...['endpoints', 'addresses', 'addressType', 'conditions', 'targetRef', '__proto__', 'constructor'],
  );
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof(
      { depthSize: 'small' },
      fc.jsonValue(),
      fc.constantFrom('web', 'IPv4', 80, '10.0.0.1', 'None'),
      fc.array(tie('tree'), { maxLength: 3 }),
      fc.dictionary(names, tie('tree'), { maxKeys: 6 }),
    ),
  }));
  fc.assert(
    fc.property(tree, (raw) => {
      for (const parse of [parseService, parseEndpointSlice, parseEndpoints]) parse(raw);
      const named = { ...(raw as object), metadata: { name: 'web' } };
      for (const parse of [parseService, parseEndpointSlice, parseEndpoints]) parse(named);
    }),
    { numRuns: 2000 },
  );
});

t.test('a problem is fresh only the first time', async (t) => {
  const a = { object: 'Service default/a', field: 'spec', message: 'x' };
  const b = { object: 'Service default/a', message: 'x' };
  t.same(freshProblems([a, b], [{ ...a }]), [b]);
  t.same(freshProblems([a], [a, b]), []);
});

t.test('the node, the pod and the hints of an endpoint are read', async (t) => {
  const raw = rawSlice([
    {
      addresses: ['10.1.0.1'],
      nodeName: 'node-1',
      hints: { forZones: [{ name: 'a' }, { name: 'b' }], forNodes: [{ name: 'node-1' }] },
    },
    { addresses: ['10.1.0.2'], hints: {} },
  ]);
  t.match(unwrap(parseEndpointSlice(raw))!.endpoints, [
    { nodeName: 'node-1', hints: { zones: ['a', 'b'], nodes: ['node-1'] } },
    { nodeName: null, hints: null },
  ]);
});

t.test('the time of the change that led to a slice is read, and an invalid time is ignored', async (t) => {
  const annotated = (time: string) =>
    slice([], {}, { annotations: { 'endpoints.kubernetes.io/last-change-trigger-time': time } }).triggeredMs;
  t.equal(annotated('2026-01-02T03:04:05Z'), Date.UTC(2026, 0, 2, 3, 4, 5));
  t.equal(annotated('lately'), null);
  t.equal(slice([]).triggeredMs, null);
});

t.test('source ranges and policies of a Service', async (t) => {
  const spec = { internalTrafficPolicy: 'Local', externalTrafficPolicy: 'Local', healthCheckNodePort: 32000 };
  const loadBalancerSourceRanges = [' 10.0.0.0/8 ', 'fd00::/64'];
  t.match(unwrap(parseService(rawService({ ...spec, type: 'LoadBalancer', loadBalancerSourceRanges }))), {
    ...spec,
    loadBalancerSourceRanges: ['10.0.0.0/8', 'fd00::/64'],
  });
  t.match(
    unwrap(parseService(rawService({ type: 'NodePort', loadBalancerSourceRanges: ['left over'] }))),
    { loadBalancerSourceRanges: [], externalTrafficPolicy: 'Cluster', healthCheckNodePort: null },
    'other types ignore them',
  );
});

t.test('the own Node: zone, pod ranges, and whether it is about to be deleted', async (t) => {
  const node = (spec: object, metadata: object = {}) =>
    unwrap(parseNode({ metadata: { name: 'node-1', ...metadata }, spec }));
  t.match(
    node(
      { podCIDR: '10.1.0.0/24', podCIDRs: ['10.1.0.0/24', 'fd00::/64'] },
      { labels: { 'topology.kubernetes.io/zone': 'a' } },
    ),
    { name: 'node-1', zone: 'a', podCidrs: ['10.1.0.0/24', 'fd00::/64'], isEligible: true },
  );
  const addresses = [
    { type: 'Hostname', address: 'node-1' },
    { type: 'ExternalIP', address: '203.0.113.1' },
    { type: 'ExternalIP', address: '2001:db8::1' },
    { type: 'InternalIP', address: '192.0.2.1' },
    { type: 'InternalIP', address: '192.0.2.2' },
  ];
  t.same(
    unwrap(parseNode({ metadata: { name: 'node-1' }, status: { addresses } })).addresses,
    ['192.0.2.1', '2001:db8::1'],
    'internal addresses first, one of each family',
  );
  t.match(node({ podCIDR: '10.1.0.0/24' }), { zone: null, podCidrs: ['10.1.0.0/24'] });
  t.match(node({}), { podCidrs: [], isEligible: true });
  t.match(node({ taints: [{ key: 'node.kubernetes.io/not-ready' }] }), { isEligible: true });
  t.match(node({ taints: [{ key: 'ToBeDeletedByClusterAutoscaler' }] }), { isEligible: false });
  t.match(node({}, { deletionTimestamp: '2026-01-02T03:04:05Z' }), { isEligible: false });
});
