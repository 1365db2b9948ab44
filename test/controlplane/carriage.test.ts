import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import pino from 'pino';
import t, { type Test } from 'tap';
import { NodeAddresses } from '../../lib/controlplane/nodeaddresses.js';
import { ServiceProxy } from '../../lib/controlplane/proxy.js';
import { Dataplane } from '../../lib/dataplane/dataplane.js';
import type { DataplanePortal } from '../../lib/dataplane/dataplaneportal.js';
import type { CarrierReasons } from '../../lib/dataplane/shared/carrier.js';
import type { Family } from '../../lib/net/address.js';
import type { CarrierOptions } from '../../lib/portal/carrier.js';
import type { Snapshot } from '../../lib/portal/portal.js';
import type { PreparedChange, Redirect, RedirectChange, RedirectDriver } from '../../lib/redirect/driver.js';
import { buildHere, objectSet, service, slice } from '../model/fixtures.js';
import { RELAY } from '../portal/fixtures.js';
import { sh } from '../redirect/namespace.js';
import { ALL, BOTH } from './carrying.js';

t.setTimeout(0);

// The probe of connection tracking needs a rule, and NodePorts are carried on addresses of the node.
sh('iptables -t nat -A PREROUTING -j ACCEPT; ip6tables -t nat -A PREROUTING -j ACCEPT');
sh(
  'ip link add node0 type veth peer name lan0; ip addr add 192.0.2.1/24 dev node0; ip link set node0 up; ip link set lan0 up',
);

const KEY = 'default/web:/TCP/IPv4';

/** A driver that can do all that the kernel carrier needs. It notes its changes. */
class CarryingDriver implements RedirectDriver {
  readonly name = 'iptables';
  readonly bringsTraffic = true;
  readonly unsupported = new Map<Family, string>();
  readonly dropsForwarded = { IPv4: false, IPv6: false };
  readonly redirects = new Map<string, Redirect>();

  constructor(readonly happened: string[]) {}

  captureOf() {
    return 'port' as const;
  }

  async openCarrier() {
    return ALL;
  }

  async prepare({ set, remove }: RedirectChange): Promise<PreparedChange> {
    const commit = async () => {
      for (const id of remove) this.redirects.delete(id);
      for (const redirect of set) this.redirects.set(redirect.id, redirect);
      for (const { carried } of set) this.happened.push(`rules: queue ${carried?.queue ?? 'none'}`);
      if (remove.length > 0) this.happened.push('rules: removed');
    };
    return { commit, abandon: () => {} };
  }

  async audit(): Promise<number> {
    return 0;
  }

  async clear(): Promise<void> {}
}

interface Stage {
  readonly proxy: ServiceProxy;
  readonly driver: CarryingDriver;
  /** What became of workers and rules, in order. */
  readonly happened: string[];
  /** The portal as the workers had it last. */
  told(): DataplanePortal | undefined;
}

/** A proxy whose workers have all that the kernel carrier needs, or lack it for the reasons given. */
async function start(
  t: Test,
  carrier: Partial<CarrierOptions>,
  workers: CarrierReasons = BOTH,
): Promise<Stage> {
  const happened: string[] = [];
  const driver = new CarryingDriver(happened);
  let told: DataplanePortal | undefined;
  const { apply, setForwarding } = Dataplane.prototype;
  t.intercept(Dataplane.prototype, 'openCarrier', {
    async value() {
      happened.push('workers: queues open');
      return workers;
    },
  });
  t.intercept(Dataplane.prototype, 'setForwarding', {
    async value(this: Dataplane, ...[forwarding]: Parameters<Dataplane['setForwarding']>) {
      happened.push(`workers: IPv4 ${forwarding.IPv4}`);
      return setForwarding.call(this, forwarding);
    },
  });
  t.intercept(Dataplane.prototype, 'apply', {
    async value(this: Dataplane, ...[set, remove]: Parameters<Dataplane['apply']>) {
      await apply.call(this, set, remove);
      for (const portal of set) {
        happened.push(
          `workers: ${portal.carriage === null ? 'relay' : `home ${portal.carriage.homeWorker}`}`,
        );
        told = portal;
      }
      if (remove.length > 0) happened.push('workers: removed');
    },
  });
  const options = {
    workers: 2,
    bindAddress: { IPv4: '0.0.0.0', IPv6: '::' },
    nodeAddresses: new NodeAddresses([]),
    proxyPortRange: { first: 20_000, last: 20_009 },
    udpTimeoutMs: null,
    rtpsCopies: 20_000,
    carrier: { ...RELAY, ...carrier },
    maxPins: 100,
    syncPeriodMs: 20,
    stateDir: t.testdir(),
    log: pino({ level: 'silent' }),
  };
  const proxy = await ServiceProxy.start(options, async () => driver);
  t.teardown(() => proxy.stop({ keepRules: false, drainTimeoutMs: 0 }));
  happened.length = 0;
  return { proxy, driver, happened, told: () => told };
}

function web(spec: Record<string, unknown> = {}, carrier?: string): Snapshot {
  const annotations = carrier === undefined ? {} : { 'kube-portal.dev/carrier': carrier };
  const one = service(spec, { annotations });
  return buildHere(objectSet([one], [slice([{ addresses: ['10.1.0.1'] }])])).snapshot;
}

sh('sysctl -qw net.ipv4.ip_forward=1');

t.test('workers know a portal before rules queue its SYNs, and rules go before the portal', async (t) => {
  const { proxy, driver, happened, told } = await start(t, { mode: 'auto' });
  await proxy.apply(web());
  t.same(happened.splice(0), [
    'workers: queues open',
    'workers: IPv4 forwards',
    'workers: home 1',
    'rules: queue 20481',
  ]);
  t.same(told()?.carriage?.vips, [{ address: '10.96.0.10', port: 80, masquerade: 'off-cluster' }]);
  t.same(driver.redirects.get(KEY)?.carriedVips, told()?.carriage?.vips);
  await proxy.apply(new Map());
  t.same(happened, ['rules: removed', 'workers: removed']);
});

t.test('a Service may change its carrier while it is in use', async (t) => {
  const { proxy, driver, happened } = await start(t, {});
  await proxy.apply(web());
  t.same(happened.splice(0), ['workers: relay', 'rules: queue none'], 'nobody asks for the kernel');
  await proxy.apply(web({}, 'kernel'));
  t.same(happened.splice(0).slice(-2), ['workers: home 1', 'rules: queue 20481']);
  t.match(proxy.status().portals, [{ carrier: 'kernel', relayReason: null, problems: [] }]);
  await proxy.apply(web());
  t.same(happened.slice(-2), ['workers: relay', 'rules: queue none']);
  t.match(driver.redirects.get(KEY), { carried: null, carriedVips: [] });
  t.match(proxy.status().portals, [{ carrier: 'relay', relayReason: null, problems: [] }]);
});

t.test('a UDP port has carried VIPs, and a queue of first datagrams', async (t) => {
  const { proxy, driver, told } = await start(t, { mode: 'auto' });
  await proxy.apply(web({ ports: [{ port: 80, protocol: 'UDP' }] }));
  t.match(driver.redirects.get('default/web:/UDP/IPv4'), {
    carried: { queue: 20_489 },
    carriedVips: [{ port: 80 }],
  });
  t.match(told()?.carriage?.vips, [{ address: '10.96.0.10', port: 80 }]);
});

t.test('first datagrams of a UDP port whose datagrams are read do not wait', async (t) => {
  const { proxy, driver } = await start(t, { mode: 'auto' });
  const annotations = { 'kube-portal.dev/affinity-key': 'rtps-host' };
  const one = service(
    { ports: [{ port: 80, protocol: 'UDP' }], sessionAffinity: 'ClientIP' },
    { annotations },
  );
  const endpoints = slice([{ addresses: ['10.1.0.1'] }], { ports: [{ port: 80, protocol: 'UDP' }] });
  await proxy.apply(buildHere(objectSet([one], [endpoints])).snapshot);
  t.match(driver.redirects.get('default/web:/UDP/IPv4'), { carried: null, carriedVips: [{ port: 80 }] });
});

t.test('with affinity, one worker has the listener, the pins and the queue of a Service', async (t) => {
  const { proxy, driver, told } = await start(t, { mode: 'auto' });
  await proxy.apply(web({ sessionAffinity: 'ClientIP' }));
  t.equal(told()?.onlyWorker, told()?.carriage?.homeWorker);
  t.equal(driver.redirects.get(KEY)?.carried?.queue, 20_480 + (told()?.onlyWorker ?? Number.NaN));
});

t.test('a NodePort is carried on the addresses that the node has at the moment', async (t) => {
  const { proxy, driver, told } = await start(t, { mode: 'auto' });
  await proxy.apply(web({ type: 'NodePort', ports: [{ port: 80, nodePort: 30_080 }] }));
  const carried = () => told()?.carriage?.vips.map(({ address, port }) => `${address}:${port}`);
  t.same(carried(), ['10.96.0.10:80', '192.0.2.1:30080']);
  sh('ip addr add 192.0.2.2/24 dev node0');
  while (driver.redirects.get(KEY)?.carriedVips.length !== 3) await sleep(1);
  t.same(carried(), ['10.96.0.10:80', '192.0.2.1:30080', '192.0.2.2:30080']);
  sh('ip addr del 192.0.2.2/24 dev node0');
  while (driver.redirects.get(KEY)?.carriedVips.length !== 2) await sleep(1);
  t.same(carried(), ['10.96.0.10:80', '192.0.2.1:30080']);
});

t.test('a NodePort that another program has is left to it, and carried once it is free', async (t) => {
  const { proxy, driver } = await start(t, { mode: 'auto' });
  const other = createServer().listen(30_080, '0.0.0.0');
  t.teardown(() => other.close());
  await once(other, 'listening');
  await proxy.apply(web({ type: 'NodePort', ports: [{ port: 80, nodePort: 30_080 }] }));
  const carried = () => driver.redirects.get(KEY)?.carriedVips.map(({ port }) => port);
  t.same(carried(), [80]);
  other.close();
  while (carried()?.length !== 2) await sleep(1);
  t.same(carried(), [80, 30_080]);
});

t.test('a family that is not served at all is no problem of the kernel', async (t) => {
  const { proxy, driver } = await start(t, { mode: 'kernel' }, { ...BOTH, TCP: 'there is no queue' });
  driver.unsupported.set('IPv4', 'the node has no IPv4');
  await proxy.apply(web());
  const problems = proxy.status().portals.flatMap((portal) => portal.problems);
  t.same(problems, ['VIPs of IPv4 are not served: the node has no IPv4']);
});

for (const mode of ['auto', 'kernel'] as const) {
  t.test(`with ${mode}, what the kernel cannot carry is relayed`, async (t) => {
    const { proxy, driver } = await start(t, { mode }, { ...BOTH, TCP: 'there is no queue' });
    const events: string[] = [];
    proxy.on('problem', ({ message }, reason) => events.push(`${reason}: ${message}`));
    const problems = () => proxy.status().portals.flatMap((portal) => portal.problems);
    await proxy.apply(web());
    const { portals, carrierLimits, ...node } = proxy.status();
    t.match(portals, [{ state: 'serving', carrier: 'relay', relayReason: 'there is no queue' }]);
    t.same(carrierLimits, ['relayed: TCP over IPv4, TCP over IPv6: there is no queue']);
    t.equal(node.carrier, mode);
    t.same(driver.redirects.get(KEY)?.carriedVips, []);
    t.equal(problems().length, mode === 'kernel' ? 1 : 0, 'a problem with kernel only');
    t.same(events, [], 'the Service has not asked for it');
    await proxy.apply(web({}, 'kernel'));
    t.match(problems(), [/^the kernel cannot carry its traffic, .*: there is no queue$/]);
    t.match(events, [/^NotCarried: the kernel cannot carry/], 'an Event tells the one that asks');
  });
}

t.test('a node that ceases to forward tells workers and people', async (t) => {
  const { proxy, driver, happened } = await start(t, { mode: 'kernel' });
  const problems: string[] = [];
  proxy.on('nodeProblem', (problem) => problems.push(problem));
  await proxy.apply(web());
  t.same(proxy.status().problems, []);
  driver.dropsForwarded.IPv4 = true;
  while (problems.length === 0) await sleep(1);
  t.match(problems, [/^the chain FORWARD of IPv4 drops/]);
  t.same(proxy.status().problems, problems);
  t.ok(happened.includes('workers: IPv4 doubtful'));
});
