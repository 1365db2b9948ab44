import t from 'tap';
import { AF_INET, AF_INET6 } from '../../lib/sys/constants.js';
import { receivedHops, setHops } from '../../lib/sys/hoplimit.js';
import { listenStream, startListening } from '../../lib/sys/listening.js';
import { SocketAddress } from '../../lib/sys/sockaddr.js';
import { accept, closeSocket, connect, localAddress, openStream } from '../../lib/sys/socket.js';

for (const [address, family] of [
  ['127.0.0.1', AF_INET],
  ['::1', AF_INET6],
] as const) {
  t.test(`an accepted socket tells how many hops its client had left, ${address}`, async (t) => {
    const listener = listenStream({ address, port: 0, sharing: 'nobody', freeBind: false });
    startListening(listener);
    const to = SocketAddress.of(address, localAddress(listener).port);
    for (const hops of [1, 33, 255]) {
      const client = openStream(family);
      setHops(client, family, hops);
      connect(client, to);
      const accepted = accept(listener, new SocketAddress());
      t.equal(receivedHops(accepted, family), hops);
      closeSocket(client);
      closeSocket(accepted);
    }
    closeSocket(listener);
  });
}
