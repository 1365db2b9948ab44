import t from 'tap';
import { clientAddress, clientKey } from '../../../lib/dataplane/worker/clientkey.js';
import { SocketAddress } from '../../../lib/sys/sockaddr.js';
import { item } from '../../lab/items.js';

t.test('a key stands for an address, and the port does not matter', async (t) => {
  for (const address of ['10.0.0.1', '255.254.253.252', 'fd00:96::10', 'fe80::ffff:ffff:ffff:fffe', '::1']) {
    const keys = [1, 65535].map((port) => clientKey(SocketAddress.of(address, port).memory.words, 0));
    t.equal(keys[0], keys[1]);
    t.equal(clientAddress(item(keys, 0)), address);
  }
});
