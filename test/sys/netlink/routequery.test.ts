import '../../redirect/namespace.js';
import t from 'tap';
import { EACCES, EHOSTUNREACH, EINVAL, ENETUNREACH } from '../../../lib/sys/errno.js';
import { RouteQuery } from '../../../lib/sys/netlink/routequery.js';
import { SocketAddress } from '../../../lib/sys/sockaddr.js';
import { sh } from '../../redirect/namespace.js';

sh(`
  ip link set lo up
  ip link add kp-bridge type bridge
  ip link set kp-bridge up
  ip addr add 192.0.2.1/24 dev kp-bridge
  ip addr add 2001:db8::1/64 dev kp-bridge nodad
  ip link add kp-pod type veth peer name kp-peer
  ip link set kp-pod up
  ip link set kp-peer up
  ip addr add 198.51.100.1/32 dev kp-pod
  ip route add 198.51.100.2/32 dev kp-pod src 198.51.100.1
  ip route add blackhole 203.0.113.1
  ip route add unreachable 203.0.113.2
  ip route add prohibit 203.0.113.3
  ip -6 route add blackhole 2001:db8:1::1
`);
const query = new RouteQuery();
t.teardown(() => query.close());

function routeTo(address: string) {
  const route = query.towards(SocketAddress.of(address, 80));
  if (typeof route === 'number') return route;
  const { isLocal, device, source } = route;
  return { isLocal, isByBridge: query.isBridge(device), source: source.address };
}

t.test('the way to a neighbour on a bridge, and on another device', async (t) => {
  t.same(routeTo('192.0.2.9'), { isLocal: false, isByBridge: true, source: '192.0.2.1' });
  t.same(routeTo('2001:db8::9'), { isLocal: false, isByBridge: true, source: '2001:db8::1' });
  t.same(routeTo('198.51.100.2'), { isLocal: false, isByBridge: false, source: '198.51.100.1' });
});

t.test("this node's own addresses are local", async (t) => {
  t.same(routeTo('192.0.2.1'), { isLocal: true, isByBridge: false, source: '192.0.2.1' });
  t.same(routeTo('2001:db8::1'), { isLocal: true, isByBridge: false, source: '2001:db8::1' });
});

t.test('where no way leads, the error is that of connect', async (t) => {
  t.equal(routeTo('203.0.113.1'), EINVAL, 'blackhole');
  t.equal(routeTo('203.0.113.2'), EHOSTUNREACH, 'unreachable');
  t.equal(routeTo('203.0.113.3'), EACCES, 'prohibit');
  t.equal(routeTo('203.0.113.4'), ENETUNREACH, 'no route');
  t.equal(routeTo('2001:db8:1::1'), EINVAL, 'blackhole, IPv6');
  t.equal(routeTo('2001:db8:2::1'), ENETUNREACH, 'no route, IPv6');
});

t.test('a device that is gone is no bridge', async (t) => {
  t.notOk(query.isBridge(1_000_000));
});
