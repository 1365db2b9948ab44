import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pino from 'pino';
import t, { type Test } from 'tap';
import { ActivePortal } from '../../lib/controlplane/activeportal.js';
import { NodeAddresses } from '../../lib/controlplane/nodeaddresses.js';
import { ServiceProxy } from '../../lib/controlplane/proxy.js';
import { Dataplane } from '../../lib/dataplane/dataplane.js';
import type { Snapshot } from '../../lib/portal/portal.js';
import {
  type Capture,
  type CarrierSupport,
  noCarrier,
  type PreparedChange,
  type RedirectChange,
  type RedirectDriver,
} from '../../lib/redirect/driver.js';
import { OneChange } from '../../lib/redirect/onechange.js';
import { buildHere, objectSet, service, slice } from '../model/fixtures.js';
import { RELAY } from '../portal/fixtures.js';
import { sh } from '../redirect/namespace.js';

/** Lets one call fail once. */
class Fault {
  #left = Number.POSITIVE_INFINITY;
  #where: string | null = null;

  /** The call with this number fails. The first call has number 1. */
  arm(call: number): void {
    this.#left = call;
  }

  /** The next call of this kind fails. */
  armAt(where: string): void {
    this.#where = where;
    this.#left = 1;
  }

  strike(where: string): void {
    if (this.#where !== null && this.#where !== where) return;
    if (--this.#left === 0) throw new Error(`fault: ${where}`);
  }

  get hasStruck(): boolean {
    return this.#left <= 0;
  }
}

class FaultyDriver implements RedirectDriver {
  readonly name = 'iptables';
  readonly bringsTraffic = true;
  readonly unsupported = new Map();
  /** The committed changes: +key or -key. */
  readonly committed: string[] = [];
  readonly redirected = new Set<string>();
  /** Like the real drivers, it refuses a change while another change is prepared. */
  readonly #change = new OneChange();

  constructor(readonly fault: Fault) {}

  captureOf(): Capture {
    return 'port';
  }

  async openCarrier(): Promise<CarrierSupport> {
    return noCarrier('a driver of a test');
  }

  async prepare(change: RedirectChange): Promise<PreparedChange> {
    this.fault.strike('prepare');
    this.#change.begin();
    return this.#change.prepared(async () => {
      this.fault.strike('commit');
      for (const { id } of change.set) this.redirected.add(id);
      for (const id of change.remove) this.redirected.delete(id);
      this.committed.push(...change.set.map(({ id }) => `+${id}`), ...change.remove.map((id) => `-${id}`));
    });
  }

  async audit(): Promise<number> {
    return 0;
  }

  async clear(): Promise<void> {}
}

interface NodePortService {
  readonly name: string;
  readonly clusterIP: string;
  readonly nodePort: number;
}

function snapshotOf(...wanted: readonly NodePortService[]): Snapshot {
  const services = wanted.map(({ name, clusterIP, nodePort }) =>
    service({ clusterIP, type: 'NodePort', ports: [{ port: 80, nodePort }] }, { name }),
  );
  const slices = wanted.map(({ name }) => {
    const metadata = { name: `${name}-1`, labels: { 'kubernetes.io/service-name': name } };
    return slice([{ addresses: ['10.1.0.1'] }], {}, metadata);
  });
  return buildHere(objectSet(services, slices)).snapshot;
}

const BEFORE = snapshotOf(
  { name: 'goes', clusterIP: '10.96.0.1', nodePort: 30001 },
  { name: 'hands-on', clusterIP: '10.96.0.2', nodePort: 30002 },
  { name: 'changes', clusterIP: '10.96.0.3', nodePort: 30003 },
);
/** One Service is removed, one gives its VIP away, one gets the removed NodePort, and one is added. */
const AFTER = snapshotOf(
  { name: 'takes', clusterIP: '10.96.0.2', nodePort: 30002 },
  { name: 'changes', clusterIP: '10.96.0.3', nodePort: 30001 },
  { name: 'comes', clusterIP: '10.96.0.4', nodePort: 30004 },
);

function injectInto(t: Test, fault: Fault): void {
  const { apply } = Dataplane.prototype;
  t.intercept(Dataplane.prototype, 'apply', {
    async value(this: Dataplane, ...change: Parameters<Dataplane['apply']>) {
      fault.strike('workers');
      return apply.call(this, ...change);
    },
  });
  const { openListeners } = ActivePortal.prototype;
  t.intercept(ActivePortal.prototype, 'openListeners', {
    value(this: ActivePortal) {
      fault.strike('sockets');
      return openListeners.call(this);
    },
  });
}

async function startProxy(t: Test, syncPeriodMs = 3_600_000) {
  const directory = mkdtempSync(join(tmpdir(), 'kube-portal-test-'));
  const fault = new Fault();
  injectInto(t, fault);
  const driver = new FaultyDriver(fault);
  const options = {
    workers: 1,
    bindAddress: { IPv4: '0.0.0.0', IPv6: '::' },
    nodeAddresses: new NodeAddresses([]),
    proxyPortRange: { first: 20_000, last: 20_009 },
    udpTimeoutMs: null,
    rtpsCopies: 20_000,
    carrier: RELAY,
    maxPins: 100,
    syncPeriodMs,
    stateDir: directory,
    log: pino({ level: 'silent' }),
  };
  const proxy = await ServiceProxy.start(options, async () => driver);
  const stop = async () => {
    await proxy.stop({ keepRules: false, drainTimeoutMs: 0 });
    rmSync(directory, { recursive: true, force: true });
  };
  return { proxy, driver, fault, stop };
}

function nodePorts(): string[] {
  return [...sh("ss -Hlnt | awk '{ print $4 }'").matchAll(/:(3000\d)$/gm)]
    .map(([, port]) => port ?? '')
    .sort();
}

interface FailedChange {
  readonly proxy: ServiceProxy;
  readonly driver: FaultyDriver;
  /** The kind and the number of the call that failed. */
  readonly name: string;
  stop(): Promise<void>;
}

/** A change from BEFORE to AFTER of which one call fails. Null: it has no call with this number. */
async function failAtCall(t: Test, call: number): Promise<FailedChange | null> {
  const { proxy, driver, fault, stop } = await startProxy(t);
  await proxy.apply(BEFORE);
  driver.committed.length = 0;
  fault.arm(call);
  const failure = await proxy.apply(AFTER).then(
    () => null,
    (error: Error) => error.message,
  );
  if (fault.hasStruck) {
    t.match(failure, /^fault: /, `call ${call} fails the change`);
    return { proxy, driver, stop, name: `after ${failure} at call ${call}` };
  }
  await stop();
  return null;
}

function areServed(t: Test, { proxy, driver, name }: FailedChange, snapshot: Snapshot): void {
  t.same(
    proxy.status().portals.map(({ state, problems }) => ({ state, problems })),
    Array.from(snapshot, () => ({ state: 'serving', problems: [] })),
    `all are served ${name}`,
  );
  const wanted = Array.from(snapshot.values(), ({ nodePort }) => `${nodePort}`);
  t.same(nodePorts(), wanted.sort(), `each listens once, and nothing else does, ${name}`);
  t.same([...driver.redirected].sort(), [...snapshot.keys()].sort(), `each is redirected to ${name}`);
}

t.setTimeout(0);

t.test('a change that fails at any call is tried again from there', async (t) => {
  let calls = 0;
  for (let failed = await failAtCall(t, 1); failed !== null; failed = await failAtCall(t, calls + 1)) {
    calls++;
    await failed.proxy.apply(AFTER);
    areServed(t, failed, AFTER);
    const expected = [
      '+default/comes:/TCP/IPv4',
      '+default/takes:/TCP/IPv4',
      '-default/goes:/TCP/IPv4',
      '-default/hands-on:/TCP/IPv4',
    ];
    t.same(failed.driver.committed.sort(), expected, `nothing is done twice or left out ${failed.name}`);
    await failed.stop();
  }
  t.ok(calls >= 8, `a change has ${calls} calls that may fail`);
});

t.test('a change that fails at any call can be taken back', async (t) => {
  let calls = 0;
  for (let failed = await failAtCall(t, 1); failed !== null; failed = await failAtCall(t, calls + 1)) {
    calls++;
    await failed.proxy.apply(BEFORE);
    areServed(t, failed, BEFORE);
    await failed.stop();
  }
  t.ok(calls >= 8, `a change has ${calls} calls that may fail`);
});

for (const where of ['workers', 'prepare', 'commit']) {
  t.test(`a change that fails at ${where} is tried again by itself`, async (t) => {
    const { proxy, driver, fault, stop } = await startProxy(t, 20);
    await proxy.apply(BEFORE);
    fault.armAt(where);
    await t.rejects(proxy.apply(AFTER), { message: `fault: ${where}` });
    const isRedirected = () => [...AFTER.keys()].every((key) => driver.redirected.has(key));
    const isServing = () => proxy.states().every(({ key, state }) => AFTER.has(key) && state === 'serving');
    while (!isRedirected() || !isServing() || driver.redirected.size > AFTER.size) await sleep(1);
    areServed(t, { proxy, driver, stop, name: `after fault: ${where}` }, AFTER);
    await stop();
  });
}
