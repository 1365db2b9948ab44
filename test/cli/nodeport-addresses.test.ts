import t from 'tap';
import { nodePortAddresses } from '../../lib/cli/nodeport-addresses.js';
import { NodeAddresses } from '../../lib/controlplane/nodeaddresses.js';
import { parseNode } from '../../lib/model/parse-node.js';
import { unwrap } from '../model/fixtures.js';

const addresses = ['192.0.2.1', 'fd00:2::1'].map((address) => ({ type: 'InternalIP', address }));
const NODE = unwrap(parseNode({ metadata: { name: 'node' }, status: { addresses } }));

t.test(
  'if NodePorts are served on all addresses, the addresses of the Node and of loopback count',
  async (t) => {
    const known = nodePortAddresses(new NodeAddresses([]), NODE);
    t.same(known, ['192.0.2.1', '127.0.0.1', 'fd00:2::1', '::1']);
  },
);

t.test('without a Node, the addresses of the machine count', async (t) => {
  const known = nodePortAddresses(new NodeAddresses([]), null);
  t.ok(known.includes('127.0.0.1') && known.includes('::1'));
});

t.test('if NodePorts are served on some addresses, only these count', async (t) => {
  t.same(nodePortAddresses(new NodeAddresses(['127.0.0.1/32', '::1/128']), NODE), ['127.0.0.1', '::1']);
});
