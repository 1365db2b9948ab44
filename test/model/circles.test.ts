import fc from 'fast-check';
import t from 'tap';
import { buildDesiredState, type DesiredState } from '../../lib/model/desiredstate.js';
import type { EndpointSlice, Service } from '../../lib/model/objects.js';
import { describeProblem } from '../../lib/model/problem.js';
import { anyObjects } from './arbitrary.js';
import { buildHere, NODE, objectSet, service, slice } from './fixtures.js';

const A = '10.96.0.1';
const B = '10.96.0.2';
const NODE_ADDRESS = '10.2.0.1';

/** A Service `default/NAME` with port 80. */
function at(name: string, clusterIP: string, spec: Record<string, unknown> = {}): Service {
  return service({ clusterIP, ...spec }, { name });
}

/** The slice of a Service, whose endpoints have one port. */
function sliceOf(name: string, addresses: readonly string[], port: number, protocol = 'TCP'): EndpointSlice {
  return slice(
    addresses.map((address) => ({ addresses: [address] })),
    { ports: [{ port, protocol }], addressType: addresses[0]?.includes(':') ? 'IPv6' : 'IPv4' },
    { name: `${name}-1`, labels: { 'kubernetes.io/service-name': name } },
  );
}

function endpointsOf({ snapshot }: DesiredState, name: string): string[] {
  const portals = [...snapshot.values()].filter((portal) => portal.service === `default/${name}`);
  return portals.flatMap(({ endpoints }) => endpoints.map(({ address, port }) => `${address}:${port}`));
}

const isCircle = (services: readonly Service[], one: EndpointSlice) =>
  endpointsOf(buildHere(objectSet(services, [one])), 'a').length === 0;

t.test('a Service is never its own endpoint, at any of its addresses', async (t) => {
  const ingress = [{ ip: '203.0.113.9' }];
  const spec = {
    type: 'LoadBalancer',
    clusterIPs: [A, 'fd00::a'],
    externalIPs: ['198.51.100.7'],
    ports: [{ port: 80, nodePort: 30080 }],
  };
  const a = service({ ...spec, clusterIP: A }, { name: 'a' }, { status: { loadBalancer: { ingress } } });
  for (const [address, port] of [
    [A, 80],
    ['fd00::a', 80],
    ['198.51.100.7', 80],
    ['203.0.113.9', 80],
    [NODE_ADDRESS, 30080],
    ['fd00:2::1', 30080],
  ] as const) {
    t.ok(isCircle([a], sliceOf('a', [address], port)), `${address} ${port}`);
  }
});

t.test(
  'another Service is no endpoint either; other ports of the node and of VIPs may be endpoints',
  async (t) => {
    const b = at('b', B, { type: 'NodePort', ports: [{ port: 80, nodePort: 30080 }] });
    const circle = (address: string, port: number, protocol = 'TCP') => {
      const a = at('a', A, { ports: [{ port: 80, protocol }] });
      return isCircle([a, b], sliceOf('a', [address], port, protocol));
    };
    t.ok(circle(B, 80));
    t.ok(circle(NODE_ADDRESS, 30080));
    t.notOk(circle(NODE_ADDRESS, 80), 'a pod of the host network');
    t.notOk(circle(NODE_ADDRESS, 30080, 'UDP'), 'the other protocol');
    t.notOk(circle('10.1.0.9', 30080), 'a pod port with the number of a node port');
    t.notOk(circle(B, 81));
    t.notOk(circle('127.0.0.11', 80), 'loopback, as in the quickstart');
  },
);

t.test('a Service that is not proxied claims no address', async (t) => {
  const labels = { 'service.kubernetes.io/service-proxy-name': 'other' };
  const other = service({ clusterIP: B }, { name: 'b', labels });
  t.notOk(isCircle([at('a', A), other], sliceOf('a', [B], 80)));
});

t.test('the other endpoints of the Service are used, and there is one problem for each slice', async (t) => {
  const services = [at('a', A), at('b', B)];
  const build = buildHere(
    objectSet(services, [sliceOf('a', [A, B, '10.1.0.1'], 80), sliceOf('b', [A, '10.1.0.2'], 80)]),
  );
  t.same(endpointsOf(build, 'a'), ['10.1.0.1:80']);
  t.same(endpointsOf(build, 'b'), ['10.1.0.2:80']);
  t.same(build.problems.map(describeProblem), [
    'Service default/a: endpoint 10.96.0.1:80/TCP of EndpointSlice default/a-1, and 1 more like it, is not used: this Service itself is reached at this address, so clients would go round in a circle; list the addresses of the pods instead',
    'Service default/b: endpoint 10.96.0.1:80/TCP of EndpointSlice default/b-1 is not used: Service default/a is reached at this address, so clients would go round in a circle; list the addresses of the pods instead',
  ]);
});

t.test('only the port that leads back is left out', async (t) => {
  const ports = [
    { name: 'web', port: 80 },
    { name: 'dns', port: 53, protocol: 'UDP' },
  ];
  const one = slice([{ addresses: [B] }], { ports }, { labels: { 'kubernetes.io/service-name': 'a' } });
  const build = buildHere(objectSet([at('a', A, { ports }), at('b', B)], [one]));
  t.same(endpointsOf(build, 'a'), [`${B}:53`]);
});

t.test('an endpoint is left out while its address is a VIP or a node port', async (t) => {
  const slices = [sliceOf('a', [B, NODE_ADDRESS], 80), sliceOf('c', [NODE_ADDRESS], 30080)];
  const a = at('a', A);
  const c = at('c', '10.96.0.3');
  const b = at('b', B, { type: 'NodePort', ports: [{ port: 80, nodePort: 30080 }] });
  const before = objectSet([a, c], slices);
  const first = buildHere(before);
  t.same(endpointsOf(first, 'a'), [`${NODE_ADDRESS}:80`, `${B}:80`].sort());
  t.same(endpointsOf(first, 'c'), [`${NODE_ADDRESS}:30080`]);
  const second = buildHere({ ...before, services: objectSet([a, c, b]).services }, first);
  t.same(endpointsOf(second, 'a'), [`${NODE_ADDRESS}:80`]);
  t.same(endpointsOf(second, 'c'), []);
  t.equal(second.problems.length, 2);
  const third = buildHere({ ...before, services: objectSet([a, c]).services }, second);
  t.strictSame(third.snapshot, first.snapshot);
  t.same(third.problems, []);
});

t.test('an endpoint is left out when the node gets its address', async (t) => {
  const objects = objectSet(
    [at('a', A, { type: 'NodePort', ports: [{ port: 80, nodePort: 30080 }] })],
    [sliceOf('a', ['10.2.0.77'], 30080)],
  );
  const before = buildHere(objects);
  t.same(endpointsOf(before, 'a'), ['10.2.0.77:30080']);
  const node = { ...NODE, nodePortAddresses: ['10.2.0.77'] };
  t.same(endpointsOf(buildDesiredState(objects, node, before), 'a'), []);
});

t.test('no portal has an endpoint at an address and port of a portal', async (t) => {
  fc.assert(
    fc.property(anyObjects, (objects) => {
      const portals = [...buildHere(objects).snapshot.values()];
      const entrances = new Set(
        portals.flatMap(({ vips, nodePort, protocol }) => [
          ...vips.map((vip) => `${vip.address} ${vip.port} ${protocol}`),
          ...(nodePort ? NODE.nodePortAddresses.map((address) => `${address} ${nodePort} ${protocol}`) : []),
        ]),
      );
      return portals.every(({ endpoints, protocol }) =>
        endpoints.every(({ address, port }) => !entrances.has(`${address} ${port} ${protocol}`)),
      );
    }),
    { numRuns: 500 },
  );
  t.pass();
});
