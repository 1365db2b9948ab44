import '../redirect/namespace.js';
import t from 'tap';
import { CarriedSessions } from '../../lib/controlplane/carriedsessions.js';
import type { ListedSessions, Session, SessionFilter } from '../../lib/dataplane/shared/sessions.js';
import { addressBytes } from '../../lib/net/address.js';
import { EVERYONE } from '../../lib/portal/admission.js';
import { IPPROTO_UDP } from '../../lib/sys/constants.js';
import { ConntrackSocket } from '../../lib/sys/netlink/conntrack.js';
import { STATUS, TCP_STATE } from '../../lib/sys/netlink/flow.js';
import { FlowReader } from '../../lib/sys/netlink/flowreader.js';
import { atOnce, type Steps } from '../../lib/sys/netlink/steps.js';
import { sh } from '../redirect/namespace.js';
import { portalOf } from './portals.js';

t.setTimeout(0);

/** The kernel tracks and translates only if a nat table has a rule. */
sh('iptables -t nat -A PREROUTING -j ACCEPT; ip6tables -t nat -A PREROUTING -j ACCEPT');

const OWN = 0x4000_0000;
const EVERYTHING: SessionFilter = { service: null, client: null };
const WEB = portalOf('default/web:/TCP/IPv4', { vips: ['10.96.0.10:80'] });
const DNS = portalOf('default/dns:/UDP/IPv6', { vips: ['[fd00:96::10]:53'] });
const PORTALS = { present: () => [WEB, DNS].map((portal) => ({ portal, admission: EVERYONE })) };
const PORTALS_OF_NODE = PORTALS as unknown as ConstructorParameters<typeof CarriedSessions>[0];
const conntrack = ConntrackSocket.open();
t.teardown(() => conntrack.close());

interface Entry {
  readonly client: string;
  readonly port: number;
  readonly vip?: string;
  readonly endpoint?: string;
  readonly mark?: number;
  readonly tcpState?: number;
  readonly status?: number;
}

function end(address: string, port: number) {
  return { address: Uint8Array.from(addressBytes(address)), port };
}

/** Puts an entry into the table: a TCP connection over IPv4, or a UDP flow over IPv6. */
function track({ client, port, status = 0, mark = OWN, tcpState = TCP_STATE.established, ...over }: Entry) {
  const isV6 = client.includes(':');
  const { vip = isV6 ? 'fd00:96::10' : '10.96.0.10', endpoint = isV6 ? 'fd00::2' : '10.0.0.1' } = over;
  const protocol = isV6 ? 'UDP' : 'TCP';
  const servedPort = isV6 ? 53 : 80;
  conntrack.create({
    original: { protocol, source: end(client, port), destination: end(vip, servedPort), zone: 0 },
    reply: { protocol, source: end(endpoint, servedPort), destination: end(client, port), zone: 0 },
    status: STATUS.confirmed | status,
    timeout: isV6 ? 25 : 3600,
    mark,
    tcpState: isV6 ? null : tcpState,
  });
}

/** Empties the table at the end of a test. */
function emptyAfter(t: { teardown(run: () => void): unknown }): void {
  t.teardown(() => {
    for (const family of ['IPv4', 'IPv6'] as const)
      atOnce(conntrack.delete(atOnce(conntrack.list(family, {}))));
  });
}

async function list(
  filter: Partial<SessionFilter> = {},
  maxListed = Number.POSITIVE_INFINITY,
  sessions = new CarriedSessions(PORTALS_OF_NODE, OWN),
): Promise<ListedSessions[]> {
  const parts: ListedSessions[] = [];
  for await (const part of sessions.sessions({ ...EVERYTHING, ...filter }, maxListed)) parts.push(part);
  return parts;
}

const sessionsOf = (parts: readonly ListedSessions[]): Session[] => parts.flatMap(({ sessions }) => sessions);
const clientsOf = (parts: readonly ListedSessions[]) => sessionsOf(parts).map(({ client }) => client);
const counted = (parts: readonly ListedSessions[]) =>
  parts.flatMap(({ loads }) => loads).reduce((sum, { sessions }) => sum + sessions, 0);

t.test('a session is listed with its client, its endpoint and what the kernel knows', async (t) => {
  emptyAfter(t);
  sh('sysctl -qw net.netfilter.nf_conntrack_acct=0');
  track({ client: '10.244.0.7', port: 40_000 });
  sh('sysctl -qw net.netfilter.nf_conntrack_acct=1');
  track({ client: 'fd00:244::7', port: 40_001, status: STATUS.seenReply });
  const [tcp, udp, ...more] = sessionsOf(await list()).sort((a, b) => (a.client < b.client ? -1 : 1));
  t.same(more, []);
  t.match(tcp, {
    portal: WEB.key,
    client: '10.244.0.7:40000',
    endpoint: '10.0.0.1:80',
    carrier: 'kernel',
    state: 'open',
    bytesIn: null,
    bytesOut: null,
  });
  t.match(udp, {
    portal: DNS.key,
    client: '[fd00:244::7]:40001',
    endpoint: '[fd00::2]:53',
    carrier: 'kernel',
    state: 'answered',
    bytesIn: 0,
    bytesOut: 0,
  });
  const idleMs = udp?.idleMs ?? 0;
  t.ok(idleMs >= 5000 && idleMs <= 30_000, `of 30 s, 25 s were left: ${idleMs}`);
});

t.test('only what workers have inserted is listed, and only what is open', async (t) => {
  emptyAfter(t);
  track({ client: '10.244.0.1', port: 1 });
  track({ client: '10.244.0.2', port: 1, mark: OWN + 0x1000_0000 });
  track({ client: '10.244.0.3', port: 1, mark: 0 });
  track({ client: '10.244.0.4', port: 1, mark: 0x1000_0000 });
  track({ client: '10.244.0.5', port: 1, endpoint: '10.96.0.10' });
  track({ client: '10.244.0.6', port: 1, tcpState: TCP_STATE.timeWait });
  t.same(clientsOf(await list()).sort(), ['10.244.0.1:1', '10.244.0.2:1']);
});

t.test('a listing may be of one Service or one client, however its address is written', async (t) => {
  emptyAfter(t);
  track({ client: '10.244.0.1', port: 1 });
  track({ client: '10.244.0.2', port: 1 });
  track({ client: 'fd00:244::1', port: 1 });
  track({ client: '10.244.0.1', port: 2, vip: '10.96.0.99' });
  t.same(clientsOf(await list({ service: 'default/dns' })), ['[fd00:244::1]:1']);
  t.same(clientsOf(await list({ client: 'fd00:244:0::1' })), ['[fd00:244::1]:1']);
  t.same(clientsOf(await list({ client: '10.244.0.1' })).sort(), ['10.244.0.1:1', '10.244.0.1:2']);
  t.same(clientsOf(await list({ client: '10.244.0.1', service: 'default/web' })), ['10.244.0.1:1']);
  t.same(clientsOf(await list({ service: 'default/other' })), []);
  const ofNobody = sessionsOf(await list()).filter(({ portal }) => portal === null);
  t.same(
    ofNobody.map(({ client }) => client),
    ['10.244.0.1:2'],
    'the VIP is gone',
  );
});

t.test('thousands are listed in parts, and counted beyond the limit', async (t) => {
  emptyAfter(t);
  const many = 3000;
  for (let port = 1; port <= many; port++) track({ client: '10.244.0.1', port });
  const parts = await list();
  t.equal(new Set(clientsOf(parts)).size, many);
  t.equal(clientsOf(parts).length, many);
  t.ok(parts.length > 10, `${parts.length} parts`);
  t.ok(parts.every(({ sessions }) => sessions.length < 500));
  const short = await list({}, 700);
  t.same([clientsOf(short).length, counted(short)], [700, many]);
  t.same([clientsOf(await list({}, 0)).length, counted(await list({}, 0))], [0, many]);
});

t.test('other work runs between two parts, and a listing may end early', async (t) => {
  emptyAfter(t);
  for (let port = 1; port <= 1000; port++) track({ client: '10.244.0.1', port });
  let isOpen = true;
  const open = () => {
    const table = ConntrackSocket.open();
    return {
      visit: table.visit.bind(table),
      close: () => {
        isOpen = false;
        table.close();
      },
    };
  };
  let turns = 0;
  const otherWork = () => {
    turns++;
    if (isOpen) setImmediate(otherWork);
  };
  setImmediate(otherWork);
  const parts = await list({}, 10, new CarriedSessions(PORTALS_OF_NODE, OWN, open));
  t.ok(parts.length > 2);
  t.ok(turns >= parts.length - 1, `${turns} turns`);
  t.notOk(isOpen);
  isOpen = true;
  for await (const _ of new CarriedSessions(PORTALS_OF_NODE, OWN, open).sessions(EVERYTHING, 1)) break;
  t.notOk(isOpen, 'the table is closed');
});

t.test('a flow that the kernel shows again is listed once', async (t) => {
  const flow = Object.assign(new FlowReader(), { protocol: IPPROTO_UDP, mark: OWN });
  flow.vip.set('fd00:96::10', 53);
  flow.endpoint.set('fd00::2', 53);
  const show = (onFlow: (flow: FlowReader) => void, id: number) => {
    flow.client.set('fd00:244::7', id);
    onFlow(Object.assign(flow, { id }));
  };
  const table = {
    *visit(_marks: unknown, _mask: unknown, onFlow: (flow: FlowReader) => void): Steps<void> {
      for (const id of [1, 2]) show(onFlow, id);
      yield;
      for (const id of [1, 2, 3]) show(onFlow, id);
      yield;
      show(onFlow, 4);
    },
    close: () => {},
  };
  const parts = await list({}, 10, new CarriedSessions(PORTALS_OF_NODE, OWN, () => table));
  t.same(
    clientsOf(parts),
    [1, 2, 3, 4].map((port) => `[fd00:244::7]:${port}`),
  );
  t.equal(counted(parts), 4);
});

t.test('without a table of tracked flows, nothing is carried', async (t) => {
  t.same(await list({}, 10, new CarriedSessions(PORTALS_OF_NODE, OWN, () => null)), []);
});
