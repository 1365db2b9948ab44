import t from 'tap';
import { startBackend } from '../lab/backend.js';
import { askTcp, askUdp, HeldConnections } from '../lab/client.js';
import type { Host } from '../lab/host.js';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab } from '../lab/lab.js';
import { endpointSlice, type KubernetesObject, service } from '../lab/manifest.js';

const CLUSTER_IP = '10.96.0.10';
const EXTERNAL_IP = '203.0.113.10';
const INGRESS_IP = '203.0.113.20';
const TCP_PORT = { name: 'tcp', port: 80, targetPort: 8080, nodePort: 30080 };
const UDP_PORT = { name: 'udp', port: 53, targetPort: 8053, protocol: 'UDP', nodePort: 30053 } as const;
const OPTIONS = {
  name: 'web',
  clusterIPs: [CLUSTER_IP],
  externalIPs: [EXTERNAL_IP],
  ingressIPs: [INGRESS_IP],
  ports: [TCP_PORT, UDP_PORT],
};
const FLAGS = ['--cluster-cidr=10.244.0.0/16', '--hostname-override=node', '--workers=2'];

/** A load balancer with pods of this node and of another one. */
function web(
  spec: object,
  local: readonly Host[],
  remote: readonly Host[],
  options = OPTIONS,
): KubernetesObject[] {
  const balancer = service(options) as KubernetesObject & { readonly spec: object };
  const slice = endpointSlice(options, 'IPv4', [...local, ...remote]) as KubernetesObject & {
    readonly endpoints: readonly object[];
  };
  const endpoints = slice.endpoints.map((endpoint, index) => ({
    ...endpoint,
    nodeName: index < local.length ? 'node' : 'other-node',
  }));
  return [
    { ...balancer, spec: { ...balancer.spec, ...spec } } as KubernetesObject,
    { ...slice, endpoints } as KubernetesObject,
  ];
}

/** Names of the pods that answer, each once; or the errors. */
async function whoAnswers(client: Host, address: string, ports = [80, 53]): Promise<string> {
  const [port, udpPort] = ports as [number, number];
  const [tcp, udp] = await Promise.all([
    askTcp(client, { address, port, send: 'x', times: 4 }),
    askUdp(client, { address, port: udpPort, sockets: 4, payload: 'x', patienceMs: 1000 }),
  ]);
  const names = [
    ...tcp.map(({ text, outcome }) => (text === '' ? outcome : text.split(':')[0])),
    ...udp.flatMap(({ answers }) => answers.map((answer) => answer.split(':')[0])),
  ];
  return [...new Set(names)].sort().join();
}

t.setTimeout(120_000);

for (const redirect of ['iptables', 'address']) {
  t.test(`traffic policies and source ranges with --redirect=${redirect}`, async (t) => {
    const lab = await Lab.forTest(t, { pods: ['client', 'here', 'there'] });
    const { outside, node } = lab;
    const client = lab.pod('client');
    const here = lab.pod('here');
    const there = lab.pod('there');
    for (const pod of [here, there]) {
      await startBackend(pod, { tcp: { 8080: 'name' }, udp: { 8053: 'name' } });
    }
    const external = { externalTrafficPolicy: 'Local' };
    const kubePortal = await KubePortal.forTest(t, node, {
      objects: web(external, [here], [there]),
      flags: [`--redirect=${redirect}`, ...FLAGS],
    });
    const change = async (...args: Parameters<typeof web>) => {
      const count = kubePortal.log.length;
      kubePortal.setManifest([...web(...args), marker(count)]);
      await kubePortal.until(async () => hasMarker(await kubePortal.status(), count), 'the change');
    };

    await t.test('externalTrafficPolicy Local: outsiders meet local endpoints only', async (t) => {
      for (const address of [EXTERNAL_IP, INGRESS_IP]) {
        t.equal(await whoAnswers(outside, address), 'here', address);
      }
      t.equal(await whoAnswers(outside, '192.0.2.1', [30080, 30053]), 'here', 'node port');
    });

    await t.test('externalTrafficPolicy Local: pods and the node meet all endpoints', async (t) => {
      for (const address of [CLUSTER_IP, EXTERNAL_IP, INGRESS_IP]) {
        t.equal(await whoAnswers(client, address), 'here,there', `pod to ${address}`);
        t.equal(await whoAnswers(node, address), 'here,there', `node to ${address}`);
      }
    });

    await t.test('without local endpoints outsiders are ignored, pods served', async (t) => {
      await change(external, [], [there]);
      const curl = ['--silent', '--max-time', '2', `http://${EXTERNAL_IP}`];
      t.equal((await outside.exec('curl', curl)).code, 28, 'a time-out, not a refusal');
      const udp = { address: EXTERNAL_IP, port: 53, patienceMs: 500 };
      t.match(await askUdp(outside, udp), [{ answers: ['silence'] }]);
      t.equal(await whoAnswers(client, EXTERNAL_IP), 'there');
    });

    await t.test('a client that was ignored is served when it tries again', async (t) => {
      const answer = askTcp(outside, { address: EXTERNAL_IP, port: 80, send: 'x' });
      await change(external, [here], [there]);
      t.match(await answer, [{ text: 'here:x' }]);
      t.equal(await whoAnswers(outside, EXTERNAL_IP), 'here');
    });

    await t.test('without endpoints anywhere everyone is refused', async (t) => {
      await change(external, [], []);
      t.match(await askTcp(outside, { address: '192.0.2.1', port: 30080, send: 'x' }), [
        { outcome: 'ECONNREFUSED' },
      ]);
      t.match(await askTcp(client, { address: EXTERNAL_IP, port: 80, send: 'x' }), [
        { outcome: 'ECONNREFUSED' },
      ]);
    });

    await t.test('internalTrafficPolicy Local: the ClusterIP leads to local endpoints', async (t) => {
      await change({ internalTrafficPolicy: 'Local' }, [here], [there]);
      t.equal(await whoAnswers(client, CLUSTER_IP), 'here');
      t.equal(await whoAnswers(client, EXTERNAL_IP), 'here,there');
    });

    await t.test(
      'loadBalancerSourceRanges: others get a reset on the ingress IP, their datagrams are dropped',
      async (t) => {
        await change({ loadBalancerSourceRanges: ['198.51.100.0/24'] }, [here], [there]);
        t.match(await askTcp(outside, { address: INGRESS_IP, port: 80, send: 'x' }), [
          { outcome: 'ECONNRESET' },
        ]);
        const udp = { address: INGRESS_IP, port: 53, patienceMs: 500 };
        t.match(await askUdp(outside, udp), [{ answers: ['silence'] }]);
        t.equal(await whoAnswers(outside, EXTERNAL_IP), 'here,there', 'external IPs are open');
        t.equal(await whoAnswers(client, CLUSTER_IP), 'here,there');
        await change({ loadBalancerSourceRanges: ['198.51.100.0/24', '192.0.2.2/32'] }, [here], [there]);
        t.equal(await whoAnswers(outside, INGRESS_IP), 'here,there');
      },
    );

    await t.test('open connections outlive changes of policy, port name and type', async (t) => {
      await change({}, [here], [there]);
      const held = HeldConnections.open(outside, { address: EXTERNAL_IP, port: 80, connections: 4 });
      const byNodePort = HeldConnections.open(outside, { address: '192.0.2.1', port: 30080, connections: 4 });
      const answered = async (what: string) => {
        t.match(await held.round(), { answered: 4, errors: [] }, what);
        t.match(await byNodePort.round(), { answered: 4, errors: [] }, `${what}, node port`);
        t.equal(await whoAnswers(outside, '192.0.2.1', [30080, 30053]), 'here,there', `${what}, new clients`);
      };
      await answered('before');
      await change({ internalTrafficPolicy: 'Local' }, [here], [there]);
      await answered('another internal policy');
      await change({}, [here], [there]);
      await answered('and back');
      const ports = [{ ...TCP_PORT, name: 'renamed' }, UDP_PORT];
      await change({}, [here], [there], { ...OPTIONS, ports });
      await answered('a renamed port');
      await change({ type: 'NodePort' }, [here], [there], { ...OPTIONS, ports });
      await answered('another type');
      await Promise.all([held.close(), byNodePort.close()]);
      t.notOk(
        kubePortal.log.some(({ level, msg }) => level >= 40 && msg.includes('taken')),
        'no port was in its own way',
      );
    });
  });
}

/** A Service that tells by being served that a change has arrived. */
function marker(count: number): KubernetesObject {
  return service({ name: `marker-${count}`, clusterIPs: ['10.96.9.9'], ports: [{ port: 1000 }] });
}

function hasMarker(
  { portals }: { portals: readonly { service: string; state: string }[] },
  count: number,
): boolean {
  return portals.some(({ service, state }) => service === `default/marker-${count}` && state !== 'pending');
}
