import t from 'tap';
import { VipTable } from '../../../../lib/dataplane/worker/kernel/viptable.js';
import { SocketAddress } from '../../../../lib/sys/sockaddr.js';
import { servedPortal } from '../fixtures.js';

const at = (address: string, port: number) => SocketAddress.of(address, port);
const vip = (address: string, port = 80) => ({ address, port, masquerade: 'always' }) as const;

t.test('a portal is found by each of its VIPs, and by none that it no longer has', async (t) => {
  const table = new VipTable();
  const portal = servedPortal();
  table.set(portal, [vip('10.96.0.1'), vip('10.96.0.2', 443)]);
  t.same(table.find(at('10.96.0.1', 80), false), { portal, masquerade: 'always' });
  t.equal(table.find(at('10.96.0.2', 443), false)?.portal, portal);
  t.equal(table.find(at('10.96.0.2', 80), false), undefined);
  table.set(portal, [vip('10.96.0.2', 443)]);
  t.equal(table.find(at('10.96.0.1', 80), false), undefined);
  t.equal(table.find(at('10.96.0.2', 443), false)?.portal, portal);
  table.set(portal, []);
  t.equal(table.find(at('10.96.0.2', 443), false), undefined);
});

t.test('a VIP that another portal has taken over stays with it', async (t) => {
  const table = new VipTable();
  const [one, other] = [servedPortal({ family: 'IPv6' }), servedPortal({ family: 'IPv6' })];
  table.set(one, [vip('fd00::1')]);
  table.set(other, [vip('fd00::1')]);
  table.set(one, []);
  t.equal(table.find(at('fd00::1', 80), true)?.portal, other);
});

t.test('a portal gets a VIP back that another one has had meanwhile', async (t) => {
  const table = new VipTable();
  const [one, other] = [servedPortal(), servedPortal()];
  const vips = [vip('10.96.0.1'), vip('10.96.0.2')];
  t.ok(table.set(one, vips));
  t.notOk(table.set(one, vips), 'nothing new');
  table.set(other, [vip('10.96.0.2')]);
  table.set(other, []);
  t.ok(table.set(one, vips));
  t.equal(table.find(at('10.96.0.2', 80), false)?.portal, one);
});
