import t from 'tap';
import { reachable } from '../../../../lib/dataplane/worker/kernel/reachable.js';
import { Target } from '../../../../lib/dataplane/worker/target.js';
import { EHOSTUNREACH, ENOBUFS } from '../../../../lib/sys/errno.js';
import type { Route } from '../../../../lib/sys/netlink/routequery.js';
import { SocketAddress } from '../../../../lib/sys/sockaddr.js';

const ROUTE: Route = { isLocal: false, device: 2, source: SocketAddress.of('10.244.0.1', 0) };
const targets = ['10.244.0.2', '10.244.0.3', '10.244.0.4'].map(
  (address) => new Target({ id: address, address, port: 8080 }),
);

/** Looks for an endpoint from the first one on. @param ways by endpoint: its route, or the errno */
function search(...ways: (Route | number)[]): { found: string | null; blamed: string[] } {
  const blamed: string[] = [];
  const failover = {
    next: (failed: Target, reason: string) => {
      blamed.push(`${failed.id} ${reason}`);
      return targets[targets.indexOf(failed) + 1] ?? null;
    },
  };
  const paths = { to: (target: Target) => ways[targets.indexOf(target)] ?? ENOBUFS };
  const found = reachable(targets[0] ?? null, () => failover, { paths, now: () => 1 });
  return { found: found?.id ?? null, blamed };
}

t.test('the first endpoint with a route is taken, and those before it are blamed', async (t) => {
  t.same(search(ROUTE), { found: '10.244.0.2', blamed: [] });
  t.same(search(EHOSTUNREACH, ROUTE), { found: '10.244.0.3', blamed: ['10.244.0.2 EHOSTUNREACH'] });
});

t.test('without a route to any of them there is none', async (t) => {
  const { found, blamed } = search(EHOSTUNREACH, EHOSTUNREACH, EHOSTUNREACH);
  t.equal(found, null);
  t.equal(blamed.length, 3);
});

t.test('what this node lacks is no fault of an endpoint', async (t) => {
  t.same(search(ENOBUFS, ROUTE), { found: null, blamed: [] });
  t.same(search(EHOSTUNREACH, ENOBUFS, ROUTE), { found: null, blamed: ['10.244.0.2 EHOSTUNREACH'] });
});

t.test('without an endpoint to begin with, nobody is asked for another', async (t) => {
  const failover = () => t.fail('nobody has failed') as never;
  t.equal(reachable(null, failover, { paths: { to: () => ROUTE }, now: () => 1 }), null);
});
