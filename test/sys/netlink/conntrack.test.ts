import '../../redirect/namespace.js';
import t from 'tap';
import { addressBytes } from '../../../lib/net/address.js';
import { EEXIST } from '../../../lib/sys/errno.js';
import { ConntrackSocket } from '../../../lib/sys/netlink/conntrack.js';
import { type Flow, STATUS, TCP_STATE, type TrackedFlow } from '../../../lib/sys/netlink/flow.js';
import { atOnce } from '../../../lib/sys/netlink/steps.js';
import type { AddressPort } from '../../../lib/sys/netlink/tuple.js';
import { sh } from '../../redirect/namespace.js';

t.setTimeout(0);

/** The kernel tracks and translates only if a nat table has a rule. */
sh('iptables -t nat -A PREROUTING -j ACCEPT; ip6tables -t nat -A PREROUTING -j ACCEPT');

const conntrack = ConntrackSocket.open();
t.teardown(() => conntrack.close());

const FAMILIES = ['IPv4', 'IPv6'] as const;
const ADDRESSES = {
  IPv4: { client: '198.51.100.1', vip: '198.51.100.2', node: '198.51.100.3', endpoint: '198.51.100.4' },
  IPv6: { client: '2001:db8::1', vip: '2001:db8::2', node: '2001:db8::3', endpoint: '2001:db8::4' },
} as const;

function at(address: string, port: number): AddressPort {
  return { address: Uint8Array.from(addressBytes(address)), port };
}

/**
 * A client's flow to a VIP. The kernel shall carry it to an endpoint, with the source address of the node or
 * the client.
 */
function flowTo(family: 'IPv4' | 'IPv6', protocol: 'TCP' | 'UDP', port: number, masquerades: boolean): Flow {
  const { client, vip, node, endpoint } = ADDRESSES[family];
  const source = at(client, port);
  return {
    original: { protocol, source, destination: at(vip, 80), zone: 0 },
    reply: {
      protocol,
      source: at(endpoint, 8080),
      destination: masquerades ? at(node, 40_000 + port) : source,
      zone: 0,
    },
    status: STATUS.confirmed | STATUS.seenReply | STATUS.assured,
    timeout: 300,
    mark: 0x1000 + port,
    tcpState: protocol === 'TCP' ? TCP_STATE.synSent : null,
  };
}

/** The members of a flow that the kernel keeps unchanged. */
function lasting({ original, reply, mark, tcpState }: Flow) {
  return { original, reply, mark, tcpState };
}

for (const family of FAMILIES) {
  for (const protocol of ['TCP', 'UDP'] as const) {
    for (const masquerades of [true, false]) {
      const name = `${family} ${protocol}${masquerades ? ', source translated too' : ''}`;
      t.test(`a flow is created, read back as it was created, and deleted: ${name}`, async (t) => {
        const flow = flowTo(family, protocol, 1, masquerades);
        t.equal(conntrack.get(flow.original), null);
        conntrack.create(flow);
        const found = conntrack.get(flow.original) as TrackedFlow;
        t.strictSame(lasting(found), lasting(flow));
        t.equal(found.status & flow.status, flow.status);
        t.ok(found.timeout > 0 && found.timeout <= flow.timeout, `${found.timeout} s`);
        t.strictSame(lasting(conntrack.getByReply(flow.reply) as TrackedFlow), lasting(flow));
        t.equal(conntrack.getByReply(flow.original), null, 'nothing answers from the VIP to itself');
        t.equal(conntrack.get(flow.reply), null);
        t.throws(() => conntrack.create(flow), { code: EEXIST });
        t.equal(atOnce(conntrack.delete([found])), 1);
        t.equal(conntrack.get(flow.original), null);
        t.equal(atOnce(conntrack.delete([found])), 0);
      });
    }
  }
}

t.test('a flow with another id is not deleted, although its addresses and ports are the same', async (t) => {
  const flow = flowTo('IPv4', 'UDP', 1, true);
  conntrack.create(flow);
  const found = conntrack.get(flow.original) as TrackedFlow;
  t.equal(atOnce(conntrack.delete([{ ...found, id: found.id ^ 1 }])), 0);
  t.equal(atOnce(conntrack.delete([found])), 1);
});

for (const family of FAMILIES) {
  t.test(`the kernel lists the flows that match a filter: ${family}`, async (t) => {
    const flows = [1, 2, 3, 200].map((port) => flowTo(family, port === 3 ? 'TCP' : 'UDP', port, true));
    for (const flow of flows) conntrack.create(flow);
    const { endpoint, vip, client } = ADDRESSES[family];
    const ports = (filter: Parameters<typeof conntrack.list>[1]) =>
      atOnce(conntrack.list(family, filter))
        .map(({ original }) => original.source.port)
        .sort((a, b) => a - b);
    t.same(ports({}), [1, 2, 3, 200]);
    t.same(ports({ mark: { value: 0x1000, mask: 0xfffffff0 } }), [1, 2, 3]);
    t.same(ports({ original: { protocol: 'UDP', source: { port: 2 } } }), [2]);
    t.same(ports({ original: { protocol: 'TCP', destination: at(vip, 80) } }), [3]);
    t.same(ports({ original: { source: { address: at(client, 0).address } } }), [1, 2, 3, 200]);
    t.same(ports({ reply: { source: { address: at(vip, 0).address } } }), []);
    const reply = { protocol: 'UDP', source: at(endpoint, 8080) } as const;
    t.same(ports({ mark: { value: 0x1000, mask: 0xfffffff0 }, reply }), [1, 2]);
    const visited: string[] = [];
    const visit = conntrack.visit([0x1000, 0x2000], 0xfffffff0, ({ client, source, mark }) =>
      visited.push(`${client.address} ${client.port} ${source.address} ${mark}`),
    );
    atOnce(visit);
    const { node } = ADDRESSES[family];
    t.same(
      visited.sort(),
      [1, 2, 3].map((port) => `${client} ${port} ${node} ${0x1000 + port}`),
    );
    t.equal(atOnce(conntrack.delete(atOnce(conntrack.list(family, {})))), 4);
    t.same(ports({}), []);
  });
}
