import t from 'tap';
import { primaryAddresses } from '../../lib/cli/primary-addresses.js';
import { NodeAddresses } from '../../lib/controlplane/nodeaddresses.js';
import { WILDCARD } from '../../lib/net/address.js';

const LOCALHOST = { IPv4: ['127.0.0.1'], IPv6: ['::1'] };
const EVERYWHERE = { IPv4: ['0.0.0.0'], IPv6: ['::'] };

/** The test uses loopback addresses as the node's addresses, because every machine has them. */
function found(wanted: readonly string[], primary: readonly string[] = []) {
  const addresses = new NodeAddresses(wanted, () => primary);
  return { IPv4: addresses.of('IPv4'), IPv6: addresses.of('IPv6') };
}

t.test("NodePorts are served where kube-proxy's --nodeport-addresses says", async (t) => {
  t.same(found([]), EVERYWHERE, 'everywhere unless told otherwise');
  t.same(found(['127.0.0.1/32', '::1/128']), LOCALHOST, 'CIDRs');
  t.same(
    found(['127.0.0.1/32']),
    { ...LOCALHOST, IPv6: ['::'] },
    'a family without a CIDR has all addresses',
  );
  t.same(found(['198.51.100.0/24', '2001:db8::/32']), { IPv4: [], IPv6: [] }, 'none that the node has');
  t.same(found(['127.0.0.1/32', '::1/128', 'all']), EVERYWHERE);
  t.same(found(['0.0.0.0/0', '::1/128']), { ...LOCALHOST, IPv4: ['0.0.0.0'] });
  t.same(found(['localhost']), LOCALHOST);
});

t.test('primary stands for the addresses of the Node', async (t) => {
  t.same(found(['primary'], ['127.0.0.1', '::1']), LOCALHOST);
  t.same(found(['primary'], ['127.0.0.1']), { ...LOCALHOST, IPv6: ['::'] }, 'a node of one family');
  t.same(found(['primary']), { IPv4: [], IPv6: [] }, 'nowhere while the Node is not known');
  t.same(found(['primary', '127.0.0.1/32']), { ...LOCALHOST, IPv6: [] });
  let known: string[] = [];
  const addresses = new NodeAddresses(['primary'], () => known);
  known = ['127.0.0.1'];
  t.same(addresses.of('IPv4'), ['127.0.0.1'], 'and there once it is');
});

t.test('a bind address takes precedence over the addresses of the Node', async (t) => {
  const node = { addresses: ['192.0.2.1', 'fd00:2::1'] };
  t.same(primaryAddresses(WILDCARD, node), node.addresses);
  t.same(primaryAddresses({ ...WILDCARD, IPv4: '198.51.100.1' }, node), ['198.51.100.1', 'fd00:2::1']);
  t.same(primaryAddresses(WILDCARD, null), []);
});
