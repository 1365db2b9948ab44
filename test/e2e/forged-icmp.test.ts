import { join } from 'node:path';
import t from 'tap';
import { startBackend } from '../lab/backend.js';
import { exactly } from '../lab/items.js';
import { RELAYED } from '../lab/kubeportal.js';
import { settled } from '../lab/settled.js';
import { nameIn } from '../lab/tally.js';
import { forge } from './icmp-forger.js';
import { Relay, VIP, VIP6 } from './relay.js';
import { UdpTalker } from './udp-talker.js';

const UDP = 53;
const PORTS = { firstPort: 40_000, lastPort: 40_199 };
const ROUNDS = 3;

t.setTimeout(0);

for (const address of [VIP, VIP6])
  for (const isSpoofed of [false, true])
    t.test(
      `forged ICMP moves nobody, ${address}, ${isSpoofed ? 'from the endpoint' : 'from a pod'}`,
      async (t) => {
        const relay = await Relay.forTest(
          t,
          { udp: [UDP], servers: ['a', 'b', 'attacker'], affinity: true, flags: [RELAYED, '--workers', '2'] },
          ({ node }) =>
            node.sysctl({ 'net/ipv4/ip_local_port_range': `${PORTS.firstPort} ${PORTS.lastPort}` }),
        );
        const [a, b, attacker] = exactly(3, relay.servers);
        const pods = new Map([a, b].map((pod) => [pod.name, pod]));
        for (const pod of pods.values()) await startBackend(pod, { udp: { [UDP]: 'name' } });
        relay.setServers([a, b]);
        await settled(relay.kubePortal, 2);

        const talker = await UdpTalker.start(relay.client, { address, port: UDP });
        const name = nameIn(String(await talker.say('0')));
        const home = pods.get(name);
        if (home === undefined) throw new Error(`answered by ${name}`);
        const of = (host: typeof home) => (address === VIP6 ? host.address6 : host.address4);
        const { node } = relay.lab;
        const from = isSpoofed ? of(home) : of(attacker);
        const forgery = {
          says: 'no port',
          from,
          to: address === VIP6 ? node.address6 : node.address4,
          endpoint: of(home),
          endpointPort: UDP,
          ...PORTS,
        } as const;
        for (let round = 1; round <= ROUNDS; round++) {
          await forge(attacker, forgery);
          t.equal(await talker.say(`${round}`), `${name}:${round}`, 'the flow stays with its pod');
        }
        const other = await UdpTalker.start(relay.client, { address, port: UDP });
        t.equal(await other.say('x'), `${name}:x`, 'so does the client with its pin');
        const { counters } = await relay.kubePortal.status();
        t.equal(
          counters.reduce((sum, { connectFailures, pinsMoved }) => sum + connectFailures + pinsMoved, 0),
          0,
        );
        // Else it wants a file of its own in /tmp, which may be another user's.
        const env = { NSTAT_HISTORY: join(t.testdir(), 'nstat') };
        const names = ['IcmpInErrors', 'IcmpInDestUnreachs', 'Icmp6InDestUnreachs'];
        const heard = await node.must('nstat', ['-az', ...names], { env });
        t.match(heard, /InDestUnreachs +[1-9]/, 'the forged errors did come');
      },
    );
