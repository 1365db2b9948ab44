import { once } from 'node:events';
import { createServer } from 'node:net';
import { text } from 'node:stream/consumers';
import t from 'tap';
import { Dataplane } from '../../../lib/dataplane/dataplane.js';
import { openListeners } from '../../../lib/dataplane/listeners.js';
import { AF_INET } from '../../../lib/sys/constants.js';
import * as libc from '../../../lib/sys/libc.js';
import { Memory } from '../../../lib/sys/memory.js';
import { SocketAddress } from '../../../lib/sys/sockaddr.js';
import { closeSocket, connect, localAddress, openStream, shutdownWrite } from '../../../lib/sys/socket.js';
import { RELAY } from '../../portal/fixtures.js';
import { LISTENER, tcpPortal } from '../fixtures.js';

const MSG_OOB = 1;
/** Which events the kernel reports together differs from round to round. */
const ROUNDS = 200;

function write(fd: number, message: string, flags = 0): void {
  const memory = new Memory(message.length);
  memory.bytes.set(Buffer.from(message));
  if (libc.send(fd, memory.address, message.length, flags) !== message.length) throw new Error('not sent');
}

t.test('bytes around urgent ones arrive, and so does the end', async (t) => {
  const dataplane = await Dataplane.start({
    workers: 1,
    descriptors: 100,
    maxPins: 2,
    maxFlows: 1,
    udpTimeoutMs: null,
    rtpsCopies: 1000,
    carrier: RELAY,
  });
  t.teardown(() => dataplane.stop());
  const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
  t.teardown(() => server.close());
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const group = openListeners(LISTENER, 1);
  const endpoints = [{ id: 'sink', address: '127.0.0.1', port }];
  await dataplane.apply([tcpPortal(dataplane.takeId(), group, endpoints)], []);
  const relay = SocketAddress.of('127.0.0.1', localAddress(group.fds[0] as number).port);
  for (let round = 0; round < ROUNDS; round++) {
    const client = openStream(AF_INET);
    connect(client, relay);
    const [connection] = await once(server, 'connection');
    write(client, 'before ');
    write(client, '!', MSG_OOB);
    write(client, 'after');
    shutdownWrite(client);
    const received = await text(connection);
    if (received !== 'before after') t.fail(`round ${round}: ${received}`);
    connection.destroy();
    closeSocket(client);
  }
  t.pass('the urgent byte itself is out of band');
});
