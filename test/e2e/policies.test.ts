import t from 'tap';
import type { Family } from '../../lib/net/address.js';
import { startBackend } from '../lab/backend.js';
import { WAYS } from '../lab/carriers.js';
import { askEach, askTcp, askUdp, HeldConnections, type TcpReply, type UdpReply } from '../lab/client.js';
import type { Host } from '../lab/host.js';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab, NODE_UPLINK } from '../lab/lab.js';
import { type KubernetesObject, type PortOptions, service, serviceAcrossNodes } from '../lab/manifest.js';
import { nameIn } from '../lab/tally.js';

interface Addresses {
  readonly clusterIP: string;
  readonly externalIP: string;
  readonly ingressIP: string;
  readonly node: string;
  /** The client in the world outside, alone and among strangers. */
  readonly outside: string;
  readonly strangers: string;
}

const ADDRESSES: Readonly<Record<Family, Addresses>> = {
  IPv4: {
    clusterIP: '10.96.0.10',
    externalIP: '203.0.113.10',
    ingressIP: '203.0.113.20',
    node: NODE_UPLINK.address4,
    outside: '192.0.2.2/32',
    strangers: '198.51.100.0/24',
  },
  IPv6: {
    clusterIP: 'fd00:96::10',
    externalIP: '2001:db8:10::10',
    ingressIP: '2001:db8:20::20',
    node: NODE_UPLINK.address6,
    outside: 'fd00:2::2/128',
    strangers: '2001:db8:99::/48',
  },
};
const TCP_PORT = { name: 'tcp', port: 80, targetPort: 8080, nodePort: 30080 };
const UDP_PORT = { name: 'udp', port: 53, targetPort: 8053, protocol: 'UDP', nodePort: 30053 } as const;
const PORTS = [TCP_PORT, UDP_PORT] as const;
const FLAGS = ['--cluster-cidr=10.244.0.0/16,fd00:244::/64', '--hostname-override=node', '--workers=2'];

/** A load balancer with pods of this node and of another one. */
function web(
  family: Family,
  spec: object,
  local: readonly Host[],
  remote: readonly Host[],
  ports: readonly PortOptions[] = PORTS,
): KubernetesObject[] {
  const { clusterIP, externalIP, ingressIP } = ADDRESSES[family];
  const options = {
    name: 'web',
    clusterIPs: [clusterIP],
    externalIPs: [externalIP],
    ingressIPs: [ingressIP],
  };
  return serviceAcrossNodes({ ...options, ports, spec }, local, remote);
}

/** Names of the pods that answer, each once; or the errors. */
async function whoAnswers(client: Host, address: string, ports = [80, 53]): Promise<string> {
  const [port, udpPort] = ports as [number, number];
  const [tcp, udp] = (await askEach(client, [
    { what: 'tcp', address, port, send: 'x', times: 4 },
    { what: 'udp', address, port: udpPort, sockets: 4, payload: 'x', patienceMs: 1000 },
  ])) as [TcpReply[], UdpReply[]];
  const names = [
    ...tcp.map(({ text, outcome }) => (text === '' ? outcome : nameIn(text))),
    ...udp.flatMap(({ answers }) => answers.map(nameIn)),
  ];
  return [...new Set(names)].sort().join();
}

t.setTimeout(0);

const CASES = WAYS.flatMap((way) => (['IPv4', 'IPv6'] as const).map((family) => ({ way, family })));

for (const { way, family } of CASES) {
  t.test(`traffic policies and source ranges, ${way.join(' ')}, ${family}`, async (t) => {
    const { clusterIP, externalIP, ingressIP, ...addresses } = ADDRESSES[family];
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
      objects: web(family, external, [here], [there]),
      flags: [...way, ...FLAGS],
    });
    const change = async (
      spec: object,
      local: readonly Host[],
      remote: readonly Host[],
      ports?: readonly PortOptions[],
    ) => {
      const count = kubePortal.log.length;
      kubePortal.setManifest([...web(family, spec, local, remote, ports), marker(count)]);
      await kubePortal.until(async () => hasMarker(await kubePortal.status(), count), 'the change');
    };

    await t.test('externalTrafficPolicy Local: outsiders reach local endpoints only', async (t) => {
      for (const address of [externalIP, ingressIP]) {
        t.equal(await whoAnswers(outside, address), 'here', address);
      }
      t.equal(await whoAnswers(outside, addresses.node, [30080, 30053]), 'here', 'node port');
    });

    await t.test('externalTrafficPolicy Local: pods and the node reach all endpoints', async (t) => {
      for (const address of [clusterIP, externalIP, ingressIP]) {
        t.equal(await whoAnswers(client, address), 'here,there', `pod to ${address}`);
        t.equal(await whoAnswers(node, address), 'here,there', `node to ${address}`);
      }
    });

    await t.test('without local endpoints, outsiders are ignored and pods served', async (t) => {
      await change(external, [], [there]);
      const curl = ['--silent', '--max-time', '2', `http://${hostOf(externalIP)}`];
      t.equal((await outside.exec('curl', curl)).code, 28, 'a time-out, not a refusal');
      const udp = { address: externalIP, port: 53, patienceMs: 500 };
      t.match(await askUdp(outside, udp), [{ answers: ['silence'] }]);
      t.equal(await whoAnswers(client, externalIP), 'there');
    });

    await t.test('a client that was ignored is served when it tries again', async (t) => {
      const answer = askTcp(outside, { address: externalIP, port: 80, send: 'x' });
      await change(external, [here], [there]);
      t.match(await answer, [{ text: 'here:x' }]);
      t.equal(await whoAnswers(outside, externalIP), 'here');
    });

    await t.test('without any endpoint, all clients are refused', async (t) => {
      await change(external, [], []);
      t.match(await askTcp(outside, { address: addresses.node, port: 30080, send: 'x' }), [
        { outcome: 'ECONNREFUSED' },
      ]);
      t.match(await askTcp(client, { address: externalIP, port: 80, send: 'x' }), [
        { outcome: 'ECONNREFUSED' },
      ]);
    });

    await t.test('internalTrafficPolicy Local: the ClusterIP leads to local endpoints', async (t) => {
      await change({ internalTrafficPolicy: 'Local' }, [here], [there]);
      t.equal(await whoAnswers(client, clusterIP), 'here');
      t.equal(await whoAnswers(client, externalIP), 'here,there');
    });

    await t.test(
      'loadBalancerSourceRanges: others get a reset on the ingress IP, their datagrams are dropped',
      async (t) => {
        await change({ loadBalancerSourceRanges: [addresses.strangers] }, [here], [there]);
        t.match(await askTcp(outside, { address: ingressIP, port: 80, send: 'x' }), [
          { outcome: 'ECONNRESET' },
        ]);
        const udp = { address: ingressIP, port: 53, patienceMs: 500 };
        t.match(await askUdp(outside, udp), [{ answers: ['silence'] }]);
        t.equal(await whoAnswers(outside, externalIP), 'here,there', 'external IPs are open');
        t.equal(await whoAnswers(client, clusterIP), 'here,there');
        await change({ loadBalancerSourceRanges: [addresses.strangers, addresses.outside] }, [here], [there]);
        t.equal(await whoAnswers(outside, ingressIP), 'here,there');
      },
    );

    await t.test('open connections survive changes of policy, port name and type', async (t) => {
      await change({}, [here], [there]);
      const held = HeldConnections.open(outside, { address: externalIP, port: 80, connections: 4 });
      const byNodePort = HeldConnections.open(outside, {
        address: addresses.node,
        port: 30080,
        connections: 4,
      });
      const answered = async (what: string) => {
        t.match(await held.round(), { answered: 4, errors: [] }, what);
        t.match(await byNodePort.round(), { answered: 4, errors: [] }, `${what}, node port`);
        t.equal(
          await whoAnswers(outside, addresses.node, [30080, 30053]),
          'here,there',
          `${what}, new clients`,
        );
      };
      await answered('before');
      await change({ internalTrafficPolicy: 'Local' }, [here], [there]);
      await answered('another internal policy');
      await change({}, [here], [there]);
      await answered('and back');
      const ports = [{ ...TCP_PORT, name: 'renamed' }, UDP_PORT];
      await change({}, [here], [there], ports);
      await answered('a renamed port');
      await change({ type: 'NodePort' }, [here], [there], ports);
      await answered('another type');
      await Promise.all([held.close(), byNodePort.close()]);
      t.notOk(
        kubePortal.log.some(({ level, msg }) => level >= 40 && msg.includes('taken')),
        'no port was in its own way',
      );
    });
  });
}

/** An address as URLs have it. */
function hostOf(address: string): string {
  return address.includes(':') ? `[${address}]` : address;
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
