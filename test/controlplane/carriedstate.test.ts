import t from 'tap';
import { carriedState, IdleTimes } from '../../lib/controlplane/carriedstate.js';
import { IPPROTO_TCP, IPPROTO_UDP } from '../../lib/sys/constants.js';
import { STATUS, TCP_STATE } from '../../lib/sys/netlink/flow.js';
import { FlowReader } from '../../lib/sys/netlink/flowreader.js';

/** The kernel's values, but for one setting that it does not show. */
const SETTINGS: Readonly<Record<string, number>> = {
  tcp_timeout_syn_sent: 120,
  tcp_timeout_established: 86_400,
  tcp_timeout_fin_wait: 120,
  tcp_timeout_unacknowledged: 300,
  tcp_timeout_max_retrans: 200,
  udp_timeout: 30,
  udp_timeout_stream: 120,
};

function tcp(tcpState: number) {
  return carriedState(Object.assign(new FlowReader(), { protocol: IPPROTO_TCP, tcpState }));
}

function udp(status: number) {
  return carriedState(Object.assign(new FlowReader(), { protocol: IPPROTO_UDP, status }));
}

t.test('a connection that has ended has no state, and others have the names of the relay', async (t) => {
  const names = Object.values(TCP_STATE).map((state) => tcp(state)?.name ?? null);
  const closing = ['closing', 'closing', 'closing'];
  t.same(names, ['connecting', 'connecting', 'open', ...closing, null, null]);
  t.equal(tcp(0)?.name, 'open', 'and if the kernel does not tell');
});

t.test('flows are told apart as conntrack does', async (t) => {
  const statuses = [STATUS.confirmed, STATUS.seenReply, STATUS.seenReply | STATUS.assured];
  t.same(
    statuses.map((status) => udp(status)?.name),
    ['unreplied', 'answered', 'stream'],
  );
});

t.test('idle is what is missing of the time-out', async (t) => {
  const times = new IdleTimes((name) => SETTINGS[name] ?? null);
  const idle = (state: ReturnType<typeof tcp>, left: number | null) => state && times.of(state, left);
  const open = tcp(TCP_STATE.established);
  t.equal(idle(open, 86_390), 10_000);
  t.equal(idle(open, 86_400), 0);
  t.equal(idle(open, 301), 86_099_000);
  t.equal(idle(open, 290), 10_000, 'a packet is not acknowledged');
  t.equal(idle(open, 190), 10_000, 'a packet was repeated often');
  t.equal(idle(open, 432_000), null, 'the setting has changed since');
  t.equal(idle(open, null), null);
  t.equal(idle(tcp(TCP_STATE.finWait), 119), 1000, 'longer time-outs are not used');
  t.equal(idle(tcp(TCP_STATE.lastAck), 30), null, 'the kernel does not show the setting');
  t.equal(idle(tcp(0), 30), null, 'nor the state');
  t.equal(idle(udp(STATUS.confirmed), 25), 5000);
  t.equal(idle(udp(STATUS.seenReply | STATUS.assured), 25), 95_000);
});
