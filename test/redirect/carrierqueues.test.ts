import './namespace.js';
import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import type { Family } from '../../lib/net/address.js';
import type { Protocol } from '../../lib/net/protocol.js';
import { firstPacketQueueOf } from '../../lib/portal/carrier.js';
import type { Redirect, RedirectDriver } from '../../lib/redirect/driver.js';
import { IptablesDriver } from '../../lib/redirect/iptables.js';
import { ConntrackSocket } from '../../lib/sys/netlink/conntrack.js';
import { PacketQueue } from '../../lib/sys/netlink/packetqueue.js';
import { apply } from './apply.js';
import { KINDS, type Kind, only } from './backends.js';
import { Pod, sh } from './namespace.js';
import { CARRIER, carriedFlow } from './ownflows.js';
import { NameServer, reach, reachFrom } from './reach.js';
import { RELAYED } from './relayed.js';

const FAMILIES = ['IPv4', 'IPv6'] as const;
const VIP = { IPv4: '10.96.0.10', IPv6: 'fd00:96::10' } as const;
const TABLES = { IPv4: 'iptables', IPv6: 'ip6tables' } as const;
/** Nobody listens there in the pod. */
const CLOSED = 81;

t.setTimeout(0);
const pod = new Pod();
const conntrack = ConntrackSocket.open();
const server = await NameServer.start('web', ['127.0.0.1', '::1', Pod.router.IPv4, Pod.router.IPv6]);
t.teardown(() => {
  conntrack.close();
  server.close();
});

async function open(t: Test, kind: Kind): Promise<RedirectDriver> {
  const driver = await IptablesDriver.open({
    log: pino({ level: 'silent' }),
    run: only(kind),
    bindAddress: { IPv4: '0.0.0.0', IPv6: '::' },
    proxyPortRange: { first: 1024, last: 65535 },
    carrier: CARRIER,
  });
  t.strictSame(await driver.openCarrier(), { IPv4: null, IPv6: null });
  t.teardown(() => driver.clear());
  return driver;
}

function carried(family: Family, protocol: Protocol): Redirect {
  const vips = [{ address: VIP[family], port: 80 }];
  const carried = { queue: firstPacketQueueOf(protocol, 0, CARRIER) };
  const id = `${protocol}/${family}`;
  return { id, label: id, protocol, family, vips, proxyPort: server.port, carriedVips: vips, carried };
}

/** How many packets met the rules that lead to this queue. */
function queued(kind: Kind, family: Family, queue: number): number {
  const rule = new RegExp(`^\\[(\\d+):\\d+\\] -A .* --queue-num ${queue}(?: |$)`, 'gm');
  const counts = [...sh(`${TABLES[family]}-${kind}-save -c`).matchAll(rule)].map(([, count]) =>
    Number(count),
  );
  return counts.reduce((sum, count) => sum + count, 0);
}

let lastPort = 1000;

/** A flow of worker 1 to a port in the pod. Returns the port of this node from which it comes. */
function insert(family: Family, protocol: Protocol, to: number): number {
  const client = { address: Pod.router[family], port: ++lastPort };
  const endpoint = { address: Pod.address[family], port: to };
  conntrack.create(carriedFlow(protocol, { client, vip: { address: VIP[family], port: 82 }, endpoint }));
  return client.port;
}
const ERRORS_OF_WORKER_1 = CARRIER.firstQueue + 5;
const DATAGRAMS = CARRIER.firstQueue + 8;

/** Connects to the VIP from a port. Resolves to `connected`, or to the code of the error met. */
async function connectFrom(family: Family, port: number): Promise<string> {
  const from = { localAddress: Pod.router[family], localPort: port };
  const socket = connect({ host: VIP[family], port: 82, ...from });
  try {
    await once(socket, 'connect');
    return 'connected';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  } finally {
    socket.destroy();
  }
}

/** Sends a datagram to the VIP from a port. Resolves to the code of the error that comes back. */
async function sendFrom(family: Family, port: number): Promise<string | undefined> {
  const socket = createSocket(family === 'IPv4' ? 'udp4' : 'udp6');
  try {
    socket.bind(port, Pod.router[family]);
    await once(socket, 'listening');
    socket.connect(82, VIP[family]);
    await once(socket, 'connect');
    socket.send('?');
    const [error] = await once(socket, 'error');
    return (error as NodeJS.ErrnoException).code;
  } finally {
    socket.close();
  }
}

/**
 * Lets all packets of a queue go, as a worker that carries nobody. Counts them, and collects the indexes of
 * the devices by which they came; 0: from this node.
 */
function letGo(t: Test, number: number): { count: number; devices: Set<number> } {
  const queue = PacketQueue.open(number);
  const shown = { count: 0, devices: new Set<number>() };
  const timer = setInterval(() => {
    const packets = Math.max(queue.receive(), 0);
    for (let index = 0; index < packets; index++) {
      shown.devices.add(queue.inputDeviceOf(index));
      queue.accept(index);
    }
    queue.flush();
    shown.count += packets;
  }, 1);
  t.teardown(() => {
    clearInterval(timer);
    queue.close();
  });
  return shown;
}

function deviceIndex(name: string): number {
  return Number(sh(`ip -o link show ${name}`).split(':')[0]);
}

/** Resets every connection to a port of the pod after the first byte. */
async function startResetter(t: Test): Promise<number> {
  const script = `require('net').createServer((socket) => socket.once('data', () => socket.resetAndDestroy()))
    .listen(0, function () { console.log(this.address().port); });`;
  const child = spawn('ip', ['netns', 'exec', pod.namespace, process.execPath, '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => child.kill());
  const [port] = await once(child.stdout, 'data');
  return Number(port);
}

for (const kind of KINDS) {
  for (const family of FAMILIES) {
    const name = `${kind}, ${family}`;

    t.test(`${name}: a first packet waits while no process reads its queue, and no other does`, async (t) => {
      const driver = await open(t, kind);
      const tcp = carried(family, 'TCP');
      await apply(driver, { set: [tcp, { ...carried(family, 'UDP'), ...RELAYED }], remove: [] });
      const target = { address: VIP[family], port: 80 };
      t.equal(await reach({ ...target, protocol: 'UDP' }), 'web', 'what is relayed does not wait');
      const name = reach({ ...target, protocol: 'TCP' });
      while (queued(kind, family, CARRIER.firstQueue) === 0) await setTimeout(10);
      await apply(driver, { set: [{ ...tcp, ...RELAYED }], remove: [] });
      t.equal(await name, 'web', 'the retransmission meets the redirect');
    });

    t.test(`${name}: a first packet is shown once; let go, it meets the redirect`, async (t) => {
      const driver = await open(t, kind);
      const tcp = carried(family, 'TCP');
      const nodePort = { address: Pod.router[family], port: server.port };
      await apply(driver, { set: [{ ...tcp, carriedVips: [...tcp.vips, nodePort] }], remove: [] });
      const shown = letGo(t, CARRIER.firstQueue);
      const vip = { address: VIP[family], port: 80, protocol: 'TCP' } as const;
      t.equal(await reach(vip), 'web', 'VIP, from the node');
      t.equal(
        await reach({ ...nodePort, protocol: 'TCP' }),
        'web',
        'NodePort, from the node by its loopback',
      );
      t.equal(await reachFrom(pod.namespace, vip), 'web', 'VIP, from a pod');
      t.equal(
        await reachFrom(pod.namespace, { ...nodePort, protocol: 'TCP' }),
        'web',
        'NodePort, from a pod',
      );
      t.strictSame(shown.devices, new Set([0, deviceIndex('pod0')]), 'not by the loopback device again');
    });

    t.test(`${name}: a first datagram waits while no process reads its queue`, async (t) => {
      const driver = await open(t, kind);
      await apply(driver, { set: [carried(family, 'UDP')], remove: [] });
      const socket = createSocket(family === 'IPv4' ? 'udp4' : 'udp6');
      t.teardown(() => socket.close());
      socket.send('?', 80, VIP[family]);
      while (queued(kind, family, DATAGRAMS) === 0) await setTimeout(10);
      letGo(t, DATAGRAMS);
      t.equal(await reach({ address: VIP[family], port: 80, protocol: 'UDP' }), 'web');
    });

    t.test(`${name}: a first datagram is shown once; let go, it meets the redirect`, async (t) => {
      const driver = await open(t, kind);
      const udp = carried(family, 'UDP');
      const direct = await NameServer.start('web', [Pod.router[family]]);
      t.teardown(() => direct.close());
      const nodePort = { address: Pod.router[family], port: direct.port, protocol: 'UDP' } as const;
      await apply(driver, { set: [{ ...udp, carriedVips: [...udp.vips, nodePort] }], remove: [] });
      const shown = letGo(t, DATAGRAMS);
      const vip = { address: VIP[family], port: 80, protocol: 'UDP' } as const;
      t.equal(await reach(vip), 'web', 'VIP, from the node');
      t.equal(await reach(nodePort), 'web', 'NodePort, from the node by its loopback');
      t.equal(await reachFrom(pod.namespace, vip), 'web', 'VIP, from a pod');
      t.equal(await reachFrom(pod.namespace, nodePort), 'web', 'NodePort, from a pod');
      t.strictSame(shown, { count: 4, devices: new Set([0, deviceIndex('pod0')]) });
    });

    t.test(`${name}: of a flow without answers, one datagram is shown`, async (t) => {
      const silent = createSocket(family === 'IPv4' ? 'udp4' : 'udp6').bind(0);
      const client = createSocket(family === 'IPv4' ? 'udp4' : 'udp6');
      t.teardown(() => {
        silent.close();
        client.close();
      });
      await once(silent, 'listening');
      const driver = await open(t, kind);
      await apply(driver, {
        set: [{ ...carried(family, 'UDP'), proxyPort: silent.address().port }],
        remove: [],
      });
      const shown = letGo(t, DATAGRAMS);
      for (let sent = 0; sent < 10; sent++) {
        client.send(`${sent}`, 80, VIP[family]);
        t.equal(String((await once(silent, 'message'))[0]), `${sent}`);
      }
      t.equal(shown.count, 1);
    });

    t.test(`${name}: what a rule of others in raw drops is not shown`, async (t) => {
      const driver = await open(t, kind);
      await apply(driver, { set: [carried(family, 'TCP')], remove: [] });
      const shown = letGo(t, CARRIER.firstQueue);
      const table = `${TABLES[family]}-${kind} -t raw`;
      const rule = `OUTPUT -d ${VIP[family]} -p tcp --syn -j DROP`;
      sh(`${table} -A ${rule}`);
      const target = { address: VIP[family], port: 80, protocol: 'TCP' } as const;
      t.equal(await reach(target), 'web', 'after our jump, the rule is skipped');
      const { count } = shown;
      t.ok(count > 0);
      sh(`${table} -D ${rule}; ${table} -I ${rule}`);
      const name = reach(target);
      while (!/\[[1-9]\d*:\d+\] -A OUTPUT .* -j DROP/.test(sh(`${TABLES[family]}-${kind}-save -c`)))
        await setTimeout(10);
      t.equal(shown.count, count, 'before our jump, it drops');
      sh(`${table} -D ${rule}`);
      t.equal(await name, 'web');
    });

    t.test(`${name}: the reset of a carried connection waits for its worker`, async (t) => {
      const driver = await open(t, kind);
      await apply(driver, { set: [carried(family, 'UDP')], remove: [] });
      const count = () => queued(kind, family, ERRORS_OF_WORKER_1);
      t.equal(
        await connectFrom(family, insert(family, 'TCP', CLOSED)),
        'ECONNREFUSED',
        'without a process, the client sees it',
      );
      t.equal(count(), 1);
      const direct = connect({ host: Pod.address[family], port: CLOSED });
      t.equal(await once(direct, 'connect').catch(({ code }) => code), 'ECONNREFUSED');
      t.equal(count(), 1, 'not the reset of another connection');
    });

    t.test(`${name}: the reset of an established connection does not wait`, async (t) => {
      const driver = await open(t, kind);
      await apply(driver, { set: [carried(family, 'UDP')], remove: [] });
      const localPort = insert(family, 'TCP', await startResetter(t));
      const from = { localAddress: Pod.router[family], localPort };
      const socket = connect({ host: VIP[family], port: 82, ...from });
      await once(socket, 'connect');
      socket.write('?');
      t.equal(await once(socket, 'data').catch(({ code }) => code), 'ECONNRESET');
      t.equal(queued(kind, family, ERRORS_OF_WORKER_1), 0);
    });

    t.test(`${name}: what a firewall of this node refuses does not wait`, async (t) => {
      const driver = await open(t, kind);
      await apply(driver, { set: [carried(family, 'UDP')], remove: [] });
      const rule = `OUTPUT -d ${Pod.address[family]} -p tcp --dport ${CLOSED} -j REJECT --reject-with tcp-reset`;
      sh(`${TABLES[family]}-${kind} -A ${rule}`);
      t.teardown(() => sh(`${TABLES[family]}-${kind} -D ${rule}`));
      t.equal(await connectFrom(family, insert(family, 'TCP', CLOSED)), 'ECONNREFUSED');
      t.equal(queued(kind, family, ERRORS_OF_WORKER_1), 0);
    });

    t.test(`${name}: the ICMP error of a carried UDP flow waits for its worker`, async (t) => {
      const driver = await open(t, kind);
      await apply(driver, { set: [carried(family, 'UDP')], remove: [] });
      t.equal(await sendFrom(family, insert(family, 'UDP', CLOSED)), 'ECONNREFUSED');
      t.equal(queued(kind, family, ERRORS_OF_WORKER_1), 1);
    });
  }
}
