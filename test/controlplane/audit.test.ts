import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pino from 'pino';
import t, { type Test } from 'tap';
import { NodeAddresses } from '../../lib/controlplane/nodeaddresses.js';
import { ServiceProxy } from '../../lib/controlplane/proxy.js';
import { Dataplane } from '../../lib/dataplane/dataplane.js';
import {
  type Capture,
  type CarrierSupport,
  noCarrier,
  type PreparedChange,
  type RedirectChange,
  type RedirectDriver,
  RedirectError,
  RedirectsRefused,
} from '../../lib/redirect/driver.js';
import { item } from '../lab/items.js';
import { buildHere, objectSet, service, slice } from '../model/fixtures.js';
import { RELAY } from '../portal/fixtures.js';
import '../redirect/namespace.js';

/** Milliseconds between audits. */
const PERIOD = 20;
/** Milliseconds. If a wrong call does not happen within this time, it does not happen. */
const PATIENCE = 2 * PERIOD;

/** A driver whose audits and changes the test can hold back, and whose changes the test can let fail. */
class SlowDriver implements RedirectDriver {
  readonly name = 'iptables';
  readonly bringsTraffic = true;
  readonly unsupported = new Map();
  readonly changes: RedirectChange[] = [];
  isSlow = true;
  isBroken = false;
  isCleared = false;
  endAudit: (() => void) | null = null;
  /** Changes end once this resolves. */
  pause: Promise<void> | null = null;

  captureOf(): Capture {
    return 'port';
  }

  async openCarrier(): Promise<CarrierSupport> {
    return noCarrier('a driver of a test');
  }

  async prepare(change: RedirectChange): Promise<PreparedChange> {
    this.changes.push(change);
    return { commit: () => this.commit(), abandon: () => {} };
  }

  async commit(): Promise<void> {
    await this.pause;
    if (this.isBroken) throw new RedirectError('no luck');
  }

  audit(): Promise<number> {
    if (!this.isSlow) return Promise.resolve(0);
    return new Promise((resolve) => {
      this.endAudit = () => {
        this.endAudit = null;
        resolve(0);
      };
    });
  }

  async clear(): Promise<void> {
    this.isCleared = true;
  }

  /** From now on, audits end at once. */
  stopAuditing(): void {
    this.audit = async () => 0;
    this.endAudit?.();
  }
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(1);
}

async function startProxy(t: Test, driver: SlowDriver): Promise<ServiceProxy> {
  const directory = mkdtempSync(join(tmpdir(), 'kube-portal-test-'));
  const options = {
    workers: 1,
    bindAddress: { IPv4: '0.0.0.0', IPv6: '::' },
    nodeAddresses: new NodeAddresses([]),
    proxyPortRange: { first: 20_000, last: 20_999 },
    udpTimeoutMs: null,
    rtpsCopies: 20_000,
    carrier: RELAY,
    maxPins: 100,
    syncPeriodMs: PERIOD,
    stateDir: directory,
    log: pino({ level: 'silent' }),
  };
  const proxy = await ServiceProxy.start(options, async () => driver);
  t.teardown(async () => {
    driver.stopAuditing();
    await proxy.stop({ keepRules: false, drainTimeoutMs: 0 });
    rmSync(directory, { recursive: true, force: true });
  });
  return proxy;
}

const web = service();
const withEndpoint = (address: string) =>
  buildHere(objectSet([web], [slice([{ addresses: [address] }])])).snapshot;
const states = (proxy: ServiceProxy) => proxy.status().portals.map(({ state }) => state);

t.test('endpoints change while an audit is under way; redirects wait for its end', async (t) => {
  const driver = new SlowDriver();
  driver.isSlow = false;
  const proxy = await startProxy(t, driver);
  await proxy.apply(withEndpoint('10.1.0.1'));
  driver.isSlow = true;
  await until(() => driver.endAudit !== null);
  await proxy.apply(withEndpoint('10.1.0.2'));
  t.same(item(proxy.status().portals, 0).endpoints, ['10.1.0.2:8080']);
  const changes = driver.changes.length;
  const gone = proxy.apply(new Map());
  await sleep(PATIENCE);
  t.equal(driver.changes.length, changes, 'calls of the driver do not overlap');
  driver.stopAuditing();
  await gone;
  t.equal(driver.changes.length, changes + 1);
});

t.test('endpoints change while a redirect is under way', async (t) => {
  const driver = new SlowDriver();
  driver.stopAuditing();
  const proxy = await startProxy(t, driver);
  let goOn = () => {};
  driver.pause = new Promise((resolve) => (goOn = resolve));
  const first = proxy.apply(withEndpoint('10.1.0.1'));
  await until(() => driver.changes.length > 0);
  const second = proxy.apply(withEndpoint('10.1.0.2'));
  await until(() => proxy.status().portals[0]?.endpoints[0] === '10.1.0.2:8080');
  t.same(states(proxy), ['pending'], 'while the redirect is not in place');
  goOn();
  await Promise.all([first, second]);
  t.same(states(proxy), ['serving']);
});

t.test('the proxy says for how long the node has been behind', async (t) => {
  const driver = new SlowDriver();
  driver.stopAuditing();
  const proxy = await startProxy(t, driver);
  let goOn = () => {};
  driver.pause = new Promise((resolve) => (goOn = resolve));
  const applied = proxy.apply(withEndpoint('10.1.0.1'));
  await until(() => proxy.behindMs > PATIENCE);
  t.pass('while a change does not end');
  driver.isBroken = true;
  driver.audit = async () => {
    throw new RedirectError('no luck');
  };
  goOn();
  await applied;
  const behindMs = proxy.behindMs;
  await until(() => proxy.behindMs > behindMs + PATIENCE);
  t.pass('after it failed, from the time when it came');
  driver.stopAuditing();
  await until(() => proxy.behindMs < PERIOD);
  t.pass('until an audit has made it good');
});

t.test('a refused redirect does not make the node count as behind', async (t) => {
  const driver = new SlowDriver();
  driver.stopAuditing();
  const proxy = await startProxy(t, driver);
  const { snapshot } = buildHere(objectSet([web], [slice([{ addresses: ['10.1.0.1'] }])]));
  let audits = 0;
  driver.audit = async () => {
    audits++;
    throw new RedirectsRefused('224.0.0.1 is no address of a node', snapshot.keys());
  };
  await proxy.apply(snapshot);
  await until(() => audits > 3 && proxy.behindMs < PERIOD);
  const before = audits;
  await until(() => audits > before + 3 && proxy.behindMs < PERIOD);
  t.pass('however often it is tried');
});

t.test(
  'an audit repairs refused redirects, and no redirect that the driver has not been given',
  async (t) => {
    const driver = new SlowDriver();
    const proxy = await startProxy(t, driver);
    driver.isBroken = true;
    await until(() => driver.endAudit !== null);
    const applied = proxy.apply(withEndpoint('10.1.0.1'));
    await until(() => states(proxy).length > 0);
    // Another audit may begin before the driver hears of the change.
    const ending = setInterval(() => driver.endAudit?.(), 1);
    await applied;
    clearInterval(ending);
    t.same(states(proxy), ['pending'], 'refused after an audit that did not know it');
    driver.stopAuditing();
    await until(() => states(proxy)[0] === 'serving');
    t.pass('in place since an audit');
  },
);

t.test('workers that break while the driver audits fail the change, not the process', async (t) => {
  const driver = new SlowDriver();
  const proxy = await startProxy(t, driver);
  await until(() => driver.endAudit !== null);
  t.intercept(Dataplane.prototype, 'apply', { value: () => Promise.reject(new Error('a worker broke')) });
  const failed = t.rejects(proxy.apply(withEndpoint('10.1.0.1')), /a worker broke/);
  await sleep(PATIENCE);
  driver.stopAuditing();
  await failed;
});

t.test('stop waits for an audit', async (t) => {
  const driver = new SlowDriver();
  const proxy = await startProxy(t, driver);
  await until(() => driver.endAudit !== null);
  const stopped = proxy.stop({ keepRules: false, drainTimeoutMs: 0 });
  await sleep(PATIENCE);
  t.notOk(driver.isCleared);
  driver.stopAuditing();
  await stopped;
  t.ok(driver.isCleared);
});
