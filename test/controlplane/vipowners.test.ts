import t from 'tap';
import { VipOwners } from '../../lib/controlplane/vipowners.js';
import { type Admission, EVERYONE } from '../../lib/portal/admission.js';
import type { Portal } from '../../lib/portal/portal.js';
import { IPPROTO_TCP, IPPROTO_UDP } from '../../lib/sys/constants.js';
import { SocketAddress } from '../../lib/sys/sockaddr.js';
import { portalOf } from './portals.js';

const WEB = portalOf('default/web:/TCP/IPv4', { vips: ['10.96.0.10:80'], nodePort: 30_080 });
const DNS = portalOf('default/dns:/UDP/IPv6', { vips: ['[fd00:96::10]:53', '[fd00:96::11]:53'] });
const OUTSIDE = portalOf('default/web:/external/TCP/IPv4', { vips: ['192.0.2.10:80'] });
const INSIDERS: Admission = {
  sources: ['198.51.100.0/24'],
  insiders: { portal: WEB.key, sources: ['10.244.0.0/16'] },
};

function all(...portals: readonly Portal[]) {
  return portals.map((portal) => ({ portal, admission: portal === OUTSIDE ? INSIDERS : EVERYONE }));
}

/** The key of the portal that serves a client; null if there is none. */
async function keyFor(
  protocol: number,
  [address, port]: readonly [string, number],
  client = '10.244.0.7',
): Promise<string | null> {
  const owners = await VipOwners.of(all(WEB, DNS, OUTSIDE));
  const flow = {
    protocol: protocol as typeof IPPROTO_TCP,
    vip: SocketAddress.of(address, port),
    client: SocketAddress.of(client, 40_000),
  };
  return owners.portalOf(flow)?.key ?? null;
}

t.test('a portal is found by each of its VIPs', async (t) => {
  t.equal(await keyFor(IPPROTO_TCP, ['10.96.0.10', 80]), WEB.key);
  t.equal(await keyFor(IPPROTO_UDP, ['fd00:96::11', 53], 'fd00::7'), DNS.key);
  t.equal(await keyFor(IPPROTO_UDP, ['10.96.0.10', 80]), null, 'the protocol is another');
  t.equal(await keyFor(IPPROTO_TCP, ['10.96.0.10', 81]), null);
});

t.test('a NodePort is one on all addresses of its family', async (t) => {
  t.equal(await keyFor(IPPROTO_TCP, ['192.0.2.1', 30_080]), WEB.key);
  t.equal(await keyFor(IPPROTO_TCP, ['fd00::1', 30_080], 'fd00::7'), null);
  t.equal(await keyFor(IPPROTO_UDP, ['192.0.2.1', 30_080]), null);
});

t.test('a VIP takes precedence over a NodePort', async (t) => {
  const other = portalOf('default/other:/TCP/IPv4', { vips: ['192.0.2.1:30080'] });
  const owners = await VipOwners.of(all(other, WEB));
  const vip = SocketAddress.of('192.0.2.1', 30_080);
  t.equal(owners.portalOf({ protocol: IPPROTO_TCP, vip, client: vip })?.key, other.key);
});

t.test('clients inside of the cluster belong to the portal that serves them', async (t) => {
  t.equal(await keyFor(IPPROTO_TCP, ['192.0.2.10', 80], '198.51.100.7'), OUTSIDE.key);
  t.equal(await keyFor(IPPROTO_TCP, ['192.0.2.10', 80], '10.244.0.7'), WEB.key);
  const owners = await VipOwners.of(all(OUTSIDE));
  const vip = SocketAddress.of('192.0.2.10', 80);
  const client = SocketAddress.of('10.244.0.7', 1);
  t.equal(owners.portalOf({ protocol: IPPROTO_TCP, vip, client })?.key, OUTSIDE.key, 'unless it is gone');
});
