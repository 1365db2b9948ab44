import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { Protocol } from '../../lib/net/protocol.js';
import { startBackend } from '../lab/backend.js';
import { bothCarriers } from '../lab/carriers.js';
import { HeldConnections } from '../lab/client.js';
import type { Host } from '../lab/host.js';
import { item } from '../lab/items.js';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab, NODE_UPLINK } from '../lab/lab.js';
import { type ServiceOptions, serviceWithPods } from '../lab/manifest.js';
import type { Program } from '../lab/program.js';
import { nameIn, type Tally, tallies } from '../lab/tally.js';

t.setTimeout(0);
t.jobs = 2;

const WEB_VIPS = ['10.96.0.10', 'fd00:96::10'];
const OTHER_VIPS = ['10.96.0.11', 'fd00:96::11'];
const NODE_ADDRESSES = [NODE_UPLINK.address4, NODE_UPLINK.address6];
const PROTOCOLS = ['TCP', 'UDP'] as const;
const RANGE = '--proxy-port-range=20000-20099';

interface Place {
  readonly protocol: Protocol;
  readonly address: string;
  readonly port: number;
}

/** A port of both protocols. */
function bothOf(port: number, nodePort?: number): ServiceOptions['ports'] {
  return PROTOCOLS.map((protocol) => ({
    name: protocol.toLowerCase(),
    protocol,
    port,
    targetPort: 8080,
    ...(nodePort !== undefined && { nodePort }),
  }));
}

/** Service web, which pod a serves, and Service other, which pod b serves. */
async function setUp(t: Test) {
  const lab = await Lab.forTest(t, { pods: ['client', 'a', 'b'] });
  for (const name of ['a', 'b']) {
    await startBackend(lab.pod(name), { tcp: { 8080: 'name' }, udp: { 8080: 'name' } });
  }
  return {
    lab,
    client: lab.pod('client'),
    web: (options: Partial<ServiceOptions> = {}) =>
      serviceWithPods({ name: 'web', clusterIPs: WEB_VIPS, ports: bothOf(80), ...options }, [lab.pod('a')]),
    other: (options: Partial<ServiceOptions> = {}) =>
      serviceWithPods({ name: 'other', clusterIPs: OTHER_VIPS, ports: bothOf(80), ...options }, [
        lab.pod('b'),
      ]),
  };
}

const placesOf = (addresses: readonly string[], port: number): Place[] =>
  addresses.flatMap((address) => PROTOCOLS.map((protocol) => ({ protocol, address, port })));

/** Asks each place ten times: a port that two share would be seen. */
async function areServedBy(t: Test, name: string, host: Host, places: readonly Place[]): Promise<void> {
  const results = await tallies(
    host,
    places.map((place) => ({ ...place, times: 10 })),
  );
  for (const [i, { protocol, address, port }] of places.entries()) {
    t.same(results[i], { [name]: 10 }, `${protocol} ${address} ${port} from ${host.name}`);
  }
}

const isServed = async (host: Host, places: readonly Place[]): Promise<boolean> =>
  (
    await tallies(
      host,
      places.map((place) => ({ ...place, times: 1 })),
    )
  ).every((tally: Tally) => tally.a === 1 || tally.b === 1);

async function proxyPortsOf(kubePortal: KubePortal, service: string): Promise<number[]> {
  const { portals } = await kubePortal.status();
  return portals.filter((portal) => portal.service === service).map(({ proxyPort }) => proxyPort as number);
}

const complaintsOf = (kubePortal: KubePortal): string[] =>
  kubePortal.log.filter(({ level }) => level >= 40).map(({ msg }) => msg);

for (const workers of [1, 2]) {
  const flags = ['--redirect=iptables', `--workers=${workers}`, RANGE];

  bothCarriers(`a proxy port yields to a later NodePort, ${workers} workers`, async (t, carrier) => {
    const { lab, client, web, other } = await setUp(t);
    const kubePortal = await KubePortal.forTest(t, lab.node, { objects: web(), flags: [...flags, carrier] });
    const numbers = await proxyPortsOf(kubePortal, 'default/web');
    const number = item(numbers, 0);
    t.same(numbers, [number, number, number, number], 'both protocols and families have one number');
    const held = PROTOCOLS.map((protocol) =>
      HeldConnections.open(client, {
        protocol,
        address: item(WEB_VIPS, 0),
        port: 80,
        connections: 20,
        listAnswers: true,
      }),
    );
    for (const clients of held) t.equal((await clients.round()).answered, 20);

    kubePortal.setManifest([...web(), ...other({ ports: bothOf(80, number) })]);
    const nodePorts = placesOf(NODE_ADDRESSES, number);
    await kubePortal.until(() => isServed(lab.outside, nodePorts), 'the NodePort is served');
    await areServedBy(t, 'b', lab.outside, nodePorts);
    await areServedBy(t, 'a', client, placesOf(WEB_VIPS, 80));
    await areServedBy(t, 'b', client, placesOf(OTHER_VIPS, 80));
    for (const clients of held) {
      const { answers = [], errors } = await clients.round();
      t.same([...new Set(answers.map(nameIn))], ['a'], 'open connections and flows stay where they are');
      t.same(errors, []);
      await clients.close();
    }
    t.notOk((await proxyPortsOf(kubePortal, 'default/web')).includes(number));
    t.notOk((await proxyPortsOf(kubePortal, 'default/other')).includes(number));
    t.same(complaintsOf(kubePortal), []);
  });

  bothCarriers(`a remembered proxy port yields after a restart, ${workers} workers`, async (t, carrier) => {
    const { lab, client, web, other } = await setUp(t);
    const kubePortal = await KubePortal.forTest(t, lab.node, { objects: web(), flags: [...flags, carrier] });
    const number = item(await proxyPortsOf(kubePortal, 'default/web'), 0);
    const [udp] = [
      HeldConnections.open(client, {
        protocol: 'UDP',
        address: item(WEB_VIPS, 0),
        port: 80,
        connections: 20,
        listAnswers: true,
      }),
    ];
    await udp.round();
    await kubePortal.kill9();
    kubePortal.setManifest([...other({ ports: bothOf(80, number) }), ...web()]);
    let isReady = false;
    const started = kubePortal.startAgain().finally(() => {
      isReady = true;
    });
    const met = new Set<string>();
    while (!isReady) {
      const places = placesOf(WEB_VIPS, 80).map((place) => ({ ...place, times: 5 }));
      for (const tally of await tallies(client, places)) for (const name of Object.keys(tally)) met.add(name);
    }
    await started;
    t.notOk(met.has('b'), 'no client meets a stranger at any time');
    await areServedBy(t, 'b', lab.outside, placesOf(NODE_ADDRESSES, number));
    await areServedBy(t, 'a', client, placesOf(WEB_VIPS, 80));
    const { answers = [] } = await udp.round();
    t.same([...new Set(answers.map(nameIn))], ['a'], 'flows too');
    await udp.close();
    t.same(complaintsOf(kubePortal), []);
  });
}

t.test('proxy ports yield to the ports that the program answers on itself', async (t) => {
  const { lab, client, web, other } = await setUp(t);
  const flags = ['--redirect=iptables', '--workers=2', '--proxy-port-range=10240-10259'];
  const kubePortal = await KubePortal.forTest(t, lab.node, { objects: [...web(), ...other()], flags });
  const numbers = await proxyPortsOf(kubePortal, 'default/web');
  const spec = { externalTrafficPolicy: 'Local', healthCheckNodePort: numbers[0] };
  kubePortal.setManifest([...web(), ...other({ ingressIPs: ['203.0.113.9'], spec })]);
  const isHealthChecked = async () => {
    const url = `http://127.0.0.1:${numbers[0]}/`;
    return (await lab.node.exec('curl', ['-s', '--max-time', '5', url])).stdout.includes('"name":"other"');
  };
  await kubePortal.until(isHealthChecked, 'the health check answers');
  await areServedBy(t, 'a', client, placesOf(WEB_VIPS, 80));
  const { portals } = await kubePortal.status();
  for (const { protocol, proxyPort } of portals) {
    if (protocol === 'TCP')
      t.notOk([10_249, 10_256, numbers[0]].includes(proxyPort as number), `${proxyPort}`);
  }
  t.same(complaintsOf(kubePortal), []);
});

t.test('if no other proxy port is free, the NodePort waits and says why', async (t) => {
  const { lab, client, web, other } = await setUp(t);
  const flags = ['--redirect=iptables', '--proxy-port-range=20000-20000', '--iptables-sync-period=1s'];
  const kubePortal = await KubePortal.forTest(t, lab.node, { objects: web(), flags });
  kubePortal.setManifest([...web(), ...other({ ports: bothOf(80, 20_000) })]);
  const said = await kubePortal.waitForLog(({ msg }) => /^NodePort/.test(msg));
  t.match(
    said.msg,
    /^NodePort \S+:20000\/\S+ is still the proxy port of default\/web:\S+, .* wider --proxy-port-range; trying again$/,
  );
  await areServedBy(t, 'a', client, placesOf(WEB_VIPS, 80));
  kubePortal.setManifest(other({ ports: bothOf(80, 20_000) }));
  await kubePortal.until(() => isServed(lab.outside, placesOf(NODE_ADDRESSES, 20_000)), 'it is served then');
  await areServedBy(t, 'b', lab.outside, placesOf(NODE_ADDRESSES, 20_000));
});

const directory = mkdtempSync(join(tmpdir(), 'kube-portal-ports-'));
t.teardown(() => rmSync(directory, { recursive: true }));

/** HAProxy sets SO_REUSEPORT on its listeners. It answers every request with its name. */
function launchHaproxy(node: Host, bind: string): Program {
  const file = join(mkdtempSync(join(directory, 'haproxy-')), 'haproxy.cfg');
  writeFileSync(
    file,
    `defaults
       mode http
       timeout client 5s
     frontend all
       bind ${bind}
       http-request return status 200 content-type text/plain string haproxy\n`,
  );
  return node.spawn('haproxy', ['-db', '-f', file]);
}

const isHaproxy = async (host: Host, authority: string): Promise<boolean> =>
  (await host.exec('curl', ['-s', '--max-time', '5', `http://${authority}/`])).stdout === 'haproxy';

/** Holds a UDP port, and lets others of its user share it. */
const launchUdp = (node: Host, port: number): Program =>
  node.spawn('socat', ['-u', '-dd', `UDP4-RECV:${port},reuseport`, 'OPEN:/dev/null']);

for (const { redirect, workers } of [
  { redirect: 'iptables', workers: 1 },
  { redirect: 'iptables', workers: 2 },
  { redirect: 'address', workers: 2 },
] as const) {
  t.test(`no other program shares a NodePort: ${redirect}, ${workers} workers`, async (t) => {
    const { lab, other } = await setUp(t);
    const flags = [`--redirect=${redirect}`, `--workers=${workers}`, '--iptables-sync-period=1s'];
    const haproxy = launchHaproxy(lab.node, '0.0.0.0:30080');
    const socat = launchUdp(lab.node, 30_080);
    await socat.waitForOutput(/starting data transfer/);
    while (!(await isHaproxy(lab.node, '127.0.0.1:30080')))
      if (!haproxy.running) throw new Error(haproxy.stderr);
    const objects = other({ clusterIPs: OTHER_VIPS.slice(0, 1), ports: bothOf(80, 30_080) });
    const kubePortal = await KubePortal.forTest(t, lab.node, { objects, flags });
    for (const protocol of PROTOCOLS) {
      const message = `NodePort 0.0.0.0:30080/${protocol} is taken by another program`;
      t.equal(complaintsOf(kubePortal).filter((said) => said.startsWith(message)).length, 1, message);
    }
    for (let i = 0; i < 10; i++) t.ok(await isHaproxy(lab.outside, `${NODE_UPLINK.address4}:30080`));
    await haproxy.stop('SIGKILL');
    await socat.stop('SIGKILL');
    const places = placesOf([NODE_UPLINK.address4], 30_080);
    await kubePortal.until(() => isServed(lab.outside, places), 'it is served once it is free');

    t.not((await launchHaproxy(lab.node, '0.0.0.0:30080').finish()).code, 0, 'who comes later is refused');
    t.not((await launchUdp(lab.node, 30_080).finish()).code, 0);
    await areServedBy(t, 'b', lab.outside, places);
  });
}

for (const workers of [1, 2]) {
  for (const affinity of [false, true]) {
    t.test(`VIP ports may be NodePorts too, ${workers} workers${affinity ? ', affinity' : ''}`, async (t) => {
      const { lab, client, web, other } = await setUp(t);
      const flags = ['--redirect=address', `--workers=${workers}`];
      // Each Service has its own NodePort for its port, and that of the other one.
      const objects = [
        ...web({ affinity, ports: [...bothOf(30_080, 30_080), ...renamed(bothOf(30_081, 30_091))] }),
        ...other({ affinity, ports: [...bothOf(30_080, 30_090), ...renamed(bothOf(30_081, 30_081))] }),
      ];
      const kubePortal = await KubePortal.forTest(t, lab.node, { objects, flags });
      for (const host of [client, lab.node]) {
        await areServedBy(t, 'a', host, [...placesOf(WEB_VIPS, 30_080), ...placesOf(WEB_VIPS, 30_081)]);
        await areServedBy(t, 'b', host, [...placesOf(OTHER_VIPS, 30_080), ...placesOf(OTHER_VIPS, 30_081)]);
      }
      await areServedBy(t, 'a', lab.outside, placesOf(NODE_ADDRESSES, 30_080));
      await areServedBy(t, 'b', lab.outside, placesOf(NODE_ADDRESSES, 30_081));
      t.same(complaintsOf(kubePortal), []);

      // A VIP that comes after the NodePort, and a NodePort that comes after the VIP.
      kubePortal.setManifest(other({ ports: bothOf(30_080) }));
      await kubePortal.until(async () => (await kubePortal.status()).portals.length === 4, 'web has gone');
      kubePortal.setManifest([
        ...web({ ports: bothOf(30_081, 30_080) }),
        ...other({ ports: bothOf(30_080) }),
      ]);
      await kubePortal.until(
        () => isServed(lab.outside, placesOf(NODE_ADDRESSES, 30_080)),
        'the NodePort is back',
      );
      kubePortal.setManifest([
        ...web({ ports: bothOf(30_081, 30_080) }),
        ...other({ ports: bothOf(30_080).concat(renamed(bothOf(30_082))) }),
      ]);
      await kubePortal.until(() => isServed(client, placesOf(OTHER_VIPS, 30_082)), 'another VIP port');
      await areServedBy(t, 'a', lab.outside, placesOf(NODE_ADDRESSES, 30_080));
      await areServedBy(t, 'b', client, placesOf(OTHER_VIPS, 30_080));
      t.same(complaintsOf(kubePortal), []);
    });
  }
}

function renamed(ports: ServiceOptions['ports']): ServiceOptions['ports'] {
  return ports.map((port) => ({ ...port, name: `${port.name}2` }));
}

t.test('a VIP port that another program has is reported, and served once it is free', async (t) => {
  const { lab, client, web, other } = await setUp(t);
  const flags = ['--redirect=address', '--workers=2', '--iptables-sync-period=1s'];
  const holder = lab.node.spawn('socat', ['-dd', 'TCP-LISTEN:80,fork', 'EXEC:cat']);
  await holder.waitForOutput(/listening on/);
  const objects = [...web(), ...other({ ports: bothOf(8000) })];
  const kubePortal = await KubePortal.forTest(t, lab.node, { objects, flags });
  const web4 = async () =>
    (await kubePortal.status()).portals.find(({ key }) => key === 'default/web:tcp/TCP/IPv4')!;
  t.match(await web4(), {
    state: 'taken',
    problems: [/^VIP 10\.96\.0\.10:80\/TCP is taken by another program; stop it .*; trying again$/],
  });
  await areServedBy(t, 'b', client, placesOf(OTHER_VIPS, 8000));
  await holder.stop('SIGKILL');
  await kubePortal.until(
    () => isServed(client, placesOf(WEB_VIPS, 80)),
    'it is served once the port is free',
  );
  t.match(await web4(), { state: 'serving', problems: [] });
});

t.test('a VIP that is taken does not stop the other VIPs of its Service', async (t) => {
  const { lab, client, web } = await setUp(t);
  const flags = ['--redirect=address', '--workers=1', '--iptables-sync-period=1s'];
  const external = NODE_UPLINK.address4;
  const holder = lab.node.spawn('socat', ['-dd', `TCP-LISTEN:80,bind=${external},fork`, 'EXEC:cat']);
  await holder.waitForOutput(/listening on/);
  const kubePortal = await KubePortal.forTest(t, lab.node, {
    objects: web({ externalIPs: [external] }),
    flags,
  });
  await areServedBy(t, 'a', client, placesOf(WEB_VIPS, 80));
  const web4 = async () =>
    (await kubePortal.status()).portals.find(({ key }) => key === 'default/web:tcp/TCP/IPv4')!;
  t.match(await web4(), {
    state: 'serving',
    problems: [/^VIP 192\.0\.2\.1:80\/TCP is taken by another program/],
  });
  await holder.stop('SIGKILL');
  await kubePortal.until(
    () => isServed(client, placesOf([external], 80)),
    'it is served once the port is free',
  );
  t.match(await web4(), { state: 'serving', problems: [] });
});

t.test('a NodePort that is a port of kube-portal itself is reported as such', async (t) => {
  const { lab, client, other } = await setUp(t);
  const objects = other({ ports: bothOf(80, 10_256) });
  const kubePortal = await KubePortal.forTest(t, lab.node, { objects, flags: ['--redirect=iptables'] });
  t.match(complaintsOf(kubePortal), [
    /^NodePort 0\.0\.0\.0:10256\/TCP is a port of kube-portal itself; change .*--healthz-bind-address/,
  ]);
  await areServedBy(t, 'b', client, placesOf(OTHER_VIPS, 80));
});

t.test('a VIP port that another program shares has two owners with one address each', async (t) => {
  const { lab, client, web } = await setUp(t);
  const flags = ['--redirect=address', '--workers=2'];
  const first = launchHaproxy(lab.node, '0.0.0.0:80');
  while (!(await isHaproxy(lab.node, '127.0.0.1'))) if (!first.running) throw new Error(first.stderr);
  const kubePortal = await KubePortal.forTest(t, lab.node, { objects: web(), flags });
  const check = async (t: Test) => {
    await areServedBy(t, 'a', client, placesOf(WEB_VIPS, 80));
    for (let i = 0; i < 5; i++) t.ok(await isHaproxy(lab.outside, NODE_UPLINK.address4));
  };
  await t.test('when it comes first', check);
  await first.stop('SIGKILL');
  launchHaproxy(lab.node, '0.0.0.0:80');
  await kubePortal.until(() => isHaproxy(lab.node, '127.0.0.1'), 'it starts again');
  await t.test('when it comes later', check);
  t.same(complaintsOf(kubePortal), []);
});
