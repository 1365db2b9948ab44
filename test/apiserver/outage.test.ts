import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import type { PortalStatus } from '../../lib/portal/status.js';
import { startBackend } from '../lab/backend.js';
import { askEach, HeldConnections } from '../lab/client.js';
import { item } from '../lab/items.js';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab, type Pod } from '../lab/lab.js';
import { endpointSlice, type ServiceOptions, serviceWithPods } from '../lab/manifest.js';
import { ApiServer, NODE, OTHER_PORT } from './apiserver.js';

const OUTAGE_MS = 60_000;
/** A connection on which nothing arrives any more must have been replaced by then. */
const HALF_OPEN_MS = 30_000;
const HELD = 8;
const BACK = 'the API server answers again';
const FLAGS = ['--hostname-override=robot', '--v=4'];

/** Nobody changes it. */
const ECHO: ServiceOptions = {
  name: 'echo',
  clusterIPs: ['10.96.0.10'],
  ports: [
    { name: 'tcp', protocol: 'TCP', port: 7000 },
    { name: 'udp', protocol: 'UDP', port: 7000 },
  ],
};
const web = (name: string, clusterIP: string, port = 80): ServiceOptions => ({
  name,
  clusterIPs: [clusterIP],
  ports: [{ port, targetPort: 8080 }],
});
const SCALED = web('scaled', '10.96.0.11');
const GONE = web('gone', '10.96.0.12');
const MOVED = web('moved', '10.96.0.13');
const CREATED = web('created', '10.96.0.14');

t.setTimeout(0);

/** Connections and flows that were opened before, and new ones, all to the Service that nobody changes. */
class Traffic {
  readonly #client: Pod;
  readonly #held: readonly HeldConnections[];

  constructor(client: Pod) {
    this.#client = client;
    const hold = { address: item(ECHO.clusterIPs, 0), port: 7000, connections: HELD };
    this.#held = [
      HeldConnections.open(client, hold),
      HeldConnections.open(client, { ...hold, protocol: 'UDP' }),
    ];
  }

  /** Every conversation goes on, and new ones begin. */
  async check(t: Test, when: string): Promise<void> {
    const to = { address: item(ECHO.clusterIPs, 0), port: 7000 };
    const fresh = askEach(this.#client, [
      { what: 'tcp', ...to, send: 'new' },
      { what: 'udp', ...to, payload: 'new' },
    ]);
    for (const held of this.#held) {
      t.match(await held.round(), { answered: HELD, errors: [] }, `${when}: what is open goes on`);
    }
    t.match(await fresh, [[{ text: 'new' }], [{ answers: ['new'] }]], `${when}: new clients are served`);
  }
}

function describePortal({ service, vips, endpoints }: PortalStatus): string {
  return `${service} ${vips.map(({ address, port }) => `${address}:${port}`)} -> ${endpoints}`;
}

/** The Services of the test as they are served: exactly these, wherever they lead to. */
function servedAs(services: readonly (readonly [ServiceOptions, readonly Pod[]])[]): string[] {
  return services.flatMap(([{ name, clusterIPs, ports }, pods]) =>
    ports.map(
      ({ port, targetPort = port }) =>
        `default/${name} ${clusterIPs[0]}:${port} -> ${pods.map(({ address4 }) => `${address4}:${targetPort}`)}`,
    ),
  );
}

async function prepare(t: Test) {
  const lab = await Lab.forTest(t, { pods: ['client', 'a', 'b'] });
  const pods = [lab.pod('a'), lab.pod('b')] as const;
  for (const pod of pods) {
    await startBackend(pod, { tcp: { 8080: 'http', 7000: 'echo' }, udp: { 7000: 'echo' } });
  }
  const api = await ApiServer.forTest(t, lab.node);
  await api.apply(
    NODE,
    ...serviceWithPods(ECHO, pods),
    ...[SCALED, GONE, MOVED].flatMap((options) => serviceWithPods(options, [pods[0]])),
  );
  const kubeconfig = await api.proxyKubeconfig();
  const kubePortal = await KubePortal.forTest(t, lab.node, { kubeconfig, flags: FLAGS });
  const served = async () =>
    (await kubePortal.status()).portals
      .filter(({ service }) => service !== 'default/kubernetes')
      .map(describePortal)
      .sort()
      .join('\n');
  const becomes = (services: Parameters<typeof servedAs>[0], what: string, timeoutMs?: number) => {
    const expected = servedAs(services).sort().join('\n');
    return kubePortal.until(async () => (await served()) === expected, what, timeoutMs);
  };
  return { lab, pods, api, kubePortal, becomes };
}

t.test('an API server that cannot be seen takes nothing along, and no change is lost', async (t) => {
  const { lab, pods, api, kubePortal, becomes } = await prepare(t);
  const [a, b] = pods;
  const { node } = lab;
  const connections = async () => {
    const { pid } = kubePortal.program;
    const list = await node.must('ss', ['-Htnp', 'state', 'established', 'dport', '=', ':6443']);
    const own = list.split('\n').filter((line) => line.includes(`pid=${pid},`));
    return own.map((line) => /:(\d+)\s+127\.0\.0\.1:6443/.exec(line)?.[1] ?? line);
  };
  const traffic = new Traffic(lab.pod('client'));
  /** The last state that the proxy sees before the API server is killed. */
  const seen = [
    [ECHO, pods],
    [SCALED, pods],
    [GONE, [a]],
    [MOVED, [a]],
  ] as const;
  await becomes(
    [
      [ECHO, pods],
      [SCALED, [a]],
      [GONE, [a]],
      [MOVED, [a]],
    ],
    'all is served',
  );
  await traffic.check(t, 'before');

  t.comment('packets of the connections to the API server are dropped');
  const halfOpen = await connections();
  t.equal(halfOpen.length, 3, 'three watches');
  const rules = halfOpen.flatMap((port) => [
    `-A INPUT -p tcp --sport ${port} --dport 6443 -j DROP`,
    `-A INPUT -p tcp --sport 6443 --dport ${port} -j DROP`,
  ]);
  const input = ['*filter', ...rules, 'COMMIT', ''].join('\n');
  await node.must('iptables-restore', ['--noflush', '-w', '10'], { input });
  const dropped = performance.now();
  await api.apply(endpointSlice(SCALED, 'IPv4', pods));
  await traffic.check(t, 'half-open');
  await becomes(
    seen,
    'a change behind the back of half-open connections',
    HALF_OPEN_MS - (performance.now() - dropped),
  );
  t.comment(`a change made behind its back was seen after ${seconds(performance.now() - dropped)} s`);
  await kubePortal.until(async () => (await connections()).length === 3, 'three watches again');
  t.same(
    (await connections()).filter((port) => halfOpen.includes(port)),
    [],
    'on connections of their own',
  );

  t.comment('the API server is killed');
  const version = JSON.parse(await api.kubectl(['get', '--raw=/api/v1/services?limit=1'])) as {
    metadata: { resourceVersion: string };
  };
  const earlier = kubePortal.log.length;
  const toldOfIt = () =>
    kubePortal.log
      .slice(earlier)
      .map(({ msg }) => msg)
      .filter((msg) => msg.startsWith('the API server'));
  await api.kill();
  const killed = performance.now();
  const changed = (async () => {
    await api.start(OTHER_PORT);
    await api.apply(
      endpointSlice(SCALED, 'IPv4', [b]),
      ...serviceWithPods(CREATED, [b]),
      ...serviceWithPods({ ...MOVED, ports: [{ port: 81, targetPort: 8080 }] }, [a]),
    );
    await api.kubectl(['delete', 'service', 'gone']);
    await api.compact();
    await api.kill();
  })();
  await kubePortal.waitForLog(({ msg }) => /does not answer/.test(msg));
  while (performance.now() - killed < OUTAGE_MS) {
    await traffic.check(t, `after ${seconds(performance.now() - killed)} s`);
    await sleep(5_000);
  }
  t.equal(await kubePortal.healthz(), 200);
  await changed;
  await becomes(seen, 'nothing has changed');

  const isBack = async () => {
    await api.firstAnswer();
    const answered = performance.now();
    await kubePortal.until(async () => toldOfIt().at(-1) === BACK, 'all that it follows is answered');
    t.comment(`followed again ${(performance.now() - answered).toFixed(0)} ms after its first answer`);
  };
  await Promise.all([isBack(), api.start()]);
  const watch = `/api/v1/services?watch=1&timeoutSeconds=1&resourceVersion=${version.metadata.resourceVersion}`;
  t.match(await api.kubectl(['get', `--raw=${watch}`]), '"code":410', 'the version it had is forgotten');
  await becomes(
    [
      [ECHO, pods],
      [SCALED, [b]],
      [CREATED, [b]],
      [{ ...MOVED, ports: [{ port: 81, targetPort: 8080 }] }, [a]],
    ],
    'what changed meanwhile, and nothing else',
  );
  t.match([toldOfIt()[0], toldOfIt().at(-1)], [/does not answer/, BACK], 'told in this order');
  t.equal((await connections()).length, 3, 'three watches once more');
  t.comment(`served ${seconds(performance.now() - killed)} s after the kill`);
  await traffic.check(t, 'afterwards');
  const { counters } = await kubePortal.status();
  const moved = counters.filter(({ service }) => service === 'default/echo').map((each) => each.flowsMoved);
  t.same(moved, [0, 0], 'no flow had to move');
});

function seconds(ms: number): string {
  return (ms / 1000).toFixed(0);
}
