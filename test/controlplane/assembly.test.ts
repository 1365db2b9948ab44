import { readdirSync } from 'node:fs';
import pino from 'pino';
import t from 'tap';
import { NodeAddresses } from '../../lib/controlplane/nodeaddresses.js';
import { ServiceProxy } from '../../lib/controlplane/proxy.js';
import type { RedirectDriver } from '../../lib/redirect/driver.js';
import { RELAY } from '../portal/fixtures.js';
import '../redirect/namespace.js';

const OPTIONS = {
  workers: 2,
  bindAddress: { IPv4: '0.0.0.0', IPv6: '::' },
  nodeAddresses: new NodeAddresses([]),
  proxyPortRange: { first: 20_000, last: 20_999 },
  udpTimeoutMs: null,
  rtpsCopies: 20_000,
  carrier: RELAY,
  maxPins: 100,
  syncPeriodMs: 3_600_000,
  log: pino({ level: 'silent' }),
};

/** A driver that opens, and then cannot say how it brings traffic. */
const BROKEN = {
  captureOf() {
    throw new Error('no capture');
  },
} as unknown as RedirectDriver;

function threads(): number {
  return readdirSync('/proc/self/task').length;
}

t.test('a start that fails after the workers have started stops them, and can be tried again', async (t) => {
  const stateDir = t.testdir();
  const start = () => ServiceProxy.start({ ...OPTIONS, stateDir }, async () => BROKEN);
  await t.rejects(start(), { message: 'no capture' });
  const after = threads();
  await t.rejects(start(), { message: 'no capture' }, 'the lock and the state directory are free again');
  t.equal(threads(), after, 'no worker is left');
});
