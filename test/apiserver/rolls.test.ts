import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab, type Pod } from '../lab/lab.js';
import { endpointSlice, type ServiceOptions, service } from '../lab/manifest.js';
import type { Program } from '../lab/program.js';
import { startDnsmasq, startNginx } from '../lab/servers.js';
import { ApiServer, NODE } from './apiserver.js';
import { LookupLoad, WebLoad } from './load.js';

/** Longer than any look-up takes. CoreDNS also goes on after it was told to end (`health { lameduck }`). */
const GRACE_MS = 2_000;
/** Time in which the upstream name server answers. So there are always look-ups under way. */
const UPSTREAM_MS = 500;
const ROLLS = 3;
const FLAGS = ['--hostname-override=robot', '--v=4'];
const DNS: ServiceOptions = {
  name: 'dns',
  clusterIPs: ['10.96.0.53'],
  ports: [
    { name: 'dns', protocol: 'UDP', port: 53 },
    { name: 'dns-tcp', protocol: 'TCP', port: 53 },
  ],
};
const WEB: ServiceOptions = { name: 'web', clusterIPs: ['10.96.0.10'], ports: [{ port: 80 }] };

t.setTimeout(0);

const directory = mkdtempSync(join(tmpdir(), 'kube-portal-rolls-'));
t.teardown(() => rmSync(directory, { recursive: true }));

/** Two Services with the same pods, whose servers are replaced by those of other pods. */
class Rollout {
  #servers: Program[] = [];

  constructor(
    readonly api: ApiServer,
    readonly kubePortal: KubePortal,
    readonly upstream: Pod,
  ) {}

  async begin(pods: readonly Pod[]): Promise<void> {
    this.#servers = await this.#start(pods);
    await this.api.apply(service(DNS), service(WEB));
    await this.#publish(pods, []);
  }

  /** As in a Deployment, new pods start, then old pods are told to end. They end when their work is done. */
  async roll(old: readonly Pod[], young: readonly Pod[]): Promise<void> {
    const ending = this.#servers;
    this.#servers = await this.#start(young);
    await this.#publish([...old, ...young], []);
    await this.#publish(young, old);
    await sleep(GRACE_MS);
    await this.kubePortal.until(
      async () => (await connectionsTo(old)) === 0,
      'the old connections end',
      60_000,
    );
    await this.#publish(young, []);
    await Promise.all(ending.map((server) => server.stop()));
  }

  async #start(pods: readonly Pod[]): Promise<Program[]> {
    const forward = ['--cache-size=0', `--server=/slow.example/${this.upstream.address4}#5300`];
    const started = pods.flatMap((pod) => [
      startDnsmasq(pod, ...forward),
      // So each connection ends, at a moment that the client knows of.
      startNginx(pod, directory, 'keepalive_requests 20;'),
    ]);
    return Promise.all(started);
  }

  /** Resolves once new clients are sent to the pods that are ready. */
  async #publish(ready: readonly Pod[], leaving: readonly Pod[]): Promise<void> {
    await this.api.apply(...[DNS, WEB].map((each) => endpointSlice(each, 'IPv4', ready, { leaving })));
    await this.kubePortal.until(
      async () => {
        const { portals } = await this.kubePortal.status();
        const serving = portals.filter(({ service }) => /dns|web/.test(service));
        const addresses = serving.map(({ endpoints }) => endpoints.map((each) => each.split(':')[0]).join());
        return addresses.length === 3 && addresses.every((each) => each === addressesOf(ready));
      },
      `new clients are sent to ${addressesOf(ready)}`,
    );
  }
}

function addressesOf(pods: readonly Pod[]): string {
  return pods
    .map(({ address4 }) => address4)
    .sort()
    .join();
}

/** Connections to port 80 that are open. */
async function connectionsTo(pods: readonly Pod[]): Promise<number> {
  const lists = await Promise.all(
    pods.map((pod) => pod.must('ss', ['-Htn', 'state', 'established', 'sport', '=', ':80'])),
  );
  return lists.join('').split('\n').filter(Boolean).length;
}

async function prepare(t: Test) {
  const lab = await Lab.forTest(t, { pods: ['client', 'upstream', 'a', 'b', 'c', 'd'] });
  const [upstream, client] = [lab.pod('upstream'), lab.pod('client')];
  const slowDns = fileURLToPath(new URL('slow-dns-program.js', import.meta.url));
  await upstream.spawn(process.execPath, [slowDns, '5300', String(UPSTREAM_MS)]).waitForOutput(/^ready$/m);
  const api = await ApiServer.forTest(t, lab.node);
  await api.apply(NODE);
  const kubeconfig = await api.proxyKubeconfig();
  const kubePortal = await KubePortal.forTest(t, lab.node, { kubeconfig, flags: FLAGS });
  return { lab, client, rollout: new Rollout(api, kubePortal, upstream) };
}

t.test('clients do not notice that the pods of their Services roll', async (t) => {
  const { lab, client, rollout } = await prepare(t);
  const podsOf = (names: string) => [...names].map((name) => lab.pod(name));
  const [blue, green] = [podsOf('ab'), podsOf('cd')];
  await rollout.begin(blue);

  const server = `@${DNS.clusterIPs[0]}`;
  const addresses = await client.addAddresses(9);
  const [quick, patient] = [addresses.slice(0, 1), addresses.slice(1)];
  const slow = new LookupLoad(client, patient, `${server} slow.example`);
  const overUdp = new LookupLoad(client, quick, `${server} who.example TXT`);
  const overTcp = new LookupLoad(client, quick, `${server} who.example TXT`, '+tcp');
  const web = await WebLoad.start(client, 4, `http://${WEB.clusterIPs[0]}/name`);
  for (let roll = 0; roll < ROLLS; roll++) {
    await (roll % 2 === 0 ? rollout.roll(blue, green) : rollout.roll(green, blue));
  }
  const lookUps = { slow: await slow.stop(), overUdp: await overUdp.stop(), overTcp: await overTcp.stop() };
  const { outcomes, connections } = await web.stop();
  t.comment(JSON.stringify({ lookUps, outcomes, connections }));

  t.same(Object.keys(lookUps.slow), ['192.0.2.7'], 'every look-up under way was answered');
  const names = ['a', 'b', 'c', 'd'];
  const answers = names.map((name) => `"${name}"`);
  t.same(Object.keys(lookUps.overUdp), answers, 'every look-up over UDP was answered, by all in turn');
  t.same(Object.keys(lookUps.overTcp), answers, 'every look-up over TCP was answered, by all in turn');
  t.same(Object.keys(outcomes), names, 'every request was answered, by all in turn');
  t.same(
    rollout.kubePortal.log.filter(({ level }) => level >= 40).map(({ msg }) => msg),
    [],
    'nothing to complain about',
  );
});
