import fc from 'fast-check';
import t, { type Test } from 'tap';
import { startBackend } from '../lab/backend.js';
import { bothCarriers } from '../lab/carriers.js';
import { RELAYED } from '../lab/kubeportal.js';
import { Relay, VIP, VIP6 } from './relay.js';
import { UdpTalker } from './udp-talker.js';

const PORT = 7;
/** The largest UDP payload of each family. */
const LARGEST = { [VIP]: 65_507, [VIP6]: 65_527 };
/** Bytes at once that a socket's default buffer takes however small the datagrams are. */
const MOST_AT_ONCE = 60_000;

t.setTimeout(0);

bothCarriers('datagrams arrive whole and in order, both ways', (t, carrier) => allArrive(t, [carrier], 1500));

// Where the kernel carries, the client hears that the first one is too long, and must send it again.
t.test('so they do if they are too long for a link', (t) => allArrive(t, [RELAYED], 1280));

/** @param mtu of the link to the client and the server */
async function allArrive(t: Test, flags: readonly string[], mtu: number): Promise<void> {
  const relay = await Relay.forTest(t, { udp: [PORT], flags: [...flags, '--workers', '2'] });
  await startBackend(relay.server, { udp: { [PORT]: 'echo' } });
  await relay.lab.node.ip(`link set bridge mtu ${mtu}`);
  for (const address of [VIP, VIP6] as const) {
    const talker = await UdpTalker.start(relay.client, { address, port: PORT });
    const arrive = async (sizes: readonly number[]) => {
      const reply = await talker.burst(sizes);
      if (!reply.intact || reply.sizes.join() !== sizes.join())
        throw new Error(`sent ${sizes} to ${address}, back came ${reply.sizes}, intact: ${reply.intact}`);
    };

    for (const size of [0, 1, 2, 1472, 1473, 9000, 14_700, 32_768, 65_506, 65_507, LARGEST[address]])
      await arrive([size]);
    // Runs of one size, with a shorter or empty last datagram. Some are too large for one segmented send.
    for (const size of [1, 64, 1000, 1390, 1401, 4000])
      for (const last of [size, 1, 0]) await arrive([...new Array(14).fill(size), last]);
    await arrive(new Array(20).fill(0));
    const sizes = fc
      .array(fc.oneof(fc.nat(100), fc.nat(1500), fc.nat(20_000)), { minLength: 1, maxLength: 25 })
      .filter((all) => all.reduce((sum, size) => sum + size, 0) < MOST_AT_ONCE);
    await fc.assert(fc.asyncProperty(sizes, arrive), { numRuns: 60, endOnFailure: true });
    t.pass(address);
  }
}
