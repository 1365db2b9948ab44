import { openSync } from 'node:fs';
import pino from 'pino';
import t, { type Test } from 'tap';
import { ActivePortal } from '../../lib/controlplane/activeportal.js';
import { Capacity } from '../../lib/controlplane/capacity.js';
import { NodeAddresses } from '../../lib/controlplane/nodeaddresses.js';
import { Placements } from '../../lib/controlplane/placement.js';
import { ProblemReports } from '../../lib/controlplane/problemreports.js';
import { ProxyPorts } from '../../lib/controlplane/proxyports.js';
import { PublicPorts } from '../../lib/controlplane/publicports.js';
import { EVERYONE } from '../../lib/portal/admission.js';
import { DEFAULT_POLICY } from '../../lib/portal/policy.js';
import type { Portal } from '../../lib/portal/portal.js';
import { listenStream, startListening } from '../../lib/sys/listening.js';
import { closeSocket, localAddress } from '../../lib/sys/socket.js';
import { exactly, item } from '../lab/items.js';
import { relayOnly } from './carrying.js';

/** Opens another program's listener on a free port of the loopback address. @returns the port */
function occupy(t: Test): number {
  const fd = listenStream({ address: '127.0.0.1', port: 0, sharing: 'nobody', freeBind: false });
  startListening(fd);
  t.teardown(() => closeSocket(fd));
  return localAddress(fd).port;
}

const PORTAL: Portal = {
  key: 'default/web:/TCP/IPv4',
  service: 'default/web',
  portName: '',
  protocol: 'TCP',
  family: 'IPv4',
  vips: [{ address: '10.96.0.10', port: 80, masquerade: 'off-cluster' }],
  nodePort: null,
  nodePortMasquerade: 'always',
  policy: DEFAULT_POLICY,
  admission: EVERYONE,
  endpoints: [{ id: 'a', address: '10.244.0.2', port: 8080 }],
  unserved: 'refuse',
};

/** A portal on the loopback address. Descriptors are too few to listen in both workers. */
function activePortal(t: Test, range: { first: number; last: number }): ActivePortal {
  const capacity = new Capacity(100_000);
  capacity.listenersOpened(50_000);
  return activate(t, PORTAL, range, capacity);
}

function activate(
  t: Test,
  portal: Portal,
  range: { first: number; last: number },
  capacity: Capacity,
  Active = ActivePortal,
  carriers = relayOnly(),
): ActivePortal {
  const publicPorts = new PublicPorts();
  const active = new Active(portal, 1, {
    workers: 2,
    driver: { captureOf: () => 'port', bringsTraffic: true, unsupported: new Map() },
    bindAddress: { IPv4: '127.0.0.1', IPv6: '::1' },
    nodeAddresses: new NodeAddresses([]),
    ports: new ProxyPorts(range, null, publicPorts),
    publicPorts,
    carriers,
    placements: new Placements(2, true, capacity, (policy) => carriers.mayCarryAny(policy)),
    capacity,
    idOf: () => undefined,
    isVip: () => false,
  });
  t.teardown(() => descriptors(active).forEach(closeSocket));
  return active;
}

function messages({ problems }: ActivePortal): string[] {
  return problems.map(({ message }) => message);
}

/** Reports a portal's problems. The result is a function that reports and returns the new messages. */
function teller(): (active: ActivePortal) => string[] {
  const told: string[] = [];
  const reports = new ProblemReports(pino({ level: 'silent' }), { unsupported: new Map() }, ({ message }) =>
    told.push(message),
  );
  return (active) => {
    reports.tell([active], true);
    return told.splice(0);
  };
}

function descriptors(active: ActivePortal): number[] {
  return active.forDataplane().listeners.flatMap(({ group }) => group.fds.filter((fd) => fd !== null));
}

t.test('a new version of a portal keeps its listener, its worker and its port', async (t) => {
  const active = activePortal(t, { first: 20_000, last: 30_000 });
  t.ok(active.openListeners());
  const [before] = exactly(1, active.forDataplane().listeners);
  t.equal(before.group.fds.filter((fd) => fd !== null).length, 1, 'one worker listens');
  for (const address of ['10.244.0.3', '10.244.0.4']) {
    const redirectChanged = active.update({ ...PORTAL, endpoints: [{ id: 'b', address, port: 8080 }] });
    t.notOk(redirectChanged);
    t.notOk(active.openListeners(), 'nothing opened, nothing closed');
    t.same(active.forDataplane().listeners, [before]);
  }
  t.ok(
    active.update({ ...PORTAL, vips: [{ address: '10.96.0.11', port: 80, masquerade: 'off-cluster' }] }),
    'another VIP, another redirect',
  );
});

t.test('a proxy port that another program uses is replaced by the next', async (t) => {
  const taken = occupy(t);
  const active = activePortal(t, { first: taken - 5, last: taken });
  t.ok(active.openListeners());
  t.ok(active.isComplete);
  t.ok(active.redirect().proxyPort < taken);
  t.same(item(active.forDataplane().listeners, 0).redirectedPort, active.redirect().proxyPort);
});

t.test('a range without a free port is a problem of the portal, which says what to do', async (t) => {
  const taken = occupy(t);
  const active = activePortal(t, { first: taken, last: taken });
  t.notOk(active.openListeners());
  t.notOk(active.canRedirect);
  t.match(messages(active).join(), /--proxy-port-range .*give a wider range/);
});

t.test('without endpoints, a portal does not listen and keeps its port', async (t) => {
  const active = activePortal(t, { first: 20_000, last: 30_000 });
  active.update({ ...PORTAL, endpoints: [] });
  t.notOk(active.openListeners());
  t.same(active.forDataplane().listeners, []);
  t.ok(active.canRedirect, 'clients are redirected to the closed port and refused');
  t.ok(active.redirect().proxyPort > 0);
  active.update(PORTAL);
  t.ok(active.openListeners());
  t.ok(descriptors(active).length > 0);
});

const ROOMY = 100_000;
const RANGE = { first: 20_000, last: 30_000 };

/** Puts a file that is no socket in the place of a descriptor. */
function replace(t: Test, descriptor: number): void {
  closeSocket(descriptor);
  for (let fd = -1; fd !== descriptor; ) {
    fd = openSync('/dev/null', 'r');
    if (fd !== descriptor) t.teardown(() => closeSocket(fd));
  }
}

t.test('a kernel that refuses steering is reported once and asked again', async (t) => {
  const tell = teller();
  const affinity = { by: 'client-ip', timeoutMs: 10_000 } as const;
  const portal = { ...PORTAL, policy: { ...DEFAULT_POLICY, affinity } };
  const active = activate(t, portal, RANGE, new Capacity(ROOMY));
  t.ok(active.openListeners());
  t.same(messages(active), []);
  const [first] = exactly(2, descriptors(active));
  replace(t, first);
  active.openListeners();
  t.match(tell(active), [/affinity of 127.0.0.1:\d+\/TCP does not hold.*ENOTSOCK.*--workers=1/]);
  t.notOk(active.isComplete, 'so that it is tried again');
  active.openListeners();
  t.same(tell(active), [], 'no second time');
  t.equal(active.status().problems.length, 1);
});

t.test('a filter that the kernel refuses is reported once and tried again', async (t) => {
  const tell = teller();
  const tooMany = Array.from({ length: 2000 }, (_, index) => `10.${index >> 8}.${index & 255}.0/24`);
  const portal = (sources: readonly string[]): Portal => ({
    ...PORTAL,
    admission: { sources: null, insiders: { portal: 'default/web:inside/TCP/IPv4', sources } },
    endpoints: [],
    unserved: 'ignore',
  });
  const active = activate(t, portal(tooMany), RANGE, new Capacity(ROOMY));
  t.ok(active.openListeners());
  t.match(tell(active), [/must ignore are refused.*SO_ATTACH_FILTER: E.*optmem_max/]);
  t.notOk(active.isComplete);
  active.openListeners();
  t.same(tell(active), [], 'no second time');
  active.update(portal(['10.0.0.0/8']));
  active.openListeners();
  t.same(messages(active), []);
  t.ok(active.isComplete);
});
