import t, { type Test } from 'tap';
import type { EndpointStatus } from '../../lib/dataplane/shared/endpoints.js';
import { startBackend } from '../lab/backend.js';
import { askTcp, askUdp, HeldConnections } from '../lab/client.js';
import { item } from '../lab/items.js';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab, type Pod } from '../lab/lab.js';
import { type ServiceOptions, serviceWithPods } from '../lab/manifest.js';

/** What each endpoint has had: the same for both carriers. */
t.setTimeout(0);

const ECHO: ServiceOptions = {
  name: 'echo',
  clusterIPs: ['10.96.0.7', 'fd00:96::7'],
  ports: [
    { name: 'tcp', protocol: 'TCP', port: 7 },
    { name: 'udp', protocol: 'UDP', port: 7 },
  ],
};
const TCP = 'default/echo:tcp/TCP/IPv4';
const UDP = 'default/echo:udp/UDP/IPv6';
const VIP = { [TCP]: '10.96.0.7', [UDP]: 'fd00:96::7' } as const;
const CARRIERS = ['relay', 'kernel'] as const;

type Field = Exclude<keyof EndpointStatus, 'key' | 'endpoint'>;

/** A node with the Service, a client, and pods of which the last one listens to nothing. */
class Stage {
  private constructor(
    readonly lab: Lab,
    readonly kubePortal: KubePortal,
    readonly client: Pod,
    readonly pods: readonly Pod[],
  ) {}

  static async forTest(t: Test, carrier: (typeof CARRIERS)[number]): Promise<Stage> {
    const names = ['client', 'a', 'b', 'closed'];
    const lab = await Lab.forTest(t, { pods: names, link: 'point to point' });
    await lab.node.sysctl({ 'net/netfilter/nf_conntrack_acct': '1' });
    const [client, ...pods] = names.map((name) => lab.pod(name)) as [Pod, ...Pod[]];
    for (const pod of pods.slice(0, 2)) await startBackend(pod, { tcp: { 7: 'echo' }, udp: { 7: 'echo' } });
    const kubePortal = await KubePortal.forTest(t, lab.node, {
      objects: serviceWithPods(ECHO, pods.slice(0, 2)),
      flags: [`--carrier=${carrier}`, '--redirect=iptables', '--workers=2', '--endpoint-metrics'],
    });
    return new Stage(lab, kubePortal, client, pods);
  }

  /** Gives the Service other endpoints, and waits until they are served. */
  async setPods(pods: readonly Pod[]): Promise<void> {
    this.kubePortal.setManifest(serviceWithPods(ECHO, pods));
    await this.kubePortal.until(
      async () => (await this.kubePortal.endpoints(TCP)).length === pods.length,
      `${pods.length} endpoints`,
    );
  }

  /** Fields of each endpoint, in the order of the endpoints' addresses. */
  async fields<Name extends Field>(key: string, ...names: Name[]): Promise<Pick<EndpointStatus, Name>[]> {
    const endpoints = await this.kubePortal.endpoints(key);
    const pick = (endpoint: EndpointStatus) =>
      Object.fromEntries(names.map((name) => [name, endpoint[name]])) as Pick<EndpointStatus, Name>;
    return endpoints.toSorted((a, b) => (a.endpoint < b.endpoint ? -1 : 1)).map(pick);
  }

  /** Waits until the endpoints have these fields. The kernel is asked about every ten seconds. */
  async until(key: string, wanted: readonly Partial<EndpointStatus>[]): Promise<void> {
    const names = Object.keys(wanted[0] ?? {}) as Field[];
    await this.kubePortal.until(
      async () => JSON.stringify(await this.fields(key, ...names)) === JSON.stringify(wanted),
      `${key} has ${JSON.stringify(wanted)}`,
    );
  }

  hold(connections: number): HeldConnections {
    return HeldConnections.open(this.client, { address: VIP[TCP], port: 7, connections });
  }

  /** Payload that the kernel has carried to each endpoint over TCP, out of its own table. */
  async tracked(): Promise<{ bytesIn: number; bytesOut: number }[]> {
    const { stdout } = await this.lab.node.exec('cat', ['/proc/net/nf_conntrack']);
    return this.pods.slice(0, 2).map(({ address4 }) => {
      const own = stdout.split('\n').filter((line) => line.includes(` src=${address4} `));
      const sums = { bytesIn: 0, bytesOut: 0 };
      for (const line of own) {
        const [packetsIn = 0, packetsOut = 0] = numbersIn(line, /packets=(\d+)/g);
        const [bytesIn = 0, bytesOut = 0] = numbersIn(line, /bytes=(\d+)/g);
        // Headers of IPv4 and TCP with a time stamp.
        sums.bytesIn += bytesIn - packetsIn * 52;
        sums.bytesOut += bytesOut - packetsOut * 52;
      }
      return sums;
    });
  }
}

function numbersIn(line: string, pattern: RegExp): number[] {
  return Array.from(line.matchAll(pattern), ([, digits]) => Number(digits));
}

/** The same for each of two endpoints. */
function twice<T>(fields: T): [T, T] {
  return [fields, fields];
}

for (const carrier of CARRIERS) {
  const [gauge, otherGauge] =
    carrier === 'relay' ? (['active', 'carriedActive'] as const) : (['carriedActive', 'active'] as const);

  t.test(`connections, flows and their bytes are counted for each endpoint: ${carrier}`, async (t) => {
    const stage = await Stage.forTest(t, carrier);
    const { client, kubePortal } = stage;
    await stage.until(TCP, twice({ total: 0, active: 0, carriedActive: 0, bytesIn: 0 }));

    const held = stage.hold(10);
    t.equal((await held.round()).answered, 10);
    await stage.until(TCP, twice({ total: 5, [gauge]: 5, [otherGauge]: 0, failures: 0, moved: 0 }));
    if (carrier === 'kernel') await stage.until(TCP, await stage.tracked());
    else {
      const [first, second] = await stage.fields(TCP, 'bytesIn', 'bytesOut');
      t.ok(first !== undefined && first.bytesIn > 0 && first.bytesIn === first.bytesOut);
      t.same(second, first);
    }

    await askUdp(client, { address: VIP[UDP], port: 7, sockets: 10, concurrency: 10, times: 3, bytes: 100 });
    await stage.until(
      UDP,
      twice({ total: 5, datagramsIn: 15, datagramsOut: 15, bytesIn: 1500, bytesOut: 1500, failures: 0 }),
    );
    const flows = await stage.fields(UDP, 'active', 'carriedActive');
    t.same(flows, twice({ active: 0, carriedActive: 0, [gauge]: 5 }));

    const a = item(stage.pods, 0);
    const metrics = await kubePortal.metrics();
    const labels = 'namespace="default",service="echo",port="udp",protocol="UDP",family="IPv6"';
    t.match(metrics, `kubeportal_endpoint_flows_total{${labels},endpoint="[${a.address6}]:7"} 5\n`);
    t.match(metrics, `kubeportal_endpoint_sent_bytes_total{${labels},endpoint="[${a.address6}]:7"} 1500\n`);
    const text = await kubePortal.command('endpoints', ['default/echo']);
    t.match(
      text,
      /^PORTAL +ENDPOINT +STATE +SHARE +OPEN +TOTAL +FAILURES +MOVED +BYTES-IN +BYTES-OUT +LAST-FAILURE$/m,
    );
    t.match(text, new RegExp(`^${TCP} +${a.address4}:7 +ready +50\\.0% +5 +5 +0 +0 +\\d+ +\\d+ +-$`, 'm'));
    await held.close();
  });

  t.test(`counters end with their endpoint, and open connections stay its own: ${carrier}`, async (t) => {
    const stage = await Stage.forTest(t, carrier);
    const held = stage.hold(10);
    t.equal((await held.round()).answered, 10);
    const [a, b] = stage.pods as [Pod, Pod];
    await stage.setPods([b]);
    t.same(await stage.fields(TCP, 'total', gauge), [{ total: 5, [gauge]: 5 }]);
    await stage.setPods([a, b]);
    // The relay knows whom it serves; in the kernel, both have the same address.
    await stage.until(TCP, [
      { total: 0, [gauge]: carrier === 'relay' ? 0 : 5 },
      { total: 5, [gauge]: 5 },
    ]);
    t.equal((await held.round()).answered, 10);
    await held.close();
  });

  t.test(`an endpoint that refuses has failures, with the reason of the last: ${carrier}`, async (t) => {
    const stage = await Stage.forTest(t, carrier);
    const [a, , closed] = stage.pods as [Pod, Pod, Pod];
    await stage.setPods([a, closed]);
    const replies = await askTcp(stage.client, { address: VIP[TCP], port: 7, times: 4, send: 'x' });
    t.same(
      replies.map(({ text }) => text),
      ['x', 'x', 'x', 'x'],
      'clients do not notice',
    );
    const [alive, failed] = await stage.fields(TCP, 'total', 'failures', 'moved', 'lastFailure', 'state');
    t.match(alive, { failures: 0, moved: 0, lastFailure: null, state: 'ready', total: 4 });
    t.match(failed, { lastFailure: { reason: 'ECONNREFUSED' } });
    t.ok((failed?.failures ?? 0) > 0);
    t.equal(failed?.moved, failed?.failures);
    t.equal(failed?.total, failed?.failures);
    const { portals, counters } = await stage.kubePortal.status();
    t.equal(portals.length, 4);
    const ofPort = counters.find(({ key }) => key === TCP);
    t.equal(ofPort?.connectionsTotal, 4);
    t.equal(ofPort?.connectFailures, failed?.failures);
  });
}

t.test('what an earlier run has handed over is counted for its endpoint', async (t) => {
  const stage = await Stage.forTest(t, 'kernel');
  const held = stage.hold(10);
  t.equal((await held.round()).answered, 10);
  await stage.kubePortal.kill9();
  await stage.kubePortal.startAgain();
  await stage.until(TCP, twice({ total: 0, active: 0, carriedActive: 5 }));
  t.equal((await held.round()).answered, 10);
  await stage.until(TCP, await stage.tracked());
  await held.close();
});
