import t from 'tap';
import { startBackend } from '../lab/backend.js';
import { HeldConnections } from '../lab/client.js';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab } from '../lab/lab.js';
import { type ServiceOptions, serviceWithPods } from '../lab/manifest.js';
import { count } from '../lab/tally.js';

t.setTimeout(0);

const ECHO: ServiceOptions = {
  name: 'echo',
  clusterIPs: ['10.96.0.7', 'fd00:96::7'],
  ports: [
    { name: 'tcp', protocol: 'TCP', port: 7 },
    { name: 'udp', protocol: 'UDP', port: 7 },
  ],
};
const RELAYED: ServiceOptions = {
  ...ECHO,
  name: 'relayed',
  clusterIPs: ['10.96.0.8'],
  annotations: { carrier: 'relay' },
};
/** More than the kernel shows at a time. */
const MANY = 1500;

t.test('sessions of both carriers are listed together', async (t) => {
  const lab = await Lab.forTest(t, { pods: ['client', 'neighbour', 'a', 'b'], link: 'point to point' });
  await lab.node.sysctl({ 'net/netfilter/nf_conntrack_acct': '1' });
  const pods = [lab.pod('a'), lab.pod('b')];
  for (const pod of pods) await startBackend(pod, { tcp: { 7: 'echo' }, udp: { 7: 'echo' } });
  const [client, neighbour] = [lab.pod('client'), lab.pod('neighbour')];
  const objects = (services: readonly ServiceOptions[]) =>
    services.flatMap((options) => serviceWithPods(options, pods));
  const kubePortal = await KubePortal.forTest(t, lab.node, {
    objects: objects([ECHO, RELAYED]),
    flags: ['--carrier=kernel', '--redirect=iptables', '--workers=2'],
  });
  t.same(await kubePortal.sessions(), { sessions: [], endpoints: [], total: 0 });

  const held = {
    tcp: HeldConnections.open(client, { address: '10.96.0.7', port: 7, connections: 4 }),
    udp: HeldConnections.open(client, { address: 'fd00:96::7', port: 7, protocol: 'UDP', connections: 3 }),
    relayed: HeldConnections.open(neighbour, { address: '10.96.0.8', port: 7, connections: 2 }),
  };
  for (const each of Object.values(held)) await each.round();

  const { sessions, endpoints, total } = await kubePortal.sessions();
  t.equal(total, 9, 'flows that a worker still remembers are listed once');
  t.same(count(sessions.map(({ portal, carrier, state }) => `${portal} ${carrier} ${state}`)), {
    'default/echo:tcp/TCP/IPv4 kernel open': 4,
    'default/echo:udp/UDP/IPv6 kernel answered': 3,
    'default/relayed:tcp/TCP/IPv4 relay open': 2,
  });
  for (const { portal, client: from, endpoint, carrier, idleMs, bytesIn, bytesOut } of sessions) {
    t.ok(idleMs !== null && idleMs >= 0 && idleMs < 60_000, `${portal} is idle for ${idleMs} ms`);
    if (carrier === 'relay') {
      t.same([bytesIn, bytesOut], [null, null]);
      continue;
    }
    t.match(from, portal?.includes('UDP') ? `[${client.address6}]:` : `${client.address4}:`);
    t.ok(pods.some(({ address4, address6 }) => [`${address4}:7`, `[${address6}]:7`].includes(`${endpoint}`)));
    // The first datagram of a flow is not in its entry.
    const atLeast = portal?.includes('UDP') ? 0 : 28;
    t.ok(
      bytesIn !== null && bytesIn >= atLeast && bytesOut !== null && bytesOut > 28,
      `${bytesIn} ${bytesOut}`,
    );
  }
  t.same(
    endpoints.filter(({ portal }) => portal?.includes('/TCP/')).map((load) => load.sessions),
    [1, 1, 2, 2],
    'each endpoint has its share',
  );
  await held.udp.round();
  for (const { state, bytesIn } of (await kubePortal.sessions(`client=${client.address6}`)).sessions) {
    t.equal(state, 'stream');
    t.ok(bytesIn !== null && bytesIn > 48, `${bytesIn}`);
  }

  t.equal((await kubePortal.sessions(`client=${neighbour.address4}`)).total, 2);
  t.equal((await kubePortal.sessions('service=default/echo')).total, 7);
  t.equal((await kubePortal.sessions('service=default/relayed')).total, 2);
  const short = await kubePortal.sessions('limit=3');
  t.same(count(short.sessions.map(({ carrier }) => carrier)), { relay: 2, kernel: 1 });
  t.equal(short.total, 9);
  const { stdout } = await lab.node.exec(process.execPath, ['bin/kube-portal', 'sessions']);
  t.match(stdout, /^PORTAL +CLIENT +ENDPOINT +CARRIER +STATE +IDLE +BYTES-IN +BYTES-OUT$/m);
  t.match(stdout, /^default\/echo:tcp\/TCP\/IPv4 .* kernel +open +\d+\.0s +\d+ +\d+$/m);
  t.match(stdout, /^default\/relayed:tcp\/TCP\/IPv4 .* relay +open +\d+\.\ds +- +-$/m);

  const crowd = HeldConnections.open(client, { address: '10.96.0.7', port: 7, connections: MANY });
  t.equal((await crowd.round()).answered, MANY);
  const all = await kubePortal.sessions('limit=100000');
  t.equal(all.total, MANY + 9);
  t.equal(new Set(all.sessions.map(({ portal, client: from }) => `${portal} ${from}`)).size, MANY + 9);
  await crowd.close();
  await kubePortal.until(
    async () => (await kubePortal.sessions('service=default/echo')).total === 7,
    'closed connections are gone from the list, although the kernel remembers them',
  );

  kubePortal.setManifest(objects([RELAYED]));
  await kubePortal.until(
    async () => (await kubePortal.status()).portals.every(({ service }) => service === 'default/relayed'),
    'the Service is gone',
  );
  t.equal((await held.tcp.round()).answered, 4, 'open connections of a removed Service go on');
  const left = (await kubePortal.sessions(`client=${client.address4}`)).sessions;
  t.same(
    left.map(({ portal, carrier }) => [portal, carrier]),
    Array.from({ length: 4 }, () => [null, 'kernel']),
  );
  for (const each of Object.values(held)) await each.close();
});
