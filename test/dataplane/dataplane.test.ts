import { once } from 'node:events';
import t from 'tap';
import { Dataplane } from '../../lib/dataplane/dataplane.js';
import { LISTENER, tcpPortal } from './fixtures.js';

/** No process has so many descriptors open, so that a worker that is told to listen on it breaks. */
const NOT_OPEN = 1_000_000;

t.test('a worker that breaks leaves nobody waiting', async (t) => {
  const dataplane = await Dataplane.start({ workers: 2, descriptors: 100, maxFlows: 2, udpTimeout: null });
  const failed = once(dataplane, 'failed');
  const portal = tcpPortal(dataplane.takeSlot(), { spec: LISTENER, fds: [NOT_OPEN, null] }, []);
  await t.rejects(dataplane.apply([portal], []), /EBADF/, 'the change under way');
  t.match(await failed, [/EBADF/]);
  await t.rejects(dataplane.apply([], []), /EBADF/, 'later ones');
  await dataplane.drain(60_000);
  await dataplane.stop();
  t.pass('it can be stopped');
});
