import t from 'tap';
import { SavedPins } from '../../lib/dataplane/savedpins.js';
import type { PinRecord } from '../../lib/dataplane/shared/pins.js';

const affinity = { by: 'client-ip', timeoutMs: 1000 };
const pin = (client: string, service = 'default/web'): PinRecord => ({
  service,
  portal: null,
  client,
  endpoint: 'a',
  pinnedAt: 1,
  usedAt: 2,
  timeoutMs: 1000,
  moves: 0,
});
const clientsOf = (pins: readonly (readonly PinRecord[])[]) =>
  pins.map((own) => own.map(({ client }) => client));

t.test('pins go to the worker that the kernel steers the client to', async (t) => {
  const saved = new SavedPins(['10.0.0.1', '10.0.0.2', '10.0.1.2', 'fd00::3'].map((client) => pin(client)));
  const web = { service: 'default/web', policy: { affinity }, onlyWorker: null };
  t.same(clientsOf(saved.take([web], 2)), [
    ['10.0.0.2', '10.0.1.2'],
    ['10.0.0.1', 'fd00::3'],
  ]);
  t.same(clientsOf(saved.take([web], 2)), [[], []], 'once');
  t.equal(saved.size, 0);
});

t.test('pins of a Service in one worker go there, and others wait', async (t) => {
  const saved = new SavedPins([
    pin('10.0.0.1'),
    pin('0110465b6276a1ab271afc1a'),
    pin('10.0.0.1', 'default/late'),
  ]);
  const web = { service: 'default/web', policy: { affinity }, onlyWorker: 1 };
  const plain = { service: 'default/late', policy: { affinity: null }, onlyWorker: null };
  t.same(clientsOf(saved.take([web, plain], 2)), [[], ['10.0.0.1', '0110465b6276a1ab271afc1a']]);
  t.same(
    Array.from(saved.waiting(), (pins) => pins.map(({ service }) => service)),
    [['default/late']],
  );
  t.same(clientsOf(saved.take([{ ...plain, policy: { affinity } }], 1)), [['10.0.0.1']]);
});
