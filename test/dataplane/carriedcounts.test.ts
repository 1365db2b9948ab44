import '../redirect/namespace.js';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { IPPROTO_UDP } from '../../lib/sys/constants.js';
import { FlowBatch } from '../../lib/sys/netlink/flowbatch.js';
import { SocketAddress } from '../../lib/sys/sockaddr.js';
import { startBackend } from '../lab/backend.js';
import { askTcp } from '../lab/client.js';
import { sh } from '../redirect/namespace.js';
import { addPod, HandoverStage, POD_PORT, PORT, prepareNode, VIPS } from './handoverstage.js';

t.setTimeout(0);

prepareNode();
sh('sysctl -qw net.netfilter.nf_conntrack_acct=1');
const client = addPod('client', 2);
const pod = addPod('a', 3);
await startBackend(pod, { tcp: { [POD_PORT]: 'http' } });
t.teardown(async () => {
  for (const host of [client, pod]) await host.killPrograms();
});

async function ask(family: 'IPv4' | 'IPv6', times: number): Promise<void> {
  const replies = await askTcp(client, {
    address: VIPS[family],
    port: PORT,
    send: '?',
    times,
    concurrency: 4,
  });
  t.equal(replies.length, times);
}

/** Waits until the main thread sees this number of connections in the kernel. */
async function carriedConnections(
  stage: HandoverStage,
  family: 'IPv4' | 'IPv6',
  count: number,
): Promise<void> {
  while (stage.counters(family).carriedConnectionsActive !== count) await sleep(10);
}

for (const family of ['IPv4', 'IPv6'] as const) {
  t.test(`connections of an earlier run are counted, and their bytes when they end, ${family}`, async (t) => {
    const earlier = await HandoverStage.start();
    await earlier.serve({ family, endpoints: [pod] });
    await ask(family, 20);
    await carriedConnections(earlier, family, 20);
    await earlier.stop();
    const stage = await HandoverStage.start();
    t.teardown(() => stage.stop());
    await stage.serve({ family, endpoints: [pod] });
    await carriedConnections(stage, family, 20);
    await ask(family, 5);
    await carriedConnections(stage, family, 25);
    t.equal(stage.counters(family).connectionsTotal, 5);
    sh(`conntrack -D -f ${family.toLowerCase()} -p tcp`);
    await carriedConnections(stage, family, 0);
    const { bytesIn, bytesOut } = stage.counters(family);
    t.ok(bytesIn >= 25, `${bytesIn} bytes from clients`);
    t.ok(bytesOut > bytesIn, `${bytesOut} bytes to clients`);
  });
}

t.test('entries of a worker that is gone are counted, and end with their endpoint', async (t) => {
  const stage = await HandoverStage.start('UDP');
  t.teardown(() => stage.stop());
  const batch = FlowBatch.open();
  const [vip, endpoint] = [SocketAddress.of(VIPS.IPv4, PORT), SocketAddress.of(pod.address4, POD_PORT)];
  const markOfSecondWorker = 0x5000_0000;
  for (let port = 5000; port < 5010; port++) {
    const from = SocketAddress.of(client.address4, port);
    batch.replace(IPPROTO_UDP, from, vip, endpoint, null, markOfSecondWorker);
  }
  t.equal(batch.commit(), 0);
  batch.close();
  await stage.serve({ endpoints: [pod, client] });
  while (stage.counters().carriedFlowsActive !== 10) await sleep(10);
  await stage.serve({ endpoints: [client] });
  while (stage.counters().carriedFlowsActive !== 0) await sleep(10);
});
