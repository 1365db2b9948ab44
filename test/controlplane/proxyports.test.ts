import t from 'tap';
import { ProxyPorts } from '../../lib/controlplane/proxyports.js';
import type { Portal, Protocol } from '../../lib/model/portal.js';

const RANGE = { first: 20_000, last: 20_003 };

function portal(name: string, protocol: Protocol = 'TCP', vipPort = 80): Portal {
  return {
    key: `default/${name}:/${protocol}/IPv4`,
    service: `default/${name}`,
    portName: '',
    protocol,
    family: 'IPv4',
    vips: [{ address: '10.96.0.10', port: vipPort }],
    nodePort: null,
    affinity: null,
    endpoints: [],
    sources: null,
    insiders: null,
    unserved: 'refuse',
  };
}

t.test('a portal keeps its port, and a restart keeps it too', async (t) => {
  const ports = new ProxyPorts(RANGE, null);
  const taken = ['a', 'b'].map((name) => ports.take(portal(name)));
  t.same(taken, [20_003, 20_002], 'from the top');
  t.equal(ports.take(portal('a')), 20_003);
  t.ok(ports.dirty);
  const saved = JSON.parse(JSON.stringify(ports.saved()));
  t.notOk(ports.dirty);

  const next = new ProxyPorts(RANGE, saved);
  t.equal(next.take(portal('c')), 20_001, 'a new portal does not get what others had');
  t.same([next.take(portal('b')), next.take(portal('a'))], [20_002, 20_003]);
});

t.test('TCP and UDP have ports of their own', async (t) => {
  const ports = new ProxyPorts(RANGE, null);
  t.equal(ports.take(portal('dns', 'TCP')), ports.take(portal('dns', 'UDP')));
});

t.test('a port that was given back is used again as late as possible', async (t) => {
  const ports = new ProxyPorts(RANGE, null);
  ports.take(portal('a'));
  ports.release(portal('a'));
  const later = ['b', 'c', 'd', 'e'].map((name) => ports.take(portal(name)));
  t.same(later, [20_002, 20_001, 20_000, 20_003]);
  t.throws(() => ports.take(portal('f')), /all ports of --proxy-port-range 20000-20003/);
  ports.release(portal('c'));
  t.equal(ports.take(portal('f')), 20_001, 'after a failure too');
});

t.test('a port in use by others is exchanged', async (t) => {
  const ports = new ProxyPorts(RANGE, null);
  t.equal(ports.take(portal('a')), 20_003);
  t.equal(ports.retake(portal('a')), 20_002);
  t.equal(ports.take(portal('a')), 20_002);
});

t.test("a portal's proxy port is never its service port, not even after a change", async (t) => {
  const ports = new ProxyPorts(RANGE, null);
  t.equal(ports.take(portal('a', 'TCP', 20_003)), 20_002);
  t.equal(ports.take(portal('a', 'TCP', 20_002)), 20_001);
});

t.test('what an earlier run left is checked before it is believed', async (t) => {
  const key = (name: string) => portal(name).key;
  const saved = {
    [key('a')]: 20_001,
    [key('b')]: 20_001,
    [key('c')]: 80,
    [key('d')]: 'x',
    [key('e')]: 20_000.5,
  };
  const ports = new ProxyPorts(RANGE, saved);
  t.same(ports.saved(), { [key('a')]: 20_001 }, 'twice the same, out of range, no number');
  for (const damaged of [null, 7, 'ports', []]) {
    t.same(new ProxyPorts(RANGE, damaged).saved(), {}, JSON.stringify(damaged));
  }
  ports.keepOnly(new Set([key('z')]));
  t.same(ports.saved(), {}, 'portals that are gone');
});
