import t from 'tap';
import { KubePortal } from '../lab/kubeportal.js';
import { Lab, NODE_UPLINK } from '../lab/lab.js';
import { tallies } from '../lab/tally.js';
import { leadsTo, NODE_PORT, PORT, startWeb, vips, webIsServed } from './loops.js';

t.setTimeout(0);

const EXTERNAL = { address4: '198.51.100.7', address6: '2001:db8:7::7' };

for (const driver of ['iptables', 'address']) {
  t.test(`endpoints that are VIPs or NodePorts of kube-portal are not used, ${driver}`, async (t) => {
    const lab = await Lab.forTest(t, { pods: ['client', 'server'] });
    const client = lab.pod('client');
    const [self, ping, pong] = [vips('self', 20), vips('ping', 21), vips('pong', 22)];
    const external = { ...vips('external', 23), externalIPs: Object.values(EXTERNAL) };
    const node = { ...vips('node', 24), nodePort: NODE_PORT };
    const objects = [
      ...(await startWeb(lab)),
      ...leadsTo(self, self, PORT),
      ...leadsTo(ping, pong, PORT),
      ...leadsTo(pong, ping, PORT),
      ...leadsTo(external, EXTERNAL, PORT),
      ...leadsTo(node, NODE_UPLINK, NODE_PORT),
    ];
    const kubePortal = await KubePortal.forTest(t, lab.node, { objects, flags: ['--redirect', driver] });
    const circles = [self, ping, pong, external, node];
    const places = circles.flatMap(({ name, address4, address6 }) =>
      [address4, address6].map((address) => ({ name, address, port: PORT })),
    );
    const ask = (protocol: 'TCP' | 'UDP', times: number) =>
      tallies(
        client,
        places.map(({ address, port }) => ({ protocol, address, port, times })),
      );
    for (const [index, answers] of (await ask('TCP', 2)).entries()) {
      t.same(answers, { ECONNREFUSED: 2 }, `TCP to ${JSON.stringify(places[index])} is refused at once`);
    }
    for (const [index, answers] of (await ask('UDP', 1)).entries()) {
      // The kernel answers few datagrams a second with an error (icmp_ratelimit).
      const about = `UDP to ${JSON.stringify(places[index])} is not served`;
      t.match(Object.keys(answers).join(), /^(ECONNREFUSED|silence)$/, about);
    }
    for (const { name } of circles) {
      const line = kubePortal.log.find(({ msg }) => msg.startsWith(`Service default/${name}: endpoint `));
      t.match(
        line?.msg,
        /of EndpointSlice \S+, and 1 more like it, is not used: /,
        `${name}: the log tells why`,
      );
    }
    await webIsServed(t, client, 'beside them');
    const { counters } = await kubePortal.status();
    const used = counters.filter(({ connectionsTotal, flowsTotal }) => connectionsTotal + flowsTotal > 0);
    t.same([...new Set(used.map(({ service }) => service))], ['default/web'], 'and it alone has had clients');
  });
}
