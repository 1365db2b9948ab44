import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import t from 'tap';
import type { DesiredState } from '../../lib/model/desiredstate.js';
import { diffSnapshots } from '../../lib/model/diff.js';
import type { EndpointSlice, ObjectSet, Service } from '../../lib/model/objects.js';
import { describeProblem } from '../../lib/model/problem.js';
import { SharedMap } from '../../lib/model/sharedmap.js';
import { anyObjects } from './arbitrary.js';
import { buildHere, objectSet, service, slice } from './fixtures.js';

function problemsOf({ problems }: DesiredState): string[] {
  return problems.map(describeProblem);
}

function vipsOf({ snapshot }: DesiredState): Record<string, string[]> {
  return Object.fromEntries(
    [...snapshot].map(([key, { vips }]) => [key, vips.map(({ address }) => address)]),
  );
}

/** `id=address:port` of the endpoints of the Service's only portal. */
function endpointsOf(one: Service, ...slices: EndpointSlice[]): string[] {
  const { snapshot } = buildHere(objectSet([one], slices));
  return [...snapshot.values()][0]!.endpoints.map(({ id, address, port }) => `${id}=${address}:${port}`);
}

/** Whether a state that was built step by step equals a state that is built from nothing. */
function isAsFresh(built: DesiredState, objects: ObjectSet): boolean {
  const fresh = buildHere(objects);
  const parts = ['snapshot', 'problems', 'healthChecks', 'claims', 'groups'] as const;
  return parts.every((part) => isDeepStrictEqual(built[part], fresh[part]));
}

t.test(
  'not served: headless and ExternalName Services, and those with the label for another proxy',
  async (t) => {
    const labelled = (label: string) => service({}, { labels: { [label]: '' } });
    const table: Record<string, Service> = {
      'clusterIP None': service({ clusterIP: 'None' }),
      'clusterIPs None': service({ clusterIP: null, clusterIPs: ['None'], ports: [] }),
      ExternalName: service({ type: 'ExternalName', clusterIP: '', externalName: 'a.example', ports: null }),
      'service-proxy-name': labelled('service.kubernetes.io/service-proxy-name'),
      headless: labelled('service.kubernetes.io/headless'),
    };
    for (const [rule, one] of Object.entries(table)) {
      const build = buildHere(objectSet([one]));
      t.equal(build.snapshot.size, 0, rule);
      t.same(build.problems, [], rule);
    }
  },
);

t.test('a portal per port and family, with every VIP of that family once', async (t) => {
  const build = buildHere(
    objectSet([
      service(
        {
          clusterIP: '10.96.0.10',
          clusterIPs: ['10.96.0.10', 'fd00::10'],
          externalIPs: ['192.0.2.1', '2001:db8::1'],
          ports: [
            { name: 'http', port: 80 },
            { name: 'dns', port: 53, protocol: 'UDP' },
          ],
        },
        {},
        { status: { loadBalancer: { ingress: [{ ip: '192.0.2.1' }, { ip: '192.0.2.2' }] } } },
      ),
    ]),
  );
  t.same(vipsOf(build), {
    'default/web:http/TCP/IPv4': ['10.96.0.10', '192.0.2.1', '192.0.2.2'],
    'default/web:dns/UDP/IPv4': ['10.96.0.10', '192.0.2.1', '192.0.2.2'],
    'default/web:http/TCP/IPv6': ['fd00::10', '2001:db8::1'],
    'default/web:dns/UDP/IPv6': ['fd00::10', '2001:db8::1'],
  });
  t.same(build.problems, []);
});

t.test('clusterIP is used if clusterIPs is missing', async (t) => {
  t.same(vipsOf(buildHere(objectSet([service({ clusterIP: 'fd00::a' })]))), {
    'default/web:/TCP/IPv6': ['fd00::a'],
  });
});

t.test('an address of a family that the Service does not have is a problem', async (t) => {
  const build = buildHere(objectSet([service({ externalIPs: ['2001:db8::1'] })]));
  t.same(vipsOf(build), { 'default/web:/TCP/IPv4': ['10.96.0.10'] });
  t.same(problemsOf(build), [
    'Service default/web: spec.externalIPs: 2001:db8::1 is not served: the Service has no IPv6 ClusterIP',
  ]);
});

t.test('node ports of NodePort and LoadBalancer Services only', async (t) => {
  const ports = [{ port: 80, nodePort: 30080 }];
  const nodePort = (type: string, over = {}) =>
    [...buildHere(objectSet([service({ type, ports, ...over })])).snapshot.values()].map((p) => p.nodePort);
  t.same(nodePort('ClusterIP'), [null]);
  t.same(nodePort('NodePort'), [30080]);
  t.same(nodePort('LoadBalancer'), [30080]);
  t.same(nodePort('NodePort', { clusterIPs: ['10.96.0.10', 'fd00::10'] }), [30080, 30080]);
  t.same(nodePort('NodePort', { clusterIP: null }), [30080], 'even without a ClusterIP');
});

t.test('addresses and ports that only an API server would allocate are a problem', async (t) => {
  t.same(problemsOf(buildHere(objectSet([service({ clusterIP: '' })]))), [
    'Service default/web: spec.clusterIP: missing; give an address, because kube-portal allocates none',
  ]);
  t.same(problemsOf(buildHere(objectSet([service({ type: 'NodePort' })]))), [
    'Service default/web: spec.ports[0].nodePort: missing; give a port, because kube-portal allocates none',
  ]);
});

t.test('ClientIP affinity lasts three hours if the Service gives no time', async (t) => {
  const affinity = (spec: Record<string, unknown>) =>
    [...buildHere(objectSet([service(spec)])).snapshot.values()][0]!.policy.affinity;
  const sessionAffinityConfig = { clientIP: { timeoutSeconds: 5 } };
  t.equal(affinity({}), null);
  t.equal(affinity({ sessionAffinity: 'None', sessionAffinityConfig }), null);
  t.same(affinity({ sessionAffinity: 'ClientIP' }), { by: 'client-ip', timeoutMs: 10_800_000 });
  t.same(affinity({ sessionAffinity: 'ClientIP', sessionAffinityConfig }), {
    by: 'client-ip',
    timeoutMs: 5000,
  });
});

t.test(
  "all portals of a Service have the Service's own policy, and Services that ask for nothing share one",
  async (t) => {
    const ports = [
      { name: 'a', port: 80 },
      { name: 'b', port: 81, protocol: 'UDP' },
    ];
    const pinned = service({ ports, clusterIPs: ['10.96.0.10', 'fd00:96::10'], sessionAffinity: 'ClientIP' });
    const portals = [...buildHere(objectSet([pinned])).snapshot.values()];
    t.equal(portals.length, 4);
    for (const { policy } of portals) t.equal(policy, pinned.policy);
    t.equal(service().policy, service({ clusterIP: '10.96.0.11' }, { name: 'other' }).policy);
  },
);

t.test('SCTP is not proxied, and that is a problem', async (t) => {
  const ports = [
    { name: 'a', port: 80 },
    { name: 'b', port: 81, protocol: 'SCTP' },
  ];
  const build = buildHere(objectSet([service({ ports })]));
  t.same([...build.snapshot.keys()], ['default/web:a/TCP/IPv4']);
  t.same(problemsOf(build), [
    'Service default/web: spec.ports[1].protocol: SCTP is not proxied; port 81 is not served',
  ]);
});

t.test('endpoints: by port name and protocol, each slice with its own number', async (t) => {
  const web = service({ ports: [{ name: 'http', port: 80 }] });
  const ports = (port: number) => [
    { name: 'http', port },
    { name: 'http', port: port + 1, protocol: 'UDP' },
    { name: 'metrics', port: 9090 },
    { name: 'all' },
  ];
  t.same(
    endpointsOf(
      web,
      slice([{ addresses: ['10.1.0.2'] }], { ports: ports(8080) }, { name: 'web-1' }),
      slice([{ addresses: ['10.1.0.1'] }], { ports: ports(7070) }, { name: 'web-2' }),
    ),
    ['10.1.0.1=10.1.0.1:7070', '10.1.0.2=10.1.0.2:8080'],
  );
});

t.test(
  'endpoints: only of the same namespace, Service and family, and without the label for another proxy',
  async (t) => {
    const at = (address: string) => [{ addresses: [address] }];
    const labels = { 'kubernetes.io/service-name': 'web' };
    t.same(
      endpointsOf(
        service(),
        slice(at('10.1.0.1'), {}, { name: 'a', namespace: 'other' }),
        slice(at('10.1.0.2'), {}, { name: 'b', labels: { 'kubernetes.io/service-name': 'api' } }),
        slice(at('fd00::3'), { addressType: 'IPv6' }, { name: 'c' }),
        slice(at('10.1.0.4'), {}, { name: 'd', labels: { ...labels, 'service.kubernetes.io/headless': '' } }),
        slice(at('10.1.0.5'), {}, { name: 'e' }),
      ),
      ['10.1.0.5=10.1.0.5:8080'],
    );
  },
);

t.test('endpoints: the ready ones; if there are none, those that serve and terminate', async (t) => {
  const endpoint = (n: number, conditions: Record<string, boolean>) => ({
    addresses: [`10.1.0.${n}`],
    conditions,
  });
  const ready = endpoint(1, { ready: true });
  const notReady = endpoint(2, { ready: false, serving: false });
  const draining = endpoint(3, { ready: false, serving: true, terminating: true });
  const dead = endpoint(4, { ready: false, serving: false, terminating: true });
  const addresses = (...endpoints: object[]) =>
    endpointsOf(service(), slice(endpoints as never)).map((text) => text.split('=')[0]);
  t.same(addresses(ready, notReady, draining, dead), ['10.1.0.1']);
  t.same(addresses(notReady, draining, dead), ['10.1.0.3']);
  t.same(addresses(notReady, dead), []);
});

t.test('endpoints: all of them with publishNotReadyAddresses', async (t) => {
  const endpoints = [{ addresses: ['10.1.0.1'], conditions: { ready: false } }, { addresses: ['10.1.0.2'] }];
  t.equal(endpointsOf(service({ publishNotReadyAddresses: true }), slice(endpoints)).length, 2);
});

t.test('endpoints: one address and port in two slices counts once, with its pod', async (t) => {
  const targetRef = { kind: 'Pod', namespace: 'default', name: 'web-a' };
  t.same(
    endpointsOf(
      service(),
      slice([{ addresses: ['10.1.0.1'] }], {}, { name: 'web-1' }),
      slice([{ addresses: ['10.1.0.1'], targetRef }], {}, { name: 'web-2' }),
    ),
    ['default/web-a=10.1.0.1:8080'],
  );
});

t.test('endpoint ids are unique in a portal; the address is appended before the port', async (t) => {
  const targetRef = { name: 'pod' };
  const portSlice = (port: number, endpoint: Record<string, unknown>) =>
    slice([endpoint as never], { ports: [{ port }] }, { name: `web-${port}` });
  t.same(
    endpointsOf(
      service(),
      portSlice(9001, { addresses: ['127.0.0.1'] }),
      portSlice(9002, { addresses: ['127.0.0.1'] }),
    ),
    ['127.0.0.1:9001=127.0.0.1:9001', '127.0.0.1:9002=127.0.0.1:9002'],
  );
  t.same(
    endpointsOf(
      service(),
      slice([
        { addresses: ['10.1.0.1'], targetRef },
        { addresses: ['10.1.0.2'], targetRef },
      ]),
    ),
    ['default/pod@10.1.0.1=10.1.0.1:8080', 'default/pod@10.1.0.2=10.1.0.2:8080'],
  );
});

t.test('each FQDN slice is a problem', async (t) => {
  const named = slice([{ addresses: ['web.example'] }], { addressType: 'FQDN' }, { name: 'web-names' });
  const build = buildHere(objectSet([service()], [named, slice([{ addresses: ['10.1.0.1'] }])]));
  t.equal([...build.snapshot.values()][0]!.endpoints.length, 1);
  t.same(problemsOf(build), [
    'EndpointSlice default/web-names: addressType: FQDN endpoints are not proxied; give IPv4 or IPv6 addresses',
  ]);
});

t.test('a VIP that two Services claim goes to the older one, or to the first by name', async (t) => {
  const named = (name: string, creationTimestamp: string | null) => service({}, { name, creationTimestamp });
  const old = '2020-01-01T00:00:00Z';
  const young = '2024-01-01T00:00:00Z';
  const winner = (...services: Service[]) => [...buildHere(objectSet(services)).snapshot.keys()];
  t.same(winner(named('a', young), named('b', old)), ['default/b:/TCP/IPv4']);
  t.same(winner(named('a', old), named('b', old)), ['default/a:/TCP/IPv4']);
  t.same(winner(named('b', null), named('a', null)), ['default/a:/TCP/IPv4']);
  t.same(winner(named('a', null), named('b', young)), ['default/b:/TCP/IPv4'], 'unknown age counts as new');
  t.same(problemsOf(buildHere(objectSet([named('a', null), named('b', null)]))), [
    'Service default/b: 10.96.0.10:80/TCP already belongs to Service default/a, which is older or comes first by name; give this Service another address or port',
  ]);
});

t.test('a Service loses only the addresses and ports that another Service has', async (t) => {
  const ports = [{ port: 80, nodePort: 30080 }];
  const a = service({ type: 'NodePort', ports }, { name: 'a' });
  const b = service(
    { type: 'NodePort', clusterIP: '10.96.0.11', externalIPs: ['10.96.0.10'], ports },
    { name: 'b' },
  );
  const c = service({ ports: [{ port: 80, protocol: 'UDP' }] }, { name: 'c' });
  const build = buildHere(objectSet([a, b, c]));
  t.same(vipsOf(build), {
    'default/a:/TCP/IPv4': ['10.96.0.10'],
    'default/b:/TCP/IPv4': ['10.96.0.11'],
    'default/c:/UDP/IPv4': ['10.96.0.10'],
  });
  t.equal(build.snapshot.get('default/b:/TCP/IPv4')!.nodePort, null);
  t.same(problemsOf(build), [
    'Service default/b: 10.96.0.10:80/TCP already belongs to Service default/a, which is older or comes first by name; give this Service another address or port',
    'Service default/b: node port 30080/TCP already belongs to Service default/a, which is older or comes first by name; give this Service another address or port',
  ]);
  const after = buildHere(objectSet([b, c]), build);
  t.same(after.problems, [], 'the next Service gets the claim when its owner goes');
  t.equal(after.snapshot.get('default/b:/TCP/IPv4')!.nodePort, 30080);
});

t.test('a renamed port is a change; a portal that goes while an unrelated one comes is not', async (t) => {
  const named = (name: string, over = {}) => service({ ports: [{ name, port: 80 }], ...over });
  const before = buildHere(objectSet([named('http')])).snapshot;
  const diffTo = (one: Service) => {
    const { added, removed, changed } = diffSnapshots(before, buildHere(objectSet([one])).snapshot);
    return {
      added: added.map(({ key }) => key),
      removed: removed.map(({ key }) => key),
      changed: changed.map(({ before, after }) => [before.key, after.key]),
    };
  };
  const [http, web] = ['default/web:http/TCP/IPv4', 'default/web:web/TCP/IPv4'];
  t.same(diffTo(named('web')), { added: [], removed: [], changed: [[http, web]] });
  t.same(diffTo(named('web', { clusterIP: '10.96.0.99' })), { added: [web], removed: [http], changed: [] });
  const other = service({ ports: [{ name: 'http', port: 80 }] }, { name: 'other' });
  t.same(diffTo(other), { added: ['default/other:http/TCP/IPv4'], removed: [http], changed: [] });
});

t.test('portals that did not change keep their identity', async (t) => {
  const other = service({ clusterIP: '10.96.0.11' }, { name: 'other' });
  const ports = [
    { name: 'a', port: 80 },
    { name: 'b', port: 81 },
  ];
  const web = service({ ports });
  const first = slice([{ addresses: ['10.1.0.1'] }], { ports: [{ name: 'a', port: 1 }] });
  const second = slice([{ addresses: ['10.1.0.2'] }], { ports: [{ name: 'a', port: 1 }] });
  const before = buildHere(objectSet([web, other], [first]));
  const after = buildHere(objectSet([web, other], [second]), before);
  for (const key of ['default/other:/TCP/IPv4', 'default/web:b/TCP/IPv4']) {
    t.equal(after.snapshot.get(key), before.snapshot.get(key), key);
  }
  t.not(after.snapshot.get('default/web:a/TCP/IPv4'), before.snapshot.get('default/web:a/TCP/IPv4'));
  const equal = buildHere(objectSet([service({ ports }), other], [{ ...second }]), after);
  t.equal(equal.snapshot, after.snapshot, 'equal objects give the same snapshot');
});

t.test('a state that is built from the previous state equals one that is built from nothing', async (t) => {
  fc.assert(
    fc.property(fc.array(anyObjects, { minLength: 1, maxLength: 4 }), (states) => {
      let previous: DesiredState | undefined;
      for (const objects of states) {
        const built: DesiredState = buildHere(objects, previous);
        if (!isAsFresh(built, objects)) return false;
        previous = built;
      }
      return true;
    }),
    { numRuns: 500 },
  );
  t.pass();
});

t.test('the same with many Services when some of their slices change', async (t) => {
  const MANY = 200;
  const services = Array.from({ length: MANY }, (_, n) =>
    service({ clusterIP: `10.96.0.${n}` }, { name: `s${n}` }),
  );
  const sliceOf = (name: number, owner: number, host: number) =>
    slice(
      [{ addresses: [`10.1.0.${host}`] }],
      { addressType: host === 0 ? 'FQDN' : 'IPv4' },
      { name: `x${name}`, labels: { 'kubernetes.io/service-name': `s${owner}` } },
    );
  const first = objectSet(
    services,
    services.map((_, n) => sliceOf(n, n, 1)),
  );
  const anyChange = fc
    .tuple(fc.nat(MANY), fc.nat(MANY), fc.option(fc.nat(3), { nil: undefined }))
    .map(([name, owner, host]): [string, EndpointSlice | undefined] => [
      `default/x${name}`,
      host === undefined ? undefined : sliceOf(name, owner, host),
    ]);
  fc.assert(
    fc.property(fc.array(fc.array(anyChange, { maxLength: 5 }), { maxLength: 5 }), (steps) => {
      let slices = SharedMap.empty<EndpointSlice>().with(first.slices);
      let build = buildHere({ ...first, slices });
      for (const step of steps) {
        slices = slices.with(new Map(step));
        build = buildHere({ ...first, slices }, build);
      }
      return isAsFresh(build, { ...first, slices });
    }),
    { numRuns: 50 },
  );
  t.pass();
});

t.test('the same with many Services that claim the same addresses when some of them change', async (t) => {
  const MANY = 100;
  const nameOf = (n: number) => `s${n}`;
  const anyChange = fc
    .record({
      name: fc.nat(MANY),
      hosts: fc.option(fc.uniqueArray(fc.nat(MANY), { minLength: 1, maxLength: 2 }), { nil: undefined }),
      year: fc.integer({ min: 2020, max: 2023 }),
    })
    .map(({ name, hosts, year }): [string, Service | undefined] => [
      `default/${nameOf(name)}`,
      hosts && serviceAt(name, hosts, year),
    ]);
  const serviceAt = (n: number, hosts: number[], year: number) =>
    service(
      { clusterIP: `10.96.0.${hosts[0]}`, externalIPs: hosts.slice(1).map((host) => `10.96.0.${host}`) },
      { name: nameOf(n), creationTimestamp: `${year}-01-01T00:00:00Z` },
    );
  const first = new Map(
    Array.from({ length: MANY }, (_, n) => [`default/${nameOf(n)}`, serviceAt(n, [n], 2021)]),
  );
  fc.assert(
    fc.property(fc.array(fc.array(anyChange, { maxLength: 8 }), { maxLength: 6 }), (steps) => {
      let services = SharedMap.empty<Service>().with(first);
      let build = buildHere({ services, slices: new Map() });
      for (const step of steps) {
        services = services.with(new Map(step));
        build = buildHere({ services, slices: new Map() }, build);
      }
      return isAsFresh(build, { services, slices: new Map() });
    }),
    { numRuns: 100 },
  );
  t.pass();
});

t.test('a Service that comes and goes does not make others be built again', async (t) => {
  const others = Array.from({ length: 100 }, (_, n) =>
    service({ clusterIP: `10.96.0.${n}` }, { name: `s${n}` }),
  );
  const loser = service({ clusterIP: '10.96.0.1' }, { name: 'z' });
  const before = buildHere(objectSet([...others, loser]));
  const newcomer = service({ clusterIP: '10.96.1.1' }, { name: 'new' });
  const after = buildHere(objectSet([...others, loser, newcomer]), before);
  t.ok(after.snapshot.has('default/new:/TCP/IPv4'));
  const unlike = (key: string) => after.claims.grants.get(key) !== before.claims.grants.get(key);
  t.same([...after.claims.grants.keys()].filter(unlike), ['default/new']);
  t.equal(after.services.get('default/z'), before.services.get('default/z'));
});

t.test(
  'no two portals share a VIP with port and protocol, or a node port; ids are unique in a portal',
  async (t) => {
    fc.assert(
      fc.property(anyObjects, (objects) => {
        const owners = new Map<string, string>();
        const { snapshot } = buildHere(objects);
        return [...snapshot.values()].every(({ key, service, protocol, ...portal }) => {
          const claims = [
            ...portal.vips.map((vip) => [`${vip.address} ${vip.port} ${protocol}`, key]),
            ...(portal.nodePort ? [[`${portal.nodePort} ${protocol}`, service]] : []),
          ] as [string, string][];
          const free = claims.every(([claim, owner]) => (owners.get(claim) ?? owner) === owner);
          for (const [claim, owner] of claims) owners.set(claim, owner);
          const ids = new Set(portal.endpoints.map(({ id }) => id));
          const { insiders } = portal.admission;
          if (insiders !== null && !snapshot.has(insiders.portal)) return false;
          return free && ids.size === portal.endpoints.length && claims.length > 0;
        });
      }),
      { numRuns: 500 },
    );
    t.pass();
  },
);

t.test('a diff that is applied to the state before gives the state after', async (t) => {
  fc.assert(
    fc.property(anyObjects, anyObjects, fc.boolean(), (first, second, reuse) => {
      const before = buildHere(first);
      const after = buildHere(second, reuse ? before : undefined);
      const diff = diffSnapshots(before.snapshot, after.snapshot);
      const applied = new Map(before.snapshot);
      for (const { key } of diff.removed) if (!applied.delete(key)) return false;
      for (const portal of diff.added) {
        if (applied.has(portal.key)) return false;
        applied.set(portal.key, portal);
      }
      for (const change of diff.changed) {
        if (applied.get(change.before.key) !== change.before) return false;
        applied.delete(change.before.key);
        if (isDeepStrictEqual(change.before, change.after)) return false;
      }
      for (const { after } of diff.changed) applied.set(after.key, after);
      return isDeepStrictEqual(applied, new Map(after.snapshot));
    }),
    { numRuns: 500 },
  );
  t.pass();
});

t.test(
  'a refused address of a Service is a problem of the Service, and the other addresses are served',
  async (t) => {
    const one = service({ externalIPs: ['192.0.2.1', '192.0.2.256'] });
    const build = buildHere(objectSet([one]));
    t.same(vipsOf(build), { 'default/web:/TCP/IPv4': ['10.96.0.10', '192.0.2.1'] });
    t.same(problemsOf(build), [
      'Service default/web: spec.externalIPs[1]: "192.0.2.256" is not the IP address of a host',
    ]);
  },
);

t.test('a slice with the label but without the port of a Service is named once', async (t) => {
  const ports = [
    { name: 'web', port: 80 },
    { name: 'dns', port: 53, protocol: 'UDP' },
  ];
  const endpoints = [{ addresses: ['10.1.0.1'] }];
  const problems = (spec: object, ...slices: EndpointSlice[]) =>
    problemsOf(buildHere(objectSet([service({ ports, ...spec })], slices)));
  const named = slice(endpoints, {
    ports: [
      { name: 'http', port: 8080 },
      { name: 'dns', port: 53 },
    ],
  });
  const reason = 'but http (TCP), dns (TCP); name and protocol must be the same in both';
  t.same(problems({}, named), [
    `Service default/web: spec.ports[0]: has no endpoints: EndpointSlice default/web-1 has no port web (TCP) ${reason}`,
    `Service default/web: spec.ports[1]: has no endpoints: EndpointSlice default/web-1 has no port dns (UDP) ${reason}`,
  ]);
  t.same(problems({}), [], 'there is no slice');
  t.same(problems({}, slice([], { ports: [] })), [], 'there is no endpoint');
  const other = slice(endpoints, { ports: [{ name: 'web', port: 1 }, ports[1]] }, { name: 'web-2' });
  t.same(problems({}, named, other), [], 'another slice has the ports');
  const local = { type: 'NodePort', externalTrafficPolicy: 'Local' };
  t.equal(
    problems({ ...local, ports: [{ name: 'web', port: 80, nodePort: 30080 }] }, named).length,
    1,
    'two portals of one port give one problem',
  );
  t.match(problemsOf(buildHere(objectSet([service()], [named]))), [
    /has no port without a name \(TCP\) but http/,
  ]);
});

t.test('a slice of another family than the Service is named, except for dual-stack Services', async (t) => {
  const six = slice([{ addresses: ['fd00::1'] }], { addressType: 'IPv6' });
  const problems = (clusterIPs: string[]) =>
    problemsOf(buildHere(objectSet([service({ clusterIPs })], [six])));
  t.same(problems(['10.96.0.10']), [
    'Service default/web: spec.clusterIPs: no endpoints are IPv4: EndpointSlice default/web-1 has IPv6 addresses; give the Service a ClusterIP of the same family as its endpoints',
  ]);
  t.same(problems(['10.96.0.10', 'fd00::10']), []);
});
