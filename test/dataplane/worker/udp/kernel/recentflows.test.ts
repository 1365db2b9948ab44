import t from 'tap';
import { Target } from '../../../../../lib/dataplane/worker/target.js';
import { RecentFlows } from '../../../../../lib/dataplane/worker/udp/kernel/recentflows.js';
import { SocketAddress } from '../../../../../lib/sys/sockaddr.js';

const CAPACITY = 4096;
const vip = SocketAddress.of('10.96.0.10', 53);
const flow = (port: number) => ({ client: SocketAddress.of('10.244.0.2', port), vip });
const targetNamed = (id: string) => new Target({ id, address: '10.244.0.3', port: 53 });

t.test('a flow is known by its client, the port of that and its VIP, for half a minute', async (t) => {
  const recent = new RecentFlows();
  const target = targetNamed('a');
  recent.add(flow(1), target, 1000);
  t.equal(recent.targetOf(flow(1), 30_999), target);
  t.equal(recent.targetOf(flow(2), 30_999), null);
  t.equal(recent.targetOf({ ...flow(1), vip: SocketAddress.of('10.96.0.11', 53) }, 30_999), null);
  t.equal(recent.targetOf(flow(1), 31_000), null);
  const other = targetNamed('b');
  recent.add(flow(1), other, 31_000);
  t.equal(recent.targetOf(flow(1), 31_001), other);
});

t.test('a flow has no endpoint any more if that is gone or has failed since', async (t) => {
  const recent = new RecentFlows();
  const [removed, failed, recovered] = [targetNamed('a'), targetNamed('b'), targetNamed('c')];
  recovered.failedAt = 1000;
  for (const [port, target] of [removed, failed, recovered].entries()) recent.add(flow(port), target, 1001);
  removed.isRemoved = true;
  failed.failedAt = 1002;
  t.equal(recent.targetOf(flow(0), 1003), null);
  t.equal(recent.targetOf(flow(1), 1003), null);
  t.equal(recent.targetOf(flow(2), 1003), recovered);
});

t.test('beyond the limit, the oldest flows are forgotten', async (t) => {
  const recent = new RecentFlows();
  const target = targetNamed('a');
  for (let port = 1; port <= CAPACITY + 2; port++) recent.add(flow(port), target, 1000);
  const known = [1, 2, 3, CAPACITY + 2].map((port) => recent.targetOf(flow(port), 1001) !== null);
  t.same(known, [false, false, true, true]);
});
