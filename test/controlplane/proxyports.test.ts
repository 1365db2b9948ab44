import t from 'tap';
import { ProxyPorts } from '../../lib/controlplane/proxyports.js';
import type { Protocol } from '../../lib/net/protocol.js';
import { EVERYONE } from '../../lib/portal/admission.js';
import { DEFAULT_POLICY } from '../../lib/portal/policy.js';
import type { Portal } from '../../lib/portal/portal.js';

const RANGE = { first: 20_000, last: 20_003 };

function portal(name: string, protocol: Protocol = 'TCP', vipPort = 80): Portal {
  return {
    key: `default/${name}:/${protocol}/IPv4`,
    service: `default/${name}`,
    portName: '',
    protocol,
    family: 'IPv4',
    vips: [{ address: '10.96.0.10', port: vipPort, masquerade: 'off-cluster' }],
    nodePort: null,
    nodePortMasquerade: 'always',
    policy: DEFAULT_POLICY,
    admission: EVERYONE,
    endpoints: [],
    unserved: 'refuse',
  };
}

/** The proxy ports of a node with these NodePorts. */
function portsOf(saved: unknown, nodePorts: readonly number[] = []): ProxyPorts {
  return new ProxyPorts(RANGE, saved, { isPublicOnNode: (_, port) => nodePorts.includes(port) });
}

t.test('a portal keeps its port, and a restart keeps it too', async (t) => {
  const ports = portsOf(null);
  const taken = ['a', 'b'].map((name) => ports.take(portal(name)));
  t.same(taken, [20_003, 20_002], 'from the top');
  t.equal(ports.take(portal('a')), 20_003);
  t.ok(ports.isDirty);
  const saved = JSON.parse(JSON.stringify(ports.saved()));
  t.notOk(ports.isDirty);

  const next = portsOf(saved);
  t.equal(next.take(portal('c')), 20_001, 'a new portal does not get what others had');
  t.same([next.take(portal('b')), next.take(portal('a'))], [20_002, 20_003]);
});

t.test('TCP and UDP have separate ports', async (t) => {
  const ports = portsOf(null);
  t.equal(ports.take(portal('dns', 'TCP')), ports.take(portal('dns', 'UDP')));
});

t.test('a port that was given back is used again as late as possible', async (t) => {
  const ports = portsOf(null);
  ports.take(portal('a'));
  ports.release(portal('a'));
  const later = ['b', 'c', 'd', 'e'].map((name) => ports.take(portal(name)));
  t.same(later, [20_002, 20_001, 20_000, 20_003]);
  t.throws(() => ports.take(portal('f')), /all ports of --proxy-port-range 20000-20003/);
  ports.release(portal('c'));
  t.equal(ports.take(portal('f')), 20_001, 'after a failure too');
});

t.test('a port that another program uses is replaced', async (t) => {
  const ports = portsOf(null);
  t.equal(ports.take(portal('a')), 20_003);
  t.equal(ports.retake(portal('a')), 20_002);
  t.equal(ports.take(portal('a')), 20_002);
});

t.test('a public port never becomes a proxy port', async (t) => {
  const ports = portsOf(null, [20_003, 20_001]);
  t.same([ports.take(portal('a')), ports.take(portal('b'))], [20_002, 20_000]);
  t.throws(() => ports.take(portal('c')), /are in use/);
});

t.test('a portal whose port becomes public has two ports until the old one is freed', async (t) => {
  const nodePorts: number[] = [];
  const ports = portsOf({ [portal('a').key]: 20_001 }, nodePorts);
  t.same(ports.exposed(), []);
  nodePorts.push(20_001);
  t.equal(ports.take(portal('a')), 20_001, 'rules may lead there');
  t.same(ports.exposed(), [portal('a').key]);
  t.equal(ports.move(portal('a')), 20_000);
  t.same(ports.exposed(), []);
  t.equal(ports.take(portal('a')), 20_000);
  t.same(ports.leftBy(portal('a').key), [20_001]);
  t.equal(ports.ownerOf('TCP', 'IPv4', 20_001), portal('a').key, 'still its own');
  t.same(
    ports.freeLeftPorts(() => false),
    [],
  );
  t.same(
    ports.freeLeftPorts(() => true),
    [portal('a').key],
  );
  t.equal(ports.ownerOf('TCP', 'IPv4', 20_001), undefined);
  t.same(ports.saved(), { [portal('a').key]: 20_000 });
});

t.test('the port of a removed portal stays taken until no rule leads to it', async (t) => {
  const ports = portsOf(null);
  for (const name of ['a', 'b', 'c', 'd']) ports.take(portal(name));
  ports.leave(portal('b').key);
  t.throws(() => ports.take(portal('e')), /are in use/);
  ports.freeLeftPorts((key) => key === portal('b').key);
  t.equal(ports.take(portal('e')), 20_002);
});

t.test("a portal's proxy port is never its service port, not even after a change", async (t) => {
  const ports = portsOf(null);
  t.equal(ports.take(portal('a', 'TCP', 20_003)), 20_002);
  t.equal(ports.take(portal('a', 'TCP', 20_002)), 20_001);
});

t.test('saved ports of an earlier run are checked before they are used', async (t) => {
  const key = (name: string) => portal(name).key;
  const saved = {
    [key('a')]: 20_001,
    [key('b')]: 20_001,
    [key('c')]: 80,
    [key('d')]: 'x',
    [key('e')]: 20_000.5,
  };
  const ports = portsOf(saved);
  t.same(ports.saved(), { [key('a')]: 20_001 }, 'twice the same, out of range, no number');
  for (const damaged of [null, 7, 'ports', []]) {
    t.same(portsOf(damaged).saved(), {}, JSON.stringify(damaged));
  }
  ports.keepOnly(new Set([key('z')]));
  t.same(ports.saved(), {}, 'portals that are gone');
});
