import t, { type Test } from 'tap';
import type { ListenerGroup, ListenerSpec, Neighbours } from '../../lib/dataplane/listeners.js';
import { type ListenOptions, listenDatagram, listenStream, startListening } from '../../lib/sys/listening.js';
import { closeSocket } from '../../lib/sys/socket.js';
import '../redirect/namespace.js';
import { canOwnPorts } from '../../lib/sys/portowner.js';

const PORT = 30_080;

type Listeners = typeof import('../../lib/dataplane/listeners.js');

/** With source maps, tap would look for the module beside the source of this test. */
const moduleOf = (path: string) => import.meta.resolve(path);

/** The module, with or without the right to own ports (CAP_CHOWN). */
const withOwning = (t: Test, owning: boolean): Promise<Listeners> =>
  t.mockImport<Listeners>(moduleOf('../../lib/dataplane/listeners.js'), {
    [moduleOf('../../lib/sys/portowner.js')]: { canOwnPorts: () => owning },
  });

/** A listener of another program that shares the port with SO_REUSEPORT. */
function openForeign({ protocol, address }: Pick<ListenerSpec, 'protocol' | 'address'>): number {
  const options: ListenOptions = { address, port: PORT, sharing: 'user', freeBind: false };
  if (protocol === 'UDP') return listenDatagram(options, 4096);
  const fd = listenStream(options);
  try {
    startListening(fd);
    return fd;
  } catch (error) {
    closeSocket(fd);
    throw error;
  }
}

const specOf = (place: Pick<ListenerSpec, 'protocol' | 'family' | 'address'>, neighbours: Neighbours) => ({
  ...place,
  neighbours,
  port: PORT,
  freeBind: false,
  onlyWorker: null,
});

function close({ fds }: ListenerGroup): void {
  for (const fd of fds) closeSocket(fd as number);
}

for (const owning of [true, false]) {
  // A user namespace with only one user does not have the user id that owns ports.
  const skip =
    owning && !canOwnPorts() ? 'nobody may own ports here: no CAP_CHOWN, or a user namespace' : false;
  for (const protocol of ['TCP', 'UDP'] as const) {
    for (const [family, all, one] of [
      ['IPv4', '0.0.0.0', '127.0.0.1'],
      ['IPv6', '::', '::1'],
    ] as const) {
      const title = `${protocol}, ${family}, ${owning ? 'with' : 'without'} CAP_CHOWN`;
      const wildcard = { protocol, family, address: all };
      const single = { protocol, family, address: one };

      for (const workers of [1, 2]) {
        t.test(`a port number with no other listener, ${title}, ${workers} workers`, { skip }, async (t) => {
          const { openListeners } = await withOwning(t, owning);
          const foreign = openForeign(wildcard);
          t.throws(
            () => openListeners(specOf(wildcard, 'none'), workers),
            /EADDRINUSE/,
            'a listener of another program is seen',
          );
          closeSocket(foreign);
          const group = openListeners(specOf(wildcard, 'none'), workers);
          t.equal(group.fds.length, workers);
          if (owning) t.throws(() => openForeign(wildcard), /EADDRINUSE/, 'a later one is refused');
          if (owning) t.throws(() => openForeign(single), /EADDRINUSE/, 'on a single address too');
          close(group);
        });
      }

      t.test(
        `a listener of all addresses and one of a single address on one port, ${title}`,
        { skip },
        async (t) => {
          const { openListeners } = await withOwning(t, owning);
          for (const [first, second] of [
            [specOf(wildcard, 'own'), specOf(single, 'any')],
            [specOf(single, 'any'), specOf(wildcard, 'own')],
          ] as const) {
            const groups = [openListeners(first, 2), openListeners(second, 2)];
            t.equal(groups.length, 2, 'both are ours');
            groups.forEach(close);
          }
          const foreign = openForeign(wildcard);
          const vip = openListeners(specOf(single, 'any'), 2);
          closeSocket(foreign);
          closeSocket(openForeign(wildcard));
          t.pass('the listener of all addresses is another program’s, opened before ours or after');
          close(vip);
        },
      );
    }
  }
}
