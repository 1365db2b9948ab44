import t from 'tap';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab, type Pod } from '../lab/lab.js';
import { serviceWithPods } from '../lab/manifest.js';
import { PATIENCE_MS } from '../lab/program.js';
import { writeKubeProxyRules } from './kubeproxyrules.js';
import {
  CLIENTS,
  NAMES,
  PORT_LIST,
  PORTS,
  resultOfRun,
  runTester,
  stageFor,
  startTester,
  VIP,
} from './stage.js';

t.setTimeout(0);

const SERVICE = { name: 'robot', clusterIPs: [VIP], ports: PORTS, affinity: true };
const RUN = [VIP, '--ports', PORT_LIST, '--clients', CLIENTS];

/** Resolves once the node has a device and routes of clients, or once it has none any more. */
async function untilClients(lab: Lab, areThere: boolean): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const links = await lab.node.must('ip', ['-br', 'link']);
    const routes = await lab.node.must('ip', ['route']);
    if (/kpclients/.test(links) === areThere && /198\.18\./.test(routes) === areThere) return;
    if (Date.now() > deadline) throw new Error(`the node has:\n${links}${routes}`);
  }
}

t.test('nothing is left on the node, however the run ends', async (t) => {
  const { lab, pods } = await stageFor(t);
  await KubePortal.forTest(t, lab.node, {
    objects: serviceWithPods(SERVICE, pods),
    flags: ['--redirect', 'iptables'],
  });
  const rules = async () => await lab.node.must('iptables-save', ['-t', 'nat']);
  const before = (await rules()).replace(/^#.*\n|\[\d+:\d+\]/gm, '');
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGKILL'] as const) {
    const run = startTester(lab.node, [...RUN, '--rounds', '10000']);
    await untilClients(lab, true);
    t.equal(await run.stop(signal), signal === 'SIGKILL' ? null : 3, `exit code after ${signal}`);
    if (signal !== 'SIGKILL') t.match(run.stderr, `error: ended by ${signal}`);
    await untilClients(lab, false);
  }
  const run = startTester(lab.node, [...RUN, '--rounds', '2', '--during', 'echo begun; exec sleep 1000']);
  await run.waitForOutput(/^begun$/m);
  t.equal(await run.stop('SIGINT'), 3, 'the command is ended, too');
  t.equal((await runTester(lab.node, [...RUN, '--rounds', '2'])).code, 0);
  await untilClients(lab, false);
  t.equal((await rules()).replace(/^#.*\n|\[\d+:\d+\]/gm, ''), before, 'rules are as before');
});

t.test('the text has the matrix, the distribution and the verdict', async (t) => {
  const { lab, pods } = await stageFor(t);
  await KubePortal.forTest(t, lab.node, {
    objects: serviceWithPods(SERVICE, pods),
    flags: ['--redirect', 'address'],
  });
  const { code, stdout, stderr } = await runTester(lab.node, [...RUN, '--rounds', '2']);
  t.equal(code, 0);
  t.match(stdout, /^10\.96\.0\.10: 80\/tcp by http, 7410\/udp by echo, 7411\/udp by echo$/m);
  t.match(stdout, /^60 clients, 2 rounds, 3 backends, /m);
  t.match(stdout, /^CLIENT +80\/TCP +7410\/UDP +7411\/UDP$/m);
  t.match(stdout, /^198\.18\.\d\.\d+ +web-\d 2 +web-\d 2 +web-\d 2$/m);
  t.match(stdout, /^40 more clients; -o json has all$/m);
  t.match(stdout, /^web-0 +\d+ +20 +\d+ +120$/m);
  t.match(stdout, /\nas expected: expected ClientIP, found ClientIP\n$/);
  t.match(stderr, /^bringing up clients$/m, 'progress');
});

t.test('in a pod the client is the pod itself, and several pods are gathered', async (t) => {
  const { lab, pods } = await stageFor(t);
  await KubePortal.forTest(t, lab.node, {
    objects: serviceWithPods(SERVICE, pods),
    flags: ['--redirect', 'iptables'],
  });
  const clients = await Promise.all(['c-0', 'c-1', 'c-2', 'c-3'].map((name) => lab.addPod(name)));
  const alone = await resultOfRun(clients[0] as Pod, [VIP, '--ports', PORT_LIST]);
  t.equal(alone.code, 3);
  t.match(alone.result.verdict, {
    found: 'unknown',
    outcome: 'not measured',
    reasons: [/^Only web-\d answered/],
  });
  t.same(alone.result.asked.clients, [clients[0]?.address4]);

  const gathering = startTester(lab.node, ['gather', '--pods', '4', '-o', 'json']);
  const reports = await Promise.all(
    clients.map((pod) =>
      runTester(pod, [VIP, '--ports', PORT_LIST, '--report-to', `http://${lab.node.address4}:8080`]),
    ),
  );
  t.same(
    reports.map(({ code }) => code),
    [0, 0, 0, 0],
  );
  const { code, stdout } = await gathering.finish();
  const { asked, verdict, backends } = JSON.parse(stdout) as Awaited<
    ReturnType<typeof resultOfRun>
  >['result'];
  t.equal(code, 0);
  t.same(asked.clients, clients.map(({ address4 }) => address4).sort());
  t.same(backends, NAMES);
  t.match(verdict, { found: 'ClientIP', outcome: 'as expected' });
});

t.test('clients that do not report are missed after the time to wait', async (t) => {
  const lab = await Lab.forTest(t);
  const { code, stderr } = await runTester(lab.node, ['gather', '--pods', '2', '--wait', '200ms']);
  t.equal(code, 3);
  t.match(stderr, '2 of 2 clients have not reported within 0.2 s');
  t.match(stderr, 'error: no client has reported');
});

t.test('what keeps answers away is said', async (t) => {
  const { lab, pods } = await stageFor(t);
  const addresses = pods.map(({ address4 }) => address4);
  await writeKubeProxyRules(lab.node, { vip: VIP, ports: PORTS, pods: addresses, affinitySeconds: null });
  await lab.node.sysctl({ 'net/ipv4/ip_forward': '0' });
  const args = [VIP, '--ports', '80/tcp', '--clients', '198.18.0.1', '--patience', '200ms'];
  const { code, stderr } = await runTester(lab.node, args);
  t.equal(code, 3);
  t.match(stderr, /80\/tcp: no backend told its name \(http: no answer; echo: no answer;/);
  t.match(stderr, /net\.ipv4\.ip_forward is 0/);
});

t.test('a backend that tells no name, and a port where nobody answers, cannot be measured', async (t) => {
  const { lab } = await stageFor(t);
  const node = lab.node;
  node.spawn('socat', ['TCP-LISTEN:25,fork,reuseaddr', 'EXEC:"true"']);
  const silent = await runTester(node, [node.address4, '--ports', '9', '--rounds', '2']);
  t.equal(silent.code, 3);
  t.match(silent.stderr, /9\/tcp: no backend told its name \(http: ECONNREFUSED/);
});

t.test('client addresses need root', async (t) => {
  const { lab } = await stageFor(t);
  const [program = '', ...args] = ['setpriv', '--bounding-set=-all', '--inh-caps=-all', process.execPath];
  const { code, stderr } = await lab.node.exec(program, [...args, 'bin/kube-portal', 'affinity', ...RUN]);
  t.equal(code, 3);
  t.match(stderr, /client addresses need root \(CAP_SYS_ADMIN and CAP_NET_ADMIN\)/);
});

/** Sends to the addresses of clients all the time, whether there is a route to them or not. */
const SENDER = `
  const socket = require('node:dgram').createSocket('udp4');
  const burst = () => {
    for (let host = 1; host < 15; host++) socket.send('x', 9, '198.18.0.' + host, () => {});
    setImmediate(burst);
  };
  burst();`;

t.test('packets of the node to the addresses of clients are not in their way', async (t) => {
  const { lab, pods } = await stageFor(t);
  await KubePortal.forTest(t, lab.node, {
    objects: serviceWithPods(SERVICE, pods),
    flags: ['--redirect', 'iptables'],
  });
  const sender = lab.node.spawn(process.execPath, ['-e', SENDER]);
  for (let run = 1; run <= 2; run++) {
    const { code, stderr } = await runTester(lab.node, [...RUN, '--rounds', '2']);
    t.equal(code, 0, `run ${run}: ${stderr}`);
  }
  await sender.stop('SIGKILL');
});

t.test('an address that the node routes already is refused', async (t) => {
  const { lab } = await stageFor(t);
  await lab.node.ip('route add 198.18.0.1 dev bridge');
  const { code, stderr } = await runTester(lab.node, RUN);
  t.equal(code, 3);
  t.match(stderr, 'route 198.18.0.1: this node has it already; give client addresses that nobody uses');
});

t.test('wrong command lines end with exit code 2', async (t) => {
  const lab = await Lab.forTest(t);
  const table: [args: string[], message: RegExp][] = [
    [[], /missing required argument 'service'/],
    [[VIP], /--ports: say which ports to ask/],
    [[VIP, '--ports', '80/sctp'], /Give ports with protocols/],
    [[VIP, '--ports', '80', '--rounds', '1'], /Give a whole number from 2/],
    [[VIP, '--ports', '80', '--clients', '10.0.0.0/8'], /more than 1000 client addresses/],
    [[VIP, '--ports', '80', '--clients', 'fd00::1'], /IPv6 clients cannot ask the address 10\.96\.0\.10/],
    [[VIP, '--ports', '80', '--clients', 'fd00::1,10.0.0.1'], /addresses of one IP family/],
    [[VIP, '--ports', '80', '--clients', lab.node.address4], /10\.244\.0\.1 is an address of this node/],
    [[VIP, '--ports', '80', '--identify', 'smtp'], /Allowed choices are auto, http/],
    [[VIP, '--ports', '80', '--identify', 'rtps'], /rtps cannot be asked over the protocol of 80\/tcp/],
    [[VIP, '--ports', '80', '--report-to', 'http://x', '--idle', '1s'], /cannot be used with/],
    [['a/b/c', '--ports', '80'], /a\/b\/c: give an address/],
    [['respond'], /required option '--ports <list>' not specified/],
    [['gather'], /required option '--pods <number>' not specified/],
  ];
  for (const [args, message] of table) {
    const { code, stderr } = await runTester(lab.node, args);
    t.equal(code, 2, args.join(' '));
    t.match(stderr, message);
  }
});

t.test('what fails on the way to a result is not taken for a Service that is not as expected', async (t) => {
  const lab = await Lab.forTest(t);
  const named = await runTester(lab.node, ['default/web', '--kubeconfig', '/nowhere']);
  t.equal(named.code, 3);
  t.match(named.stderr, /^error: kubeconfig \/nowhere: /m);
  const taken = await runTester(lab.node, ['gather', '--pods', '1', '--listen', '192.0.2.99:8080']);
  t.equal(taken.code, 3);
  t.match(taken.stderr, /EADDRNOTAVAIL/);
});
