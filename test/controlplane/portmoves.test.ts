import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pino from 'pino';
import t, { type Test } from 'tap';
import { NodeAddresses } from '../../lib/controlplane/nodeaddresses.js';
import { ServiceProxy } from '../../lib/controlplane/proxy.js';
import type { Snapshot } from '../../lib/portal/portal.js';
import {
  type Capture,
  type CarrierSupport,
  noCarrier,
  type PreparedChange,
  type RedirectChange,
  type RedirectDriver,
  RedirectError,
} from '../../lib/redirect/driver.js';
import { item } from '../lab/items.js';
import { buildHere, objectSet, service, slice } from '../model/fixtures.js';
import { RELAY } from '../portal/fixtures.js';
import { sh } from '../redirect/namespace.js';

const LAST = 20_009;
const WEB = 'default/web:/TCP/IPv4';

/** TCP ports of the proxy port range that have listeners. */
function listening(): number[] {
  const ports = sh("ss -Hlnt | awk '{ print $4 }'").matchAll(/:(\d+)$/gm);
  return [...ports]
    .map(([, port]) => Number(port))
    .filter((port) => port >= 20_000 && port <= LAST)
    .sort();
}

interface Step {
  /** The ports to which redirects lead from now on, by portal. */
  readonly to: Readonly<Record<string, number>>;
  readonly listening: readonly number[];
}

/** A driver that records which ports had listeners when it got a change. */
class WatchingDriver implements RedirectDriver {
  readonly name = 'iptables';
  readonly bringsTraffic = true;
  readonly unsupported = new Map();
  readonly steps: Step[] = [];
  isBroken = false;

  captureOf(): Capture {
    return 'port';
  }

  async openCarrier(): Promise<CarrierSupport> {
    return noCarrier('a driver of a test');
  }

  async prepare({ set }: RedirectChange): Promise<PreparedChange> {
    return { commit: () => this.commit(set), abandon: () => {} };
  }

  async commit(set: RedirectChange['set']): Promise<void> {
    const to = Object.fromEntries(set.map(({ id, proxyPort }) => [id, proxyPort]));
    this.steps.push({ to, listening: listening() });
    this.#throwIfBroken();
  }

  async audit(): Promise<number> {
    this.#throwIfBroken();
    return 0;
  }

  async clear(): Promise<void> {}

  #throwIfBroken(): void {
    if (this.isBroken) throw new RedirectError('no luck');
  }
}

async function startProxy(t: Test) {
  const directory = mkdtempSync(join(tmpdir(), 'kube-portal-test-'));
  const driver = new WatchingDriver();
  const options = {
    workers: 1,
    bindAddress: { IPv4: '0.0.0.0', IPv6: '::' },
    nodeAddresses: new NodeAddresses([]),
    proxyPortRange: { first: 20_000, last: LAST },
    udpTimeoutMs: null,
    rtpsCopies: 20_000,
    carrier: RELAY,
    maxPins: 100,
    syncPeriodMs: 20,
    stateDir: directory,
    log: pino({ level: 'silent' }),
  };
  const proxy = await ServiceProxy.start(options, async () => driver);
  t.teardown(async () => {
    await proxy.stop({ keepRules: false, drainTimeoutMs: 0 });
    rmSync(directory, { recursive: true, force: true });
  });
  const problemsOf = (name: string) =>
    proxy.status().portals.find((portal) => portal.service === `default/${name}`)!.problems;
  return { driver, proxy, problemsOf };
}

/** The Service web and, if a NodePort is given, a second Service with this NodePort. */
function snapshotWith(nodePort: number | null): Snapshot {
  const services = [service()];
  const slices = [slice([{ addresses: ['10.1.0.1'] }])];
  if (nodePort !== null) {
    const spec = { clusterIP: '10.96.0.99', type: 'NodePort', ports: [{ port: 80, nodePort }] };
    services.push(service(spec, { name: 'other' }));
    const metadata = { name: 'other-1', labels: { 'kubernetes.io/service-name': 'other' } };
    slices.push(slice([{ addresses: ['10.1.0.2'] }], {}, metadata));
  }
  return buildHere(objectSet(services, slices)).snapshot;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(1);
}

t.test('the new port listens, the redirect moves, the old port closes, the NodePort opens', async (t) => {
  const { driver, proxy, problemsOf } = await startProxy(t);
  await proxy.apply(snapshotWith(null));
  t.same(driver.steps, [{ to: { [WEB]: LAST }, listening: [LAST] }]);
  await proxy.apply(snapshotWith(LAST));
  const moves = driver.steps.filter(({ to }) => WEB in to).slice(1);
  t.equal(moves.length, 1);
  const port = item(moves, 0).to[WEB] ?? 0;
  t.not(port, LAST);
  t.ok(item(moves, 0).listening.includes(port), 'the new one listens before it is redirected to');
  t.equal(count(item(moves, 0).listening, LAST), 1, 'the old one does so still, and nobody else');
  t.same(problemsOf('other'), []);
  t.equal(count(listening(), LAST), 1, 'the NodePort');
});

t.test('the NodePort waits until the redirect has moved', async (t) => {
  const { driver, proxy, problemsOf } = await startProxy(t);
  await proxy.apply(snapshotWith(null));
  driver.isBroken = true;
  await proxy.apply(snapshotWith(LAST));
  const message = new RegExp(`^NodePort 0\\.0\\.0\\.0:${LAST}/TCP is still the proxy port of ${WEB}`);
  t.match(problemsOf('other'), [message]);
  t.equal(count(listening(), LAST), 1, 'the old port, where rules may lead');
  driver.isBroken = false;
  await until(() => problemsOf('other').length === 0);
  t.equal(count(listening(), LAST), 1, 'the NodePort');
});

t.test('no portal gets the proxy port of a removed Service while rules may lead to it', async (t) => {
  const { driver, proxy, problemsOf } = await startProxy(t);
  await proxy.apply(snapshotWith(null));
  driver.isBroken = true;
  const other = new Map([...snapshotWith(LAST)].filter(([key]) => key !== WEB));
  await proxy.apply(other);
  t.match(problemsOf('other'), [/is still the proxy port of/]);
  t.equal(count(listening(), LAST), 0);
  driver.isBroken = false;
  await until(() => problemsOf('other').length === 0);
  t.equal(count(listening(), LAST), 1, 'the NodePort');
});

function count(ports: readonly number[], port: number): number {
  return ports.filter((one) => one === port).length;
}
