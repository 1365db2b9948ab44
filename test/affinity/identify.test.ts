import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { startDiscoveryServer } from '../lab/fastdds.js';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab, type Pod } from '../lab/lab.js';
import { type PortOptions, serviceWithPods } from '../lab/manifest.js';
import { startNginx } from '../lab/servers.js';
import { NAMES, resultOfRun, runTester, VIP } from './stage.js';

t.setTimeout(0);

const NAME_SERVER = fileURLToPath(new URL('nameserver-program.js', import.meta.url));

/** Three pods with a server in each, behind a Service with affinity. */
async function serve(
  t: Test,
  ports: readonly PortOptions[],
  start: (pod: Pod, index: number) => Promise<unknown>,
): Promise<Lab> {
  const lab = await Lab.forTest(t, { pods: NAMES });
  const pods = NAMES.map((name) => lab.pod(name));
  await Promise.all(pods.map(start));
  const objects = serviceWithPods({ name: 'x', clusterIPs: [VIP], ports, affinity: true }, pods);
  await KubePortal.forTest(t, lab.node, { objects, flags: ['--redirect', 'address'] });
  return lab;
}

const run = (ports: string, ...more: readonly string[]) => [
  ...[VIP, '--ports', ports, '--clients', '198.18.0.0/28', '--rounds', '3'],
  ...more,
];

async function isListening(pod: Pod, flag: '-tln' | '-uln', port: number): Promise<void> {
  while (!(await pod.must('ss', [flag])).includes(`:${port} `));
}

t.test('http: nginx with a header field, with a page, and without any name', async (t) => {
  const directory = t.testdir();
  const lab = await serve(t, [{ port: 80 }], (pod) =>
    startNginx(
      pod,
      directory,
      'location = /field { add_header X-Served-By $hostname-$server_addr; return 204; }',
    ),
  );
  const page = await resultOfRun(lab.node, run('80/tcp', '--http-path', '/name'));
  t.match(page.result, { backends: NAMES, asked: { ports: [{ identify: 'http' }] } });
  t.match(page.result.verdict, { outcome: 'as expected' });
  const field = await resultOfRun(lab.node, run('80/tcp', '--http-path', '/field', '--identify', 'http'));
  t.equal(field.result.backends.length, 3);
  t.match(field.result.backends[0], /-10\.244\.0\.\d$/);
  const nothing = await runTester(lab.node, run('80/tcp'));
  t.equal(nothing.code, 3);
  t.match(nothing.stderr, /http: no name in the answer/);
});

const MAIL_PORTS = [
  { name: 'smtp', port: 25 },
  { name: 'other', port: 2525 },
];

t.test('banner: a server that speaks first', async (t) => {
  const lab = await serve(t, MAIL_PORTS, async (pod) => {
    for (const port of [25, 2525])
      pod.spawn('socat', [
        `TCP-LISTEN:${port},fork,reuseaddr`,
        `SYSTEM:"echo 220 ${pod.name} ESMTP; sleep 5"`,
      ]);
    await isListening(pod, '-tln', 25);
    await isListening(pod, '-tln', 2525);
  });
  const { result } = await resultOfRun(lab.node, run('25/tcp', '--identify', 'banner'));
  t.same(
    result.backends,
    NAMES.map((name) => `220 ${name} ESMTP`),
  );
  t.match(result.verdict, { outcome: 'as expected' });
  const auto = await resultOfRun(lab.node, run('2525/tcp'));
  t.match(auto.result.asked.ports, [{ identify: 'banner' }]);
});

t.test('dns: the identifier of a name server, over both protocols', async (t) => {
  const ports = [
    { port: 53, name: 'udp', protocol: 'UDP' },
    { port: 53, name: 'tcp', protocol: 'TCP' },
  ] as const;
  const lab = await serve(t, ports, async (pod) => {
    const server = pod.spawn(process.execPath, [NAME_SERVER, pod.name]);
    await server.waitForOutput(/^ready$/m);
  });
  const [first] = NAMES;
  const dig = ['+short', `@${lab.pod(first).address4}`, 'CH', 'TXT', 'id.server'];
  for (const transport of ['+notcp', '+tcp'])
    t.equal(
      await lab.node.must('dig', [transport, ...dig]),
      `"${first}"\n`,
      'the server of this test is one',
    );
  const { result } = await resultOfRun(lab.node, run('53/udp,53/tcp'));
  t.same(result.backends, NAMES);
  t.match(result.asked.ports, [{ identify: 'dns' }, { identify: 'dns' }]);
  t.match(result.verdict, { outcome: 'as expected' });
});

t.test('discovery-server: Fast DDS servers by their GUID prefixes', async (t) => {
  const lab = await serve(t, [{ port: 11_811, protocol: 'UDP' }], async (pod, index) => {
    startDiscoveryServer(pod, index);
    await isListening(pod, '-uln', 11_811);
  });
  const { result } = await resultOfRun(lab.node, run('11811/udp'));
  t.same(
    result.backends,
    [0, 1, 2].map((id) => `44530${id}5f4550524f53494d41`),
  );
  t.match(result.asked.ports, [{ identify: 'discovery-server' }]);
  t.match(result.verdict, { outcome: 'as expected' });
});
