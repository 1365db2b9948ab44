import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { startBackend } from '../lab/backend.js';
import { askTcp } from '../lab/client.js';
import type { Host } from '../lab/host.js';
import { item } from '../lab/items.js';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab, NODE_UPLINK } from '../lab/lab.js';
import { serviceAcrossNodes } from '../lab/manifest.js';

t.setTimeout(0);

const BIN = fileURLToPath(new URL('../../../bin/kube-portal', import.meta.url));
const VIP = '10.96.0.10';
const NODE_PORT = 30_080;

/** A node with a Service of one pod. The pod answers with the address that it sees of its client. */
async function stageFor(t: Test, flags: readonly string[]) {
  const lab = await Lab.forTest(t, { pods: ['client', 'a'], link: 'point to point', iptables: 'nft' });
  const pod = lab.pod('a');
  await startBackend(pod, { tcp: { 8080: 'client' } });
  const objects = (annotations: Readonly<Record<string, string>> = {}) => {
    const ports = [{ port: 80, targetPort: 8080, nodePort: NODE_PORT }];
    const spec = { externalTrafficPolicy: 'Local' };
    return serviceAcrossNodes({ name: 'web', clusterIPs: [VIP], ports, annotations, spec }, [pod], []);
  };
  const kubePortal = await KubePortal.forTest(t, lab.node, {
    objects: objects(),
    flags: ['--hostname-override=node', '--iptables-sync-period=1s', ...flags],
  });
  const seen = async (client: Host = lab.pod('client'), address = VIP, port = 80) => {
    const replies = await askTcp(client, { address, port, send: '?', times: 1 });
    return item(replies, 0).text.replace('a:', '');
  };
  const portals = async () => (await kubePortal.status()).portals;
  const carriers = async () => [...new Set((await portals()).map(({ carrier }) => carrier))].join();
  const problems = async () => (await kubePortal.status()).problems;
  return { lab, kubePortal, objects, seen, portals, carriers, problems };
}

function status(node: Host): Promise<string> {
  return node.must(process.execPath, [BIN, 'status']);
}

t.test('a Service changes its carrier while clients use it', async (t) => {
  const { lab, kubePortal, objects, seen, carriers } = await stageFor(t, ['--carrier=auto']);
  const { address4: client } = lab.pod('client');
  const { address4: node } = lab.node;
  t.equal(await carriers(), 'kernel');
  t.equal(await seen(), client);
  t.match(await status(lab.node), /AFFINITY +CARRIER +STATE .*\n.* kernel +serving /);
  for (const [annotation, expected] of [
    ['relay', node],
    ['kernel', client],
    ['relay', node],
  ] as const) {
    kubePortal.setManifest(objects({ carrier: annotation }));
    for (let address = ''; address !== expected; ) {
      address = await seen();
      t.match(address, /^10\.244\./, 'it is served meanwhile');
    }
    t.equal(await carriers(), annotation);
  }
  t.notMatch(await status(lab.node), 'CARRIER', 'no column if all are relayed');
});

t.test('a NodePort is carried on an address as soon as the node has it', async (t) => {
  const { lab, portals, seen } = await stageFor(t, ['--carrier=auto']);
  const { outside, node } = lab;
  t.equal(await seen(outside, NODE_UPLINK.address4, NODE_PORT), outside.address4);
  const added = '192.0.2.77';
  await node.ip(`addr add ${added}/24 dev uplink`);
  const isServed = async () => (await seen(outside, added, NODE_PORT)) === outside.address4;
  while (!(await isServed())) await sleep(50);
  t.ok((await portals()).every(({ carrier }) => carrier === 'kernel'));
});

t.test('without iptables everything is relayed: a problem if the kernel shall carry', async (t) => {
  for (const mode of ['auto', 'kernel']) {
    const { lab, kubePortal, portals, seen } = await stageFor(t, [`--carrier=${mode}`, '--redirect=address']);
    t.equal(await seen(), lab.node.address4);
    for (const { carrier, relayReason, state, problems } of await portals()) {
      t.equal(carrier, 'relay');
      t.equal(state, 'serving');
      t.ok(relayReason);
      t.same(problems.length, mode === 'kernel' ? 1 : 0);
    }
    const lines = kubePortal.log.filter(({ msg }) => /^the kernel cannot carry/.test(msg));
    t.equal(lines.length, mode === 'kernel' ? 1 : 0, 'the log says it once');
    await kubePortal.dispose();
  }
});

t.test('a node that does not forward relays, and says so in one line', async (t) => {
  const { lab, kubePortal, problems, seen } = await stageFor(t, ['--carrier=auto']);
  await lab.node.sysctl({ 'net/ipv4/ip_forward': '0' });
  const lines = async () => (await status(lab.node)).split('\n').filter((line) => /^carrier: /.test(line));
  while ((await lines()).length === 0) await sleep(50);
  t.match(await lines(), [/does not forward packets of IPv4 .*sysctl -w net\.ipv4\.ip_forward=1$/]);
  t.same(await problems(), [], 'nobody has asked for the kernel');
  t.equal(await seen(), lab.node.address4);
  t.same(
    kubePortal.log.filter(({ level }) => level > 30),
    [],
  );
});

t.test('it is a problem of the node where the kernel shall carry', async (t) => {
  const { lab, kubePortal, problems, seen } = await stageFor(t, ['--carrier=kernel']);
  const { node } = lab;
  const { address4: client } = lab.pod('client');
  t.same(await problems(), []);
  await node.sysctl({ 'net/ipv4/ip_forward': '0' });
  while ((await problems()).length === 0) await sleep(50);
  t.match(await problems(), [/does not forward packets of IPv4 .*sysctl -w net\.ipv4\.ip_forward=1$/]);
  t.equal(await seen(), node.address4);
  await node.sysctl({ 'net/ipv4/ip_forward': '1' });
  while ((await problems()).length > 0) await sleep(50);
  t.equal(await seen(), client);

  await node.must('iptables-nft', ['-P', 'FORWARD', 'DROP']);
  while ((await problems()).length === 0) await sleep(50);
  t.match(await problems(), [/^the chain FORWARD of IPv4 drops/]);
  t.equal(await seen(), node.address4, 'nobody is lost to the firewall');
  const said = kubePortal.log.filter(({ level, family }) => level === 40 && family === 'IPv4');
  t.equal(said.length, 2, 'the log says each once');
});
