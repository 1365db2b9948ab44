import '../redirect/namespace.js';
import t from 'tap';
import { DEFAULT_POLICY, type ServicePolicy } from '../../lib/portal/policy.js';
import type { Portal } from '../../lib/portal/portal.js';
import { sh } from '../redirect/namespace.js';
import { BOTH, type CarryingNode, carriersOf } from './carrying.js';

// The probe of connection tracking needs it.
sh('iptables -t nat -A PREROUTING -j ACCEPT; ip6tables -t nat -A PREROUTING -j ACCEPT');

const KINDS = ['TCP/IPv4', 'UDP/IPv4', 'TCP/IPv6', 'UDP/IPv6'] as const;
const AUTO: ServicePolicy = { ...DEFAULT_POLICY, carrier: 'auto' };
const PINNED: ServicePolicy = { ...DEFAULT_POLICY, affinity: { by: 'client-ip', timeoutMs: 1000 } };

type Candidate = Pick<Portal, 'policy' | 'family' | 'protocol' | 'endpoints'>;

function ofEachKind(policy: ServicePolicy, address = '10.1.0.1'): Candidate[] {
  return KINDS.map((kind) => {
    const [protocol, family] = kind.split('/') as [Portal['protocol'], Portal['family']];
    return { protocol, family, policy, endpoints: [{ id: 'a', address, port: 8080 }] };
  });
}

async function carried(node: CarryingNode, policy: ServicePolicy): Promise<string> {
  const carriers = carriersOf(node);
  const portals = ofEachKind(policy);
  await carriers.openFor(portals);
  return portals
    .filter((portal) => carriers.mayCarry(portal))
    .map(({ protocol, family }) => `${protocol}/${family}`)
    .join(' ');
}

const ALL_KINDS = KINDS.join(' ');
const auto = { mode: 'auto' } as const;
const TABLE: [string, CarryingNode, ServicePolicy, string][] = [
  ['auto', { options: auto }, DEFAULT_POLICY, ALL_KINDS],
  ['kernel', { options: { mode: 'kernel' } }, DEFAULT_POLICY, ALL_KINDS],
  ['relay', {}, DEFAULT_POLICY, ''],
  ['relay, and a Service that asks for the kernel', {}, AUTO, ALL_KINDS],
  ['auto, and a Service that asks for the relay', { options: auto }, { ...AUTO, carrier: 'relay' }, ''],
  ['affinity', { options: auto }, PINNED, ALL_KINDS],
  ['RTPS routing', { options: auto }, { ...PINNED, rtpsRouting: 'pin' }, ''],
  ['an RTPS key', { options: auto }, { ...AUTO, affinity: { by: 'rtps-host', timeoutMs: 1 } }, ''],
  ['no rules for IPv6', { options: auto, driver: { IPv4: null, IPv6: 'no' } }, AUTO, 'TCP/IPv4 UDP/IPv4'],
  ['no queues', { options: auto, worker: { ...BOTH, TCP: 'no' } }, AUTO, 'UDP/IPv4 UDP/IPv6'],
];

for (const [name, node, policy, expected] of TABLE) {
  t.test(`what the kernel may carry: ${name}`, async (t) => {
    t.equal(await carried(node, policy), expected);
  });
}

const KEYED: ServicePolicy = { ...AUTO, affinity: { by: 'rtps-participant', timeoutMs: 1 } };
for (const [name, policy, expected] of [
  ['RTPS that is pinned', { ...PINNED, rtpsRouting: 'pin' }, 'UDP/IPv4 UDP/IPv6'],
  ['an RTPS key', KEYED, 'UDP/IPv4 UDP/IPv6'],
  ['RTPS that goes to whom it names', { ...PINNED, rtpsRouting: 'follow' }, ''],
  ['RTPS that goes to all', { ...KEYED, rtpsRouting: 'fan-out' }, ''],
  ['a Service that asks for the relay', { ...KEYED, carrier: 'relay' }, ''],
  ['what it carries from the beginning on', AUTO, ''],
] as [string, ServicePolicy, string][]) {
  t.test(`what the kernel may take over: ${name}`, async (t) => {
    const carriers = carriersOf({ options: auto });
    const takenOver = (portals: readonly Candidate[]) =>
      portals
        .filter((portal) => carriers.mayTakeOver(portal))
        .map(({ protocol, family }) => `${protocol}/${family}`);
    t.same(takenOver(ofEachKind(policy)), [], 'nothing before it is asked');
    await carriers.openFor(ofEachKind(AUTO));
    t.equal(takenOver(ofEachKind(policy)).join(' '), expected);
    t.same(takenOver(ofEachKind(policy, '127.0.0.1').filter(({ family }) => family === 'IPv4')), []);
  });
}

t.test('nobody is asked until a portal wants the kernel, and then once', async (t) => {
  const asked: string[] = [];
  const carriers = carriersOf({}, asked);
  await carriers.openFor(ofEachKind(DEFAULT_POLICY));
  t.same(asked, []);
  t.equal(carriers.mayCarryAny(AUTO), false, 'and none is carried before');
  await carriers.openFor(ofEachKind(AUTO));
  await carriers.openFor(ofEachKind(AUTO));
  t.same(asked, ['workers', 'forwarding'], 'workers know whether the node forwards before they carry');
  t.equal(carriers.mayCarryAny(AUTO), true);
});

t.test('workers open nothing where there can be no rules', async (t) => {
  const asked: string[] = [];
  const carriers = carriersOf(
    { options: auto, driver: { IPv4: 'no iptables', IPv6: 'no ip6tables' } },
    asked,
  );
  await carriers.openFor(ofEachKind(DEFAULT_POLICY));
  const limits = [
    'relayed: TCP over IPv4, UDP over IPv4: no iptables',
    'relayed: TCP over IPv6, UDP over IPv6: no ip6tables',
  ];
  t.same(carriers.limits, limits);
  t.same(
    asked,
    limits.map((limit) => `log: ${limit}`),
    'nobody but the log learns of it',
  );
  const other = carriersOf({ options: auto, driver: { IPv4: 'no rules', IPv6: 'no rules' } });
  await other.openFor(ofEachKind(DEFAULT_POLICY));
  t.same(other.limits, ['all traffic is relayed: no rules']);
});

t.test('an obstacle is named only where something else than the relay is wanted', async (t) => {
  const carriers = carriersOf({ options: auto, worker: { ...BOTH, UDP: 'no socket' } });
  await carriers.openFor(ofEachKind(DEFAULT_POLICY));
  const obstacles = (policy: ServicePolicy) =>
    ofEachKind(policy).map((portal) => carriers.obstacleTo(portal));
  t.same(obstacles(DEFAULT_POLICY), [null, 'no socket', null, 'no socket']);
  t.same(obstacles({ ...DEFAULT_POLICY, carrier: 'relay' }), [null, null, null, null]);
  t.match(obstacles({ ...PINNED, rtpsRouting: 'follow' }), [/about RTPS/, /about RTPS/, /RTPS/, /RTPS/]);
  t.same(carriers.limits, ['relayed: UDP over IPv4, UDP over IPv6: no socket']);
});

t.test('a portal with an endpoint on a loopback address is relayed', async (t) => {
  const carriers = carriersOf({ options: auto });
  await carriers.openFor(ofEachKind(DEFAULT_POLICY));
  for (const address of ['127.0.0.1', '127.9.9.9', '::1']) {
    const [portal] = ofEachKind(DEFAULT_POLICY, address);
    t.ok(portal);
    if (portal === undefined) continue;
    t.notOk(carriers.mayCarry(portal), address);
    t.match(carriers.obstacleTo(portal), 'loopback');
    const other = { id: 'b', address: '10.1.0.2', port: 8080 };
    t.notOk(carriers.mayCarry({ ...portal, endpoints: [other, ...portal.endpoints] }), 'beside another');
    t.ok(carriers.mayCarry({ ...portal, endpoints: [other] }));
  }
});

t.test('the home of a portal is the worker that it is in, or one that has queues', async (t) => {
  const carriers = carriersOf({});
  t.same(
    [0, 1, 2, 3].map((id) => carriers.homeOf(id, null)),
    [0, 1, 0, 1],
  );
  t.equal(carriers.homeOf(2, 1), 1);
  t.equal(carriers.queueOf('TCP', 1), 20_481);
  t.equal(carriers.queueOf('UDP', 1), 20_489);
});
