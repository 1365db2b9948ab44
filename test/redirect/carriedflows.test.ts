import './namespace.js';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import type { Family } from '../../lib/net/address.js';
import type { Protocol } from '../../lib/net/protocol.js';
import { ownBit } from '../../lib/portal/carrier.js';
import { clearAll } from '../../lib/redirect/clear.js';
import { runCommand } from '../../lib/redirect/command.js';
import type { Redirect } from '../../lib/redirect/driver.js';
import { IptablesDriver } from '../../lib/redirect/iptables.js';
import { ConntrackSocket } from '../../lib/sys/netlink/conntrack.js';
import { apply } from './apply.js';
import { Pod, sh } from './namespace.js';
import { CARRIER, carriedFlow, type End, flowsTo, OWN_MARK } from './ownflows.js';
import { RELAYED } from './relayed.js';

const FAMILIES = ['IPv4', 'IPv6'] as const;
const PROTOCOLS = ['TCP', 'UDP'] as const;
const VIP = { IPv4: '10.96.0.10', IPv6: 'fd00:96::10' } as const;
const NODE_PORT = 30_080;

t.setTimeout(0);
new Pod();
const conntrack = ConntrackSocket.open();
t.teardown(() => conntrack.close());

async function open(t: Test): Promise<IptablesDriver> {
  const driver = await IptablesDriver.open({
    log: pino({ level: 'silent' }),
    run: runCommand,
    bindAddress: { IPv4: '0.0.0.0', IPv6: '::' },
    proxyPortRange: { first: 1024, last: 65535 },
    carrier: CARRIER,
  });
  t.strictSame(await driver.openCarrier(), { IPv4: null, IPv6: null });
  t.teardown(async () => {
    await driver.clear();
    sh('conntrack -F -f ipv4; conntrack -F -f ipv6');
  });
  return driver;
}

/** A port that the kernel carries, at a VIP and a NodePort. */
function carried(family: Family, protocol: Protocol, port: number, proxyPort = 41_000): Redirect {
  const vips = [{ address: VIP[family], port }];
  const carriedVips = [...vips, { address: Pod.router[family], port: NODE_PORT + port }];
  const id = `${port}/${protocol}/${family}`;
  const carrier = { carriedVips, carried: protocol === 'TCP' ? { queue: 20_480 } : null };
  return { id, label: id, protocol, family, vips, proxyPort, ...carrier };
}

function relayed(redirect: Redirect): Redirect {
  return { ...redirect, ...RELAYED };
}

function insert(family: Family, protocol: Protocol, vip: End, port: number, mark = OWN_MARK): void {
  const client = { address: Pod.address[family], port };
  const endpoint = { address: Pod.router[family], port: 8080 };
  conntrack.create(carriedFlow(protocol, { client, vip, endpoint }, mark));
}

for (const family of FAMILIES) {
  const vip = { address: VIP[family], port: 80 };
  const nodePort = { address: Pod.router[family], port: NODE_PORT + 80 };
  const other = { address: VIP[family], port: 81 };

  t.test(`${family}: flows that the kernel carries live on when rules change`, async (t) => {
    const driver = await open(t);
    await apply(driver, { set: PROTOCOLS.map((protocol) => carried(family, protocol, 80)), remove: [] });
    for (const protocol of PROTOCOLS) for (const at of [vip, nodePort]) insert(family, protocol, at, 1000);
    const all = ['TCP from 1000', 'UDP from 1000'];
    const same = (why: string) => {
      t.strictSame(flowsTo(conntrack, vip), all, why);
      t.strictSame(flowsTo(conntrack, nodePort), all, `${why}: NodePort`);
    };
    same('as inserted');
    await apply(driver, {
      set: PROTOCOLS.map((protocol) => carried(family, protocol, 80, 42_000)),
      remove: [],
    });
    same('another proxy port');
    await apply(driver, { set: [carried(family, 'UDP', 81)], remove: [] });
    same('another VIP');
    sh('iptables -t nat -F; ip6tables -t nat -F');
    t.ok((await driver.audit()) > 0);
    same('repaired rules');
  });

  t.test(`${family}: UDP flows end with their VIP, TCP connections live on`, async (t) => {
    const driver = await open(t);
    const set = PROTOCOLS.flatMap((protocol) => [80, 81].map((port) => carried(family, protocol, port)));
    await apply(driver, { set, remove: [] });
    for (const protocol of PROTOCOLS) {
      for (const at of [vip, nodePort, other]) insert(family, protocol, at, 1000);
    }
    await apply(driver, { set: [], remove: PROTOCOLS.map((protocol) => carried(family, protocol, 80).id) });
    t.strictSame(flowsTo(conntrack, vip), ['TCP from 1000']);
    t.strictSame(flowsTo(conntrack, nodePort), ['TCP from 1000'], 'NodePort');
    t.strictSame(flowsTo(conntrack, other), ['TCP from 1000', 'UDP from 1000'], 'a VIP that stays');
  });

  t.test(`${family}: UDP flows end when workers are to relay them`, async (t) => {
    const driver = await open(t);
    const udp = carried(family, 'UDP', 80);
    await apply(driver, { set: [udp, carried(family, 'UDP', 81)], remove: [] });
    for (const at of [vip, nodePort, other]) insert(family, 'UDP', at, 1000);
    await apply(driver, { set: [{ ...udp, carriedVips: udp.vips }], remove: [] });
    t.strictSame(flowsTo(conntrack, vip), ['UDP from 1000'], 'only its NodePort goes');
    t.strictSame(flowsTo(conntrack, nodePort), []);
    await apply(driver, { set: [relayed(udp)], remove: [] });
    t.strictSame(flowsTo(conntrack, vip), []);
    t.strictSame(flowsTo(conntrack, other), ['UDP from 1000'], 'another VIP');
  });

  t.test(`${family}: UDP flows of a killed run end at VIPs that are relayed now`, async (t) => {
    const killed = await open(t);
    await apply(killed, { set: [carried(family, 'UDP', 80), carried(family, 'UDP', 81)], remove: [] });
    for (const at of [vip, other]) insert(family, 'UDP', at, 1000);
    const next = await open(t);
    await apply(next, { set: [relayed(carried(family, 'UDP', 80)), carried(family, 'UDP', 81)], remove: [] });
    t.strictSame(flowsTo(conntrack, vip), []);
    t.strictSame(flowsTo(conntrack, other), ['UDP from 1000']);
    await killed.clear();
  });

  t.test(`${family}: what others have marked with the same bit stays`, async (t) => {
    const driver = await open(t);
    await apply(driver, { set: [carried(family, 'UDP', 80)], remove: [] });
    const client = { address: Pod.address[family], port: 1000 };
    const stranger = { address: Pod.router[family], port: 53 };
    conntrack.create(carriedFlow('UDP', { client, vip: stranger, endpoint: stranger }));
    insert(family, 'UDP', vip, 1001, 0x1000);
    await apply(driver, { set: [], remove: [carried(family, 'UDP', 80).id] });
    t.strictSame(flowsTo(conntrack, vip), [], 'without our bit, it is a flow past our rules');
    await clearAll('/nonexistent', ownBit(CARRIER.markMask));
    t.strictSame(flowsTo(conntrack, stranger), ['UDP from 1000']);
  });

  t.test(`${family}: a clean end ends UDP flows, --cleanup TCP connections too`, async (t) => {
    const driver = await open(t);
    await apply(driver, { set: PROTOCOLS.map((protocol) => carried(family, protocol, 80)), remove: [] });
    for (const protocol of PROTOCOLS) for (const at of [vip, nodePort]) insert(family, protocol, at, 1000);
    await driver.clear();
    for (const at of [vip, nodePort]) t.strictSame(flowsTo(conntrack, at), ['TCP from 1000']);
    insert(family, 'UDP', vip, 1001);
    const removed = await clearAll('/nonexistent', ownBit(CARRIER.markMask));
    t.strictSame(removed, ['3 flows that the kernel carried']);
    for (const at of [vip, nodePort]) t.strictSame(flowsTo(conntrack, at), []);
    t.strictSame(await clearAll('/nonexistent', ownBit(CARRIER.markMask)), []);
  });

  t.test(`${family}: an open connection goes on when its rules are removed`, async (t) => {
    // As CNI plugins have one. Without any rule that needs it, the kernel tracks nothing.
    const masquerade = `${family === 'IPv4' ? 'iptables' : 'ip6tables'} -t nat -A POSTROUTING -o cni0 -j MASQUERADE`;
    sh(masquerade);
    t.teardown(() => sh(masquerade.replace('-A', '-D')));
    const driver = await open(t);
    await apply(driver, { set: [carried(family, 'UDP', 80)], remove: [] });
    const server = createServer((socket) => socket.pipe(socket)).listen(0, Pod.router[family]);
    t.teardown(() => server.close());
    await once(server, 'listening');
    const client = { address: Pod.router[family], port: 1000 };
    const endpoint = { address: Pod.router[family], port: (server.address() as AddressInfo).port };
    conntrack.create(carriedFlow('TCP', { client, vip, endpoint }));
    const socket = connect({ host: vip.address, port: 80, localAddress: client.address, localPort: 1000 });
    t.teardown(() => socket.destroy());
    t.equal(await echo(socket), '?');
    await driver.clear();
    t.equal(await echo(socket), '?', 'after the rules');
    t.strictSame(flowsTo(conntrack, vip), ['TCP from 1000']);
  });
}

/** Sends something over a connection to an echo. Resolves to what comes back. */
async function echo(socket: Socket): Promise<string> {
  socket.write('?');
  const [data] = await once(socket, 'data');
  return String(data);
}
