import { once } from 'node:events';
import t from 'tap';
import { Dataplane, type DataplanePortal } from '../../lib/dataplane/pool.js';

/** No process has so many descriptors open, so that a worker that is told to listen on it breaks. */
const NOT_OPEN = 1_000_000;

t.test('a worker that breaks leaves nobody waiting', async (t) => {
  const dataplane = await Dataplane.start({ workers: 2, descriptors: 100, maxFlows: 2, udpTimeout: null });
  const failed = once(dataplane, 'failed');
  const spec = { protocol: 'TCP', family: 'IPv4', address: '127.0.0.1', port: 80 } as const;
  const group = {
    spec: { ...spec, freeBind: false, steered: false, onlyWorker: null },
    fds: [NOT_OPEN, null],
  };
  const portal: DataplanePortal = {
    slot: dataplane.takeSlot(),
    key: 'default/web:/TCP/IPv4',
    service: 'default/web',
    protocol: 'TCP',
    family: 'IPv4',
    listeners: [{ group, redirectedPort: null }],
    endpoints: [],
    affinityTimeout: null,
    onlyWorker: null,
    admission: { sources: null, insiders: null },
  };
  await t.rejects(dataplane.apply([portal], []), /EBADF/, 'the change under way');
  t.match(await failed, [/EBADF/]);
  await t.rejects(dataplane.apply([], []), /EBADF/, 'later ones');
  await dataplane.drain(60_000);
  await dataplane.stop();
  t.pass('it can be stopped');
});
