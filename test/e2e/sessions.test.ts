import t from 'tap';
import { startBackend } from '../lab/backend.js';
import { HeldConnections } from '../lab/client.js';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab } from '../lab/lab.js';
import { type ServiceOptions, serviceWithPods } from '../lab/manifest.js';

const ECHO: ServiceOptions = {
  name: 'echo',
  clusterIPs: ['10.96.0.7', 'fd00:96::7'],
  ports: [
    { name: 'tcp', protocol: 'TCP', port: 7 },
    { name: 'udp', protocol: 'UDP', port: 7 },
  ],
};
const OTHER: ServiceOptions = { ...ECHO, name: 'other', clusterIPs: ['10.96.0.8'] };
/** More than a worker looks at for one page. */
const MANY = 2500;

t.setTimeout(0);

t.test('open connections and flows are listed with their endpoints', async (t) => {
  const lab = await Lab.forTest(t, { pods: ['client', 'neighbour', 'a', 'b'] });
  const pods = [lab.pod('a'), lab.pod('b')];
  for (const pod of pods) await startBackend(pod, { tcp: { 7: 'echo' }, udp: { 7: 'echo' } });
  const [client, neighbour] = [lab.pod('client'), lab.pod('neighbour')];
  const kubePortal = await KubePortal.forTest(t, lab.node, {
    objects: [...serviceWithPods(ECHO, pods), ...serviceWithPods(OTHER, [lab.pod('a')])],
    flags: ['--redirect=iptables', '--workers=2'],
  });
  t.same(await kubePortal.sessions(), { sessions: [], endpoints: [], total: 0 });

  const held = [
    HeldConnections.open(client, { address: '10.96.0.7', port: 7, connections: 4 }),
    HeldConnections.open(client, { address: 'fd00:96::7', port: 7, protocol: 'UDP', connections: 2 }),
    HeldConnections.open(neighbour, { address: '10.96.0.8', port: 7, connections: 1 }),
  ];
  for (const each of held) await each.round();

  const all = await kubePortal.sessions();
  t.equal(all.total, 7);
  const tcp = all.sessions.filter(({ portal }) => portal === 'default/echo:tcp/TCP/IPv4');
  t.equal(tcp.length, 4);
  for (const { client: from, state, idleMs } of tcp) {
    t.match(from, new RegExp(`^${client.address4}:\\d+$`));
    t.equal(state, 'open');
    t.ok(idleMs !== null && idleMs >= 0);
  }
  t.equal(new Set(tcp.map(({ client: from }) => from)).size, 4, 'each with its own port');
  t.same(
    all.endpoints
      .filter(({ portal }) => portal === 'default/echo:tcp/TCP/IPv4')
      .map(({ sessions }) => sessions),
    [2, 2],
    'both endpoints have their share, in whatever worker',
  );
  const udp = all.sessions.filter(({ portal }) => portal === 'default/echo:udp/UDP/IPv6');
  t.same(
    udp.map(({ state }) => state),
    ['answered', 'answered'],
  );
  for (const { client: from } of udp) t.match(from, `[${client.address6}]:`);

  t.equal((await kubePortal.sessions(`client=${neighbour.address4}`)).total, 1);
  t.equal((await kubePortal.sessions('service=default/other')).total, 1);
  t.equal((await kubePortal.sessions('service=default/echo')).total, 6);
  const counted = await kubePortal.sessions('limit=0&service=default/other');
  t.same(counted, {
    sessions: [],
    endpoints: [
      { portal: 'default/other:tcp/TCP/IPv4', endpoint: `${lab.pod('a').address4}:7`, sessions: 1 },
    ],
    total: 1,
  });

  const command = (...flags: string[]) =>
    lab.node.exec(process.execPath, ['bin/kube-portal', 'sessions', ...flags]);
  t.match(
    (await command(`--client=${neighbour.address4}`)).stdout,
    /^default\/other:tcp\/TCP\/IPv4 .* open /m,
  );
  const refused = await command('--service=other');
  t.equal(refused.code, 2);
  t.match(refused.stderr, 'error: --service: "other" is not the namespace/name of a Service');

  const crowd = HeldConnections.open(client, { address: '10.96.0.7', port: 7, connections: MANY });
  t.equal((await crowd.round()).answered, MANY);
  const listed = await kubePortal.sessions('limit=100000');
  t.equal(listed.total, MANY + 7, 'page after page');
  t.equal(new Set(listed.sessions.map(({ portal, client: from }) => `${portal} ${from}`)).size, MANY + 7);
  t.equal((await kubePortal.sessions()).sessions.length, 1000, 'a thousand unless more are asked for');

  for (const each of [...held, crowd]) await each.close();
  await kubePortal.until(
    async () => (await kubePortal.sessions()).sessions.every(({ portal }) => portal?.includes('UDP')),
    'closed connections are no longer listed',
  );
});
