import type { Family } from '../../lib/net/address.js';
import type { Protocol } from '../../lib/net/protocol.js';
import './namespace.js';
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, isIPv4, type Socket } from 'node:net';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { runCommand } from '../../lib/redirect/command.js';
import type { Redirect, RedirectDriver } from '../../lib/redirect/driver.js';
import { IptablesDriver } from '../../lib/redirect/iptables.js';
import { apply } from './apply.js';
import { Pod, sh } from './namespace.js';
import { CARRIER } from './ownflows.js';
import { NameServer } from './reach.js';
import { RELAYED } from './relayed.js';

t.setTimeout(0);

const VIPS = { IPv4: '10.96.0.10', IPv6: 'fd00:96::10' } as const;
const PORT = 80;
/** An answer that has not come by then was not meant to come. */
const PATIENCE_MS = 1000;
const NODE_ADDRESSES = ['127.0.0.1', '::1', Pod.router.IPv4, Pod.router.IPv6];

new Pod();
const servers = {
  one: await NameServer.start('one', NODE_ADDRESSES),
  two: await NameServer.start('two', NODE_ADDRESSES),
};
t.teardown(() => {
  for (const server of Object.values(servers)) server.close();
});

function redirect(
  name: string,
  family: Family,
  protocol: Protocol,
  proxyPort: number,
  port = PORT,
): Redirect {
  const vips = [{ address: VIPS[family], port }];
  return { id: `${name}/${protocol}/${family}`, label: name, protocol, family, vips, proxyPort, ...RELAYED };
}

/** Some rule must be there for the kernel to track anything. */
async function openDriver(t: Test, family: Family): Promise<RedirectDriver> {
  const driver = await IptablesDriver.open({
    log: pino({ level: 'silent' }),
    run: runCommand,
    bindAddress: { IPv4: '0.0.0.0', IPv6: '::' },
    proxyPortRange: { first: 1024, last: 65535 },
    carrier: CARRIER,
  });
  t.teardown(() => driver.clear());
  await apply(driver, { set: [redirect('other', family, 'TCP', servers.one.port, 81)], remove: [] });
  return driver;
}

/** A flow that lasts: one UDP socket on its way to the VIP. */
async function openFlow(t: Test, family: Family): Promise<UdpSocket> {
  const socket = createSocket(isIPv4(VIPS[family]) ? 'udp4' : 'udp6');
  t.teardown(() => socket.close());
  socket.connect(PORT, VIPS[family]);
  await once(socket, 'connect');
  socket.on('error', () => {});
  return socket;
}

/** Sends one datagram. Resolves to the answer, or to what came instead. */
async function ask(flow: UdpSocket): Promise<string> {
  const answered = once(flow, 'message', { signal: AbortSignal.timeout(PATIENCE_MS) });
  flow.send('?');
  return answered.then(
    ([message]) => String(message),
    (error: NodeJS.ErrnoException) => (error.name === 'AbortError' ? 'silence' : String(error.code)),
  );
}

/** What the kernel tracks on its way to the VIP's port, one line each. */
function tracked(family: Family, protocol: Protocol): string[] {
  const args = `-L -f ${family.toLowerCase()} -p ${protocol.toLowerCase()} -d ${VIPS[family]} --dport ${PORT}`;
  return sh(`conntrack ${args} 2>/dev/null`).split('\n').slice(0, -1);
}

/** Sends something over a connection to an echo. Resolves to what comes back. */
async function echo(socket: Socket): Promise<string> {
  socket.write('?');
  const [data] = await once(socket, 'data');
  return String(data);
}

for (const family of ['IPv4', 'IPv6'] as const) {
  t.test(`${family}: a UDP flow that began before its VIP existed reaches the VIP`, async (t) => {
    const driver = await openDriver(t, family);
    const flow = await openFlow(t, family);
    t.not(await ask(flow), 'one');
    t.match(tracked(family, 'UDP'), [/UNREPLIED/]);
    await apply(driver, { set: [redirect('web', family, 'UDP', servers.one.port)], remove: [] });
    t.equal(await ask(flow), 'one');
  });

  t.test(
    `${family}: a UDP flow follows its VIP to another proxy port, and forgets one that goes`,
    async (t) => {
      const driver = await openDriver(t, family);
      await apply(driver, { set: [redirect('web', family, 'UDP', servers.one.port)], remove: [] });
      const flow = await openFlow(t, family);
      t.equal(await ask(flow), 'one');
      await apply(driver, { set: [redirect('web', family, 'UDP', servers.two.port)], remove: [] });
      t.equal(await ask(flow), 'two', 'another port');
      const { id } = redirect('web', family, 'UDP', 0);
      await apply(driver, {
        set: [redirect('late', family, 'UDP', servers.one.port)],
        remove: [id],
      });
      t.equal(await ask(flow), 'one', 'another portal');
      await apply(driver, { set: [], remove: [redirect('late', family, 'UDP', 0).id] });
      t.not(await ask(flow), 'one', 'no portal');
      t.match(tracked(family, 'UDP'), [/UNREPLIED/], 'the old way is forgotten');
    },
  );

  t.test(
    `${family}: a flow that began while the rules were flushed is ended when they are repaired`,
    async (t) => {
      const driver = await openDriver(t, family);
      await apply(driver, { set: [redirect('web', family, 'UDP', servers.one.port)], remove: [] });
      const flow = await openFlow(t, family);
      const tables = family === 'IPv4' ? 'iptables' : 'ip6tables';
      sh(`${tables} -t nat -F KUBE-PORTALS-HOST`);
      t.not(await ask(flow), 'one');
      t.ok((await driver.audit()) > 0);
      t.equal(await ask(flow), 'one');
    },
  );

  t.test(`${family}: open TCP connections keep their proxy port`, async (t) => {
    const driver = await openDriver(t, family);
    const server = createServer((socket) => socket.pipe(socket)).listen(0, '::');
    t.teardown(() => server.close());
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    await apply(driver, { set: [redirect('web', family, 'TCP', port)], remove: [] });
    const socket = connect(PORT, VIPS[family]);
    t.teardown(() => socket.destroy());
    t.equal(await echo(socket), '?');
    await apply(driver, { set: [redirect('web', family, 'TCP', servers.two.port)], remove: [] });
    t.equal(await echo(socket), '?', 'with another proxy port');
    t.match(tracked(family, 'TCP'), [/ESTABLISHED/]);
  });

  t.test(`${family}: flows end when the driver is cleared`, async (t) => {
    const driver = await openDriver(t, family);
    await apply(driver, { set: [redirect('web', family, 'UDP', servers.one.port)], remove: [] });
    t.equal(await ask(await openFlow(t, family)), 'one');
    t.equal(tracked(family, 'UDP').length, 1);
    await driver.clear();
    t.same(tracked(family, 'UDP'), []);
  });
}
