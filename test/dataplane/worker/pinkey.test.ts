import t from 'tap';
import { Balancer } from '../../../lib/dataplane/worker/balancer.js';
import { clientKey } from '../../../lib/dataplane/worker/clientkey.js';
import { type FirstDatagram, parsePinKey, pinKey, pinKeyText } from '../../../lib/dataplane/worker/pinkey.js';
import { type Affinity, DEFAULT_POLICY } from '../../../lib/portal/policy.js';
import { SocketAddress } from '../../../lib/sys/sockaddr.js';
import { workerContext } from './fixtures.js';

const BY_CLIENT_IP: Affinity = { by: 'client-ip', timeoutMs: 10_000 };

/** A datagram that nobody needs to look into. */
const SEALED: FirstDatagram = {
  get payload(): never {
    throw new Error('its payload was read');
  },
};

const sockaddr = (address: string, port: number) => SocketAddress.of(address, port).memory.words;

function balancerWith(affinity: Affinity | null): Balancer {
  const balancer = new Balancer(1, 'default/web:/UDP/IPv4', 'default/web', workerContext());
  const endpoints = ['a', 'b'].map((id, i) => ({ id, address: `10.0.0.${i + 1}`, port: 80 }));
  balancer.update({ endpoints, policy: { ...DEFAULT_POLICY, affinity } });
  return balancer;
}

t.test('client-ip: connections and flows of one address have one key, whatever their ports', async (t) => {
  for (const address of ['10.0.0.1', 'fd00:96::10']) {
    const tcp = pinKey(BY_CLIENT_IP, sockaddr(address, 1), 0, null);
    const udp = pinKey(BY_CLIENT_IP, sockaddr(address, 65535), 0, SEALED);
    t.equal(tcp, clientKey(sockaddr(address, 1), 0));
    t.equal(udp, tcp);
  }
  const [one, other] = ['10.0.0.1', '10.0.0.2'].map((address) =>
    pinKey(BY_CLIENT_IP, sockaddr(address, 1), 0, null),
  );
  t.not(one, other);
});

/** An RTPS message of a sender with this GUID prefix, as hexadecimal digits. */
function rtps(prefix: string): FirstDatagram {
  return { payload: Buffer.from(`5254505302050110${prefix}0e010c00`, 'hex') };
}

t.test('rtps-participant and rtps-host: the key is out of the GUID prefix of the sender', async (t) => {
  const prefix = '0110465b6276a1ab271afc1a';
  const client = sockaddr('10.0.0.1', 1);
  const key = (by: Affinity['by'], first: FirstDatagram | null) =>
    pinKey({ ...BY_CLIENT_IP, by }, client, 0, first);
  t.equal(key('rtps-participant', rtps(prefix)), prefix);
  t.equal(key('rtps-host', rtps(prefix)), prefix.slice(0, 8));
  const noRtps = [
    null,
    { payload: Buffer.alloc(0) },
    { payload: Buffer.from('RTPS') },
    { payload: Buffer.from(`5254505302050110${prefix}`, 'hex').subarray(0, 19) },
    { payload: Buffer.from(`5254505802050110${prefix}`, 'hex') },
  ];
  for (const first of noRtps) {
    t.equal(key('rtps-participant', first), clientKey(client, 0), 'TCP and other datagrams: the address');
  }
});

t.test('a Service without affinity makes no key, and looks into no datagram', async (t) => {
  const balancer = balancerWith(null);
  const key = balancer.keyOf(sockaddr('10.0.0.1', 1), 0, SEALED);
  t.equal(key, null);
  t.not(balancer.pick(key)?.id, balancer.pick(key)?.id, 'it picks in turn');
});

t.test('a Service with affinity pins what has the same key', async (t) => {
  const balancer = balancerWith(BY_CLIENT_IP);
  const home = balancer.pick(balancer.keyOf(sockaddr('10.0.0.1', 1), 0, null));
  t.equal(balancer.pick(balancer.keyOf(sockaddr('10.0.0.1', 2), 0, SEALED)), home);
  t.equal(balancer.refreshPeriod, 2500, 'a quarter of the time-out');
});

t.test('a key has a text, and the text has the key', async (t) => {
  for (const text of [
    '10.0.0.1',
    '255.1.2.3',
    'fd00:96::10',
    '::1',
    '0110465b6276a1ab271afc1a',
    '0110465b',
    '10000001',
  ])
    t.equal(pinKeyText(parsePinKey(text)), text);
  t.equal(parsePinKey('10.0.0.1'), clientKey(sockaddr('10.0.0.1', 1), 0));
  t.equal(parsePinKey('fd00:96::10'), clientKey(sockaddr('fd00:96::10', 1), 0));
});
