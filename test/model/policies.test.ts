import t from 'tap';
import { buildDesiredState } from '../../lib/model/desiredstate.js';
import type { EndpointSlice, Service } from '../../lib/model/objects.js';
import type { Portal } from '../../lib/portal/portal.js';
import { buildHere, NODE, objectSet, service, slice } from './fixtures.js';

interface Place {
  readonly node?: string;
  readonly ready?: boolean;
  readonly serving?: boolean;
  readonly terminating?: boolean;
  readonly zones?: readonly string[];
  readonly nodes?: readonly string[];
}

/** A slice with 10.1.0.1, 10.1.0.2 and so on at these places. */
function sliceAt(...places: Place[]): EndpointSlice {
  return slice(
    places.map(({ node, ready, serving, terminating, zones, nodes }, index) => ({
      addresses: [`10.1.0.${index + 1}`],
      nodeName: node,
      conditions: { ready, serving, terminating },
      hints: {
        forZones: zones?.map((name) => ({ name })),
        forNodes: nodes?.map((name) => ({ name })),
      },
    })),
  );
}

const HERE: Place = { node: NODE.name };
const ELSEWHERE: Place = { node: 'node-2' };
const DRAINING: Place = { ready: false, serving: true, terminating: true };
const DOWN: Place = { ready: false, serving: false };

const LOAD_BALANCER = {
  type: 'LoadBalancer',
  externalIPs: ['192.0.2.1'],
  ports: [{ port: 80, nodePort: 30080 }],
};
const INGRESS = { status: { loadBalancer: { ingress: [{ ip: '192.0.2.2' }] } } };

function loadBalancer(spec: Record<string, unknown>): Service {
  return service({ ...LOAD_BALANCER, ...spec }, {}, INGRESS);
}

function portalsOf(one: Service, ...slices: EndpointSlice[]): Map<string, Portal> {
  return new Map(buildHere(objectSet([one], slices)).snapshot);
}

/** Last parts of the addresses of the endpoints, and what happens without any. */
function choice(portal: Portal | undefined): string {
  const hosts = portal?.endpoints.map(({ address }) => address.split('.').at(-1));
  return hosts?.length === 0 ? portal!.unserved : String(hosts);
}

/** The endpoints that clients of the ClusterIP get. */
function chosen(spec: Record<string, unknown>, ...places: Place[]): string {
  return choice(portalsOf(service(spec), sliceAt(...places)).get('default/web:/TCP/IPv4'));
}

t.test('internalTrafficPolicy Local: only endpoints on this node', async (t) => {
  const local = (...places: Place[]) => chosen({ internalTrafficPolicy: 'Local' }, ...places);
  t.equal(local(ELSEWHERE, HERE, ELSEWHERE, HERE), '2,4');
  t.equal(local(ELSEWHERE, {}), 'ignore', 'dropped while other nodes have endpoints');
  t.equal(local(), 'refuse', 'refused if no node has endpoints');
  t.equal(local({ ...ELSEWHERE, ...DOWN }), 'refuse');
  t.equal(local(HERE, { ...HERE, ...DRAINING }), '1');
  t.equal(
    local(ELSEWHERE, { ...HERE, ...DRAINING }),
    '2',
    'endpoints that serve and terminate are better than none',
  );
  t.equal(local({ ...ELSEWHERE, ...DRAINING }), 'ignore');
});

t.test('internalTrafficPolicy Cluster: the node makes no difference', async (t) => {
  t.equal(chosen({}, ELSEWHERE, HERE, {}), '1,2,3');
  t.equal(chosen({ internalTrafficPolicy: 'Cluster' }, ELSEWHERE), '1');
});

t.test('externalTrafficPolicy Local: external addresses have a separate portal', async (t) => {
  const portals = portalsOf(loadBalancer({ externalTrafficPolicy: 'Local' }), sliceAt(HERE, ELSEWHERE));
  t.same([...portals.keys()], ['default/web:/TCP/IPv4', 'default/web:/external/TCP/IPv4']);
  t.match(portals.get('default/web:/TCP/IPv4'), {
    vips: [{ address: '10.96.0.10', port: 80 }],
    nodePort: null,
    admission: { insiders: null },
  });
  t.match(portals.get('default/web:/external/TCP/IPv4'), {
    service: 'default/web',
    vips: [
      { address: '192.0.2.1', port: 80 },
      { address: '192.0.2.2', port: 80 },
    ],
    nodePort: 30080,
  });
  t.equal(choice(portals.get('default/web:/TCP/IPv4')), '1,2');
  t.equal(choice(portals.get('default/web:/external/TCP/IPv4')), '1');
});

t.test('externalTrafficPolicy Local: without local endpoints, clients outside get no answer', async (t) => {
  const external = (...places: Place[]) =>
    choice(
      portalsOf(loadBalancer({ externalTrafficPolicy: 'Local' }), sliceAt(...places)).get(
        'default/web:/external/TCP/IPv4',
      ),
    );
  t.equal(external(ELSEWHERE), 'ignore');
  t.equal(external(), 'refuse');
  t.equal(external({ ...HERE, ...DRAINING }, ELSEWHERE), '1');
});

t.test('externalTrafficPolicy Local: pods and the node itself get what the ClusterIP gives', async (t) => {
  const insiders = (spec: object) =>
    portalsOf(loadBalancer({ externalTrafficPolicy: 'Local', ...spec }), sliceAt(HERE)).get(
      'default/web:/external/TCP/IPv4',
    )?.admission.insiders;
  t.same(insiders({}), { portal: 'default/web:/TCP/IPv4', sources: ['10.1.0.0/16'] });
  t.equal(insiders({ clusterIP: null }), null, 'there is no ClusterIP');
});

t.test('both policies Local: one portal, without an exception for pods', async (t) => {
  const portals = portalsOf(
    loadBalancer({ externalTrafficPolicy: 'Local', internalTrafficPolicy: 'Local' }),
    sliceAt(HERE, ELSEWHERE),
  );
  t.same([...portals.keys()], ['default/web:/TCP/IPv4']);
  t.match(portals.get('default/web:/TCP/IPv4'), { nodePort: 30080, admission: { insiders: null } });
  t.equal(choice(portals.get('default/web:/TCP/IPv4')), '1');
});

t.test('internal Local with external Cluster: external clients get all', async (t) => {
  const portals = portalsOf(loadBalancer({ internalTrafficPolicy: 'Local' }), sliceAt(HERE, ELSEWHERE));
  t.equal(choice(portals.get('default/web:/TCP/IPv4')), '1');
  t.equal(choice(portals.get('default/web:/external/TCP/IPv4')), '1,2');
  t.equal(portals.get('default/web:/external/TCP/IPv4')?.admission.insiders, null);
});

t.test('loadBalancerSourceRanges: for the ingress IPs only', async (t) => {
  const portals = portalsOf(
    loadBalancer({ loadBalancerSourceRanges: ['203.0.113.0/24', 'fd00::/8'] }),
    sliceAt(HERE, ELSEWHERE),
  );
  t.match(portals.get('default/web:/TCP/IPv4'), {
    vips: [{ address: '10.96.0.10' }, { address: '192.0.2.1' }],
    nodePort: 30080,
    admission: { sources: null },
  });
  t.match(portals.get('default/web:/load-balancer/TCP/IPv4'), {
    vips: [{ address: '192.0.2.2' }],
    nodePort: null,
    admission: { sources: ['203.0.113.0/24'], insiders: null },
  });
  t.equal(choice(portals.get('default/web:/load-balancer/TCP/IPv4')), '1,2');
});

t.test('loadBalancerSourceRanges: with externalTrafficPolicy Local both rules hold', async (t) => {
  const portals = portalsOf(
    loadBalancer({ loadBalancerSourceRanges: ['203.0.113.0/24'], externalTrafficPolicy: 'Local' }),
    sliceAt(HERE, ELSEWHERE),
  );
  t.equal(choice(portals.get('default/web:/load-balancer/TCP/IPv4')), '1');
  t.match(portals.get('default/web:/load-balancer/TCP/IPv4'), {
    admission: { sources: ['203.0.113.0/24'], insiders: { portal: 'default/web:/TCP/IPv4' } },
  });
  t.match(portals.get('default/web:/external/TCP/IPv4'), {
    vips: [{ address: '192.0.2.1' }],
    admission: { sources: null },
  });
});

t.test('loadBalancerSourceRanges of the other family restrict nothing, as in kube-proxy', async (t) => {
  const portals = portalsOf(loadBalancer({ loadBalancerSourceRanges: ['fd00::/8'] }), sliceAt(HERE));
  t.equal(portals.get('default/web:/load-balancer/TCP/IPv4')?.admission.sources, null);
});

t.test('masquerade: as in kube-proxy, by the kind of VIP and the external traffic policy', async (t) => {
  const portalsWith = (spec: Record<string, unknown>) => [
    ...portalsOf(loadBalancer(spec), sliceAt(HERE)).values(),
  ];
  const masqueradeOf = (spec: Record<string, unknown>) => ({
    vips: Object.fromEntries(
      portalsWith(spec).flatMap(({ vips }) => vips.map(({ address, masquerade }) => [address, masquerade])),
    ),
    nodePort: portalsWith(spec).find(({ nodePort }) => nodePort !== null)?.nodePortMasquerade,
  });
  const ranges = { loadBalancerSourceRanges: ['203.0.113.0/24'] };
  const internal = { internalTrafficPolicy: 'Local' };
  for (const spec of [{}, ranges, internal]) {
    t.same(
      masqueradeOf(spec),
      {
        vips: { '10.96.0.10': 'off-cluster', '192.0.2.1': 'always', '192.0.2.2': 'always' },
        nodePort: 'always',
      },
      JSON.stringify(spec),
    );
    t.same(
      masqueradeOf({ ...spec, externalTrafficPolicy: 'Local' }),
      {
        vips: { '10.96.0.10': 'off-cluster', '192.0.2.1': 'never', '192.0.2.2': 'never' },
        nodePort: 'never',
      },
      `${JSON.stringify(spec)} and Local`,
    );
  }
});

t.test('an address that is named twice has one portal', async (t) => {
  const portals = portalsOf(
    loadBalancer({
      externalTrafficPolicy: 'Local',
      externalIPs: ['10.96.0.10', '192.0.2.2'],
      loadBalancerSourceRanges: ['203.0.113.0/24'],
    }),
    sliceAt(HERE),
  );
  t.same(
    [...portals.values()].flatMap(({ vips }) => vips.map(({ address }) => address)),
    ['10.96.0.10', '192.0.2.2'],
    'source ranges apply to an ingress IP even if it is an external IP too',
  );
});

t.test('an ingress IP of ipMode Proxy is not captured', async (t) => {
  const ingress = [
    { ip: '192.0.2.3', ipMode: 'Proxy' },
    { ip: '192.0.2.4', ipMode: 'VIP' },
  ];
  const one = service({ type: 'LoadBalancer' }, {}, { status: { loadBalancer: { ingress } } });
  t.same(
    portalsOf(one)
      .get('default/web:/TCP/IPv4')
      ?.vips.map(({ address }) => address),
    ['10.96.0.10', '192.0.2.4'],
  );
});

t.test('topology hints: the endpoints for this zone', async (t) => {
  t.equal(chosen({}, { zones: ['zone-a'] }, { zones: ['zone-b'] }, { zones: ['zone-b', 'zone-a'] }), '1,3');
});

t.test('topology hints: all endpoints if a ready one has no hint', async (t) => {
  t.equal(chosen({}, { zones: ['zone-a'] }, {}), '1,2');
  t.equal(
    chosen({}, { zones: ['zone-a'] }, { zones: ['zone-b'] }, DOWN),
    '1',
    'endpoints that are not ready do not count',
  );
});

t.test('topology hints: all endpoints if none is for this zone', async (t) => {
  t.equal(chosen({}, { zones: ['zone-b'] }, { zones: ['zone-c'] }), '1,2');
  t.equal(chosen({}, { zones: ['zone-a'], ...DOWN }, { zones: ['zone-b'] }), '2', 'none that is ready');
});

t.test('topology hints: all endpoints if the node has no zone', async (t) => {
  const objects = objectSet([service()], [sliceAt({ zones: ['zone-a'] }, { zones: [''] })]);
  const { snapshot } = buildDesiredState(objects, { ...NODE, zone: null });
  t.equal(choice(snapshot.get('default/web:/TCP/IPv4')), '1,2');
});

t.test('topology hints: the endpoints for this node come before those for its zone', async (t) => {
  const own = { zones: ['zone-a'], nodes: ['node-1'] };
  const near = { zones: ['zone-a'], nodes: ['node-2'] };
  const far = { zones: ['zone-b'], nodes: ['node-3'] };
  t.equal(chosen({}, far, near, own), '3');
  t.equal(chosen({}, far, near), '2', 'none for this node: the zone decides');
  t.equal(
    chosen({}, far, near, own, { zones: ['zone-a'] }),
    '2,3,4',
    'one endpoint has no node hint: the zone decides',
  );
});

t.test(
  'topology hints: ignored with a Local policy, and while only terminating endpoints serve',
  async (t) => {
    t.equal(
      chosen(
        { internalTrafficPolicy: 'Local' },
        { ...HERE, zones: ['zone-b'] },
        { ...HERE, zones: ['zone-a'] },
      ),
      '1,2',
    );
    t.equal(chosen({}, { ...DRAINING, zones: ['zone-b'] }, { ...DRAINING, zones: ['zone-a'] }), '1,2');
  },
);

t.test('trafficDistribution acts through hints alone', async (t) => {
  for (const trafficDistribution of ['PreferClose', 'PreferSameZone', 'PreferSameNode']) {
    t.equal(chosen({ trafficDistribution }, HERE, ELSEWHERE), '1,2', trafficDistribution);
    t.equal(
      chosen({ trafficDistribution }, { ...HERE, zones: ['zone-a'] }, { ...ELSEWHERE, zones: ['zone-b'] }),
      '1',
      trafficDistribution,
    );
  }
});

t.test('publishNotReadyAddresses: not ready counts as ready, for Local too', async (t) => {
  const publishNotReadyAddresses = true;
  t.equal(chosen({ publishNotReadyAddresses }, DOWN, {}), '1,2');
  t.equal(
    chosen({ publishNotReadyAddresses, internalTrafficPolicy: 'Local' }, { ...HERE, ...DOWN }, ELSEWHERE),
    '1',
  );
});

t.test('another node gets other endpoints', async (t) => {
  const objects = objectSet([service({ internalTrafficPolicy: 'Local' })], [sliceAt(HERE, ELSEWHERE)]);
  const here = buildDesiredState(objects, NODE);
  const there = buildDesiredState(objects, { ...NODE, name: 'node-2' }, here);
  t.equal(choice(here.snapshot.get('default/web:/TCP/IPv4')), '1');
  t.equal(choice(there.snapshot.get('default/web:/TCP/IPv4')), '2');
});

t.test('health check: local ready endpoints of a load balancer with policy Local', async (t) => {
  const spec = { externalTrafficPolicy: 'Local', healthCheckNodePort: 32000 };
  const checks = (over: object, ...places: Place[]) =>
    buildHere(objectSet([loadBalancer({ ...spec, ...over })], [sliceAt(...places)])).healthChecks;
  const check = { namespace: 'default', name: 'web', port: 32000 };
  t.same(checks({}, HERE, ELSEWHERE, HERE), [{ ...check, localEndpoints: 2 }]);
  t.same(checks({}, { ...HERE, ...DRAINING }, ELSEWHERE), [{ ...check, localEndpoints: 0 }]);
  t.same(checks({ externalTrafficPolicy: 'Cluster' }, HERE), []);
  t.same(checks({ type: 'NodePort' }, HERE), []);
  t.same(checks({ healthCheckNodePort: 0 }, HERE), []);
});

t.test('health check: a dual-stack pod counts once', async (t) => {
  const one = loadBalancer({
    clusterIP: undefined,
    clusterIPs: ['10.96.0.10', 'fd00::10'],
    externalTrafficPolicy: 'Local',
    healthCheckNodePort: 32000,
  });
  const slices = [
    slice([{ addresses: ['10.1.0.1'], nodeName: NODE.name }], {}, { name: 'web-4' }),
    slice([{ addresses: ['fd00:1::1'], nodeName: NODE.name }], { addressType: 'IPv6' }, { name: 'web-6' }),
  ];
  t.equal(buildHere(objectSet([one], slices)).healthChecks[0]?.localEndpoints, 1);
});

t.test('health checks keep their identity until one changes', async (t) => {
  const balancer = loadBalancer({ externalTrafficPolicy: 'Local', healthCheckNodePort: 32000 });
  const first = buildHere(objectSet([balancer], [sliceAt(HERE)]));
  const same = buildHere(objectSet([balancer], [sliceAt(HERE, ELSEWHERE)]), first);
  t.equal(same.healthChecks, first.healthChecks);
  const gone = buildHere(objectSet([balancer], [sliceAt(ELSEWHERE)]), same);
  t.equal(gone.healthChecks[0]?.localEndpoints, 0);
});

t.test('active-standby: the order is by pod, whatever the addresses are', async (t) => {
  const order = (activeStandby: string, ...names: string[]) => {
    const annotations = { 'kube-portal.dev/active-standby': activeStandby };
    const pods = names.map((name, index) => ({
      addresses: [`10.1.0.${index + 1}`],
      targetRef: { kind: 'Pod', name },
    }));
    const portals = portalsOf(service({}, { annotations }), slice(pods));
    return [...portals.values()].flatMap(({ endpoints }) => endpoints.map(({ id }) => id));
  };
  const names = ['web-10', 'web-2', 'web-0'];
  t.same(order('true', ...names), ['default/web-0', 'default/web-2', 'default/web-10']);
  t.same(order('true', ...names.toReversed()), order('true', ...names), 'on all nodes');
  t.same(order('false', ...names), ['default/web-10', 'default/web-2', 'default/web-0'], 'by address');
});

t.test('active-standby: hints do not count, as all nodes must agree', async (t) => {
  const annotations = { 'kube-portal.dev/active-standby': 'true' };
  const slices = sliceAt({ zones: ['zone-b'] }, { zones: [NODE.zone as string] });
  const chosenBy = (metadata: Readonly<Record<string, unknown>>) =>
    choice(portalsOf(service({}, metadata), slices).get('default/web:/TCP/IPv4'));
  t.equal(chosenBy({}), '2');
  t.equal(chosenBy({ annotations }), '1,2');
});
