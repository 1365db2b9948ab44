import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import t from 'tap';
import { Dataplane } from '../../lib/dataplane/dataplane.js';
import { openListeners } from '../../lib/dataplane/listeners.js';
import { localAddress } from '../../lib/sys/socket.js';
import { RELAY } from '../portal/fixtures.js';
import { LISTENER, tcpPortal } from './fixtures.js';

/** A descriptor that no process has open. A worker that has to listen on it fails. */
const NOT_OPEN = 1_000_000;

t.test('no change and no drain waits for a worker that has failed', async (t) => {
  const dataplane = await Dataplane.start({
    workers: 2,
    descriptors: 100,
    maxFlows: 2,
    maxPins: 2,
    udpTimeoutMs: null,
    rtpsCopies: 1000,
    carrier: RELAY,
  });
  const failed = once(dataplane, 'failed');
  const portal = tcpPortal(dataplane.takeId(), { spec: LISTENER, fds: [NOT_OPEN, null] }, []);
  await t.rejects(dataplane.apply([portal], []), /EBADF/, 'the change under way');
  t.match(await failed, [/EBADF/]);
  await t.rejects(dataplane.apply([], []), /EBADF/, 'later ones');
  await dataplane.drain(60_000);
  await dataplane.stop();
  t.pass('it can be stopped');
});

t.test('an open connection of a removed portal is counted separately until it ends', async (t) => {
  const server = createServer().listen(0, '127.0.0.1');
  t.teardown(() => server.close());
  await once(server, 'listening');
  const dataplane = await Dataplane.start({
    workers: 2,
    descriptors: 100,
    maxFlows: 2,
    maxPins: 2,
    udpTimeoutMs: null,
    rtpsCopies: 1000,
    carrier: RELAY,
  });
  t.teardown(() => dataplane.stop());
  const group = openListeners(LISTENER, 2);
  const id = dataplane.takeId();
  const endpoints = [{ id: 'web', address: '127.0.0.1', port: portOf(server) }];
  await dataplane.apply([tcpPortal(id, group, endpoints)], []);
  const client = connect(localAddress(group.fds[0] as number).port, '127.0.0.1');
  const [served] = (await once(server, 'connection')) as [Socket];
  t.equal(dataplane.counters(id).connectionsActive, 1);
  t.equal(dataplane.connectionsOfRemoved, 0);
  await dataplane.apply([], [id]);
  t.equal(dataplane.connectionsOfRemoved, 1);
  const fresh = dataplane.takeId();
  t.equal(fresh, id, 'the id is free for another portal');
  t.equal(dataplane.counters(fresh).connectionsActive, 0, 'which begins at zero');
  const drained = dataplane.drain(3_600_000);
  served.end('bye');
  client.end();
  t.equal(await text(client), 'bye', 'it goes on to its end');
  await drained;
  t.equal(dataplane.connectionsOfRemoved, 0);
});

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}
