import t from 'tap';
import { FAMILIES } from '../../lib/net/address.js';
import type { SinkAnswer } from '../lab/backend.js';
import { askTcp, HeldConnections, transfer } from '../lab/client.js';
import { patternDigest } from '../lab/pattern.js';
import {
  ACCEPT_ESTABLISHED,
  addressOf,
  PODS,
  PORT,
  SINK_PORT,
  type Surroundings,
  seenByTcp,
  seenByUdp,
  stageFor,
  VIPS,
} from './foreign-rules.js';

/** Rules and settings of others, while the kernel carries: what works, and what falls back to the relay. */
t.setTimeout(0);

/** More than the socket buffers take: windows open and close. */
const BYTES = 20_000_000;

interface Situation extends Omit<Surroundings, 'pods'> {
  readonly title: string;
  readonly sees: 'client' | 'node';
  /** @defaultValue `sees` */
  readonly udpSees?: 'client' | 'node';
}

/** The byte of marks that a CNI calls its own. */
const THEIRS = '0x00ff0000';
const MARKS = [
  `-t mangle -A PREROUTING -j CONNMARK --restore-mark --nfmask ${THEIRS} --ctmask ${THEIRS}`,
  `-t mangle -A PREROUTING -i pod+ -j MARK --set-xmark 0x00a00000/${THEIRS}`,
  `-t mangle -A PREROUTING -j CONNMARK --save-mark --nfmask ${THEIRS} --ctmask ${THEIRS}`,
];

const SITUATIONS: readonly Situation[] = [
  {
    title: 'packets without a valid state are dropped (kube-proxy, kube-router)',
    link: 'point to point',
    sees: 'client',
    rules: () => ['-A FORWARD -m conntrack --ctstate INVALID -j DROP'],
  },
  {
    title: 'packets must come by the way back to their source (rp_filter, and firewalld for IPv6)',
    link: 'point to point',
    sees: 'client',
    rules: (family) => (family === 'IPv4' ? [] : ['-t mangle -A PREROUTING -m rpfilter --invert -j DROP']),
    settings: { 'net/ipv4/conf/all/rp_filter': '1' },
  },
  {
    title: 'a CNI masquerades what pods send',
    link: 'point to point',
    sees: 'client',
    rules: (family) => [`-t nat -A POSTROUTING -s ${PODS[family]} -j MASQUERADE`],
  },
  {
    title: 'a CNI keeps marks of its own in packets and connections',
    link: 'point to point',
    sees: 'client',
    rules: () => MARKS,
  },
  {
    title: 'a strict firewall accepts what pods send to pods, and answers',
    link: 'point to point',
    sees: 'client',
    // No UDP client tries out what the policy of FORWARD leaves open: it might lose its datagram.
    udpSees: 'node',
    rules: (family) => [
      '-A INPUT -i lo -j ACCEPT',
      `-A INPUT ${ACCEPT_ESTABLISHED}`,
      ...(family === 'IPv6' ? ['-A INPUT -p ipv6-icmp -j ACCEPT'] : []),
      `-A FORWARD ${ACCEPT_ESTABLISHED}`,
      `-A FORWARD -s ${PODS[family]} -d ${PODS[family]} -j ACCEPT`,
      '-P INPUT DROP',
      '-P FORWARD DROP',
    ],
  },
  {
    title: 'packets between pods of one bridge do not pass netfilter',
    link: 'neighbour',
    sees: 'node',
    settings: { 'net/bridge/bridge-nf-call-iptables': '0', 'net/bridge/bridge-nf-call-ip6tables': '0' },
  },
  {
    title: 'the node does not forward',
    link: 'point to point',
    sees: 'node',
    settings: { 'net/ipv4/ip_forward': '0', 'net/ipv6/conf/all/forwarding': '0' },
  },
];

for (const { title, sees, udpSees = sees, ...surroundings } of SITUATIONS) {
  t.test(`${title}: pods see the ${sees}`, async (t) => {
    const { lab, client } = await stageFor(t, { ...surroundings, pods: ['a'] });
    const hosts = { client, node: lab.node };
    for (const family of FAMILIES) {
      t.same(await seenByTcp(client, family), [addressOf(hosts[sees], family)], `TCP, ${family}`);
      t.same(await seenByUdp(client, family), [addressOf(hosts[udpSees], family)], `UDP, ${family}`);
      const to = { address: VIPS[family], port: SINK_PORT };
      const { text } = await transfer(client, { ...to, direction: 'upload', bytes: BYTES });
      const { bytes, sha256 } = JSON.parse(text) as SinkAnswer;
      t.same({ bytes, sha256 }, { bytes: BYTES, sha256: patternDigest(BYTES) }, `much, ${family}`);
    }
  });
}

t.test('a CNI and kube-portal keep their bits in the marks of one connection', async (t) => {
  const { lab, client } = await stageFor(t, { link: 'point to point', pods: ['a'], rules: () => MARKS });
  for (const family of FAMILIES) {
    const held = HeldConnections.open(client, { address: VIPS[family], port: PORT, connections: 1 });
    await held.round();
    t.match(await held.round(), { answered: 1 });
    const list = ['-L', '-f', family.toLowerCase(), '-p', 'tcp', '--orig-dst', VIPS[family]];
    const mark = Number(/ mark=(\d+)/.exec(await lab.node.must('conntrack', list))?.[1]);
    t.equal(mark & 0x00ff_0000, 0x00a0_0000, `theirs, ${family}`);
    t.equal(mark & 0x4000_0000, 0x4000_0000, `kube-portal's, ${family}`);
    await held.close();
  }
});

t.test('the policy of FORWARD is DROP: clients are relayed, and people are told why', async (t) => {
  const rules = () => ['-P FORWARD DROP'];
  const { lab, kubePortal, client } = await stageFor(t, { link: 'point to point', pods: ['a'], rules });
  for (const family of FAMILIES) {
    const node = addressOf(lab.node, family);
    const to = { address: VIPS[family], port: PORT };
    t.match(await askTcp(client, { ...to, send: '?' }), [{ text: `a:${node}` }], `TCP, ${family}`);
    t.same(await seenByUdp(client, family), [node], `UDP, ${family}`);
    const { problems } = await kubePortal.status();
    t.match(problems.join('\n'), new RegExp(`chain FORWARD of ${family} .*-P FORWARD ACCEPT`));
  }
  t.ok(kubePortal.log.some(({ msg }) => /^clients are relayed, not carried by the kernel/.test(msg)));
});
