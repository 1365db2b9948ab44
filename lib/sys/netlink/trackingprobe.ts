import { addressBytes, type Family } from '../../net/address.js';
import type { Protocol } from '../../net/protocol.js';
import { EINVAL, ENOMEM, EOPNOTSUPP, EPERM, SysError } from '../errno.js';
import { ConntrackSocket } from './conntrack.js';
import { STATUS, TCP_STATE } from './flow.js';
import { atOnce } from './steps.js';
import type { AddressPort, Tuple } from './tuple.js';

/** Addresses for documentation (RFC 5737, RFC 3849): no flow of anybody has them. */
const PLACES = {
  IPv4: { client: '192.0.2.1', vip: '198.51.100.1', endpoint: '203.0.113.1' },
  IPv6: { client: '2001:db8::1', vip: '2001:db8::2', endpoint: '2001:db8::3' },
} as const;
/** The discard port (RFC 863). */
const PORT = 9;
const MARK = 1;
/** Seconds after which the kernel drops the entry of a probe that was killed. */
const TIMEOUT = 10;

const LACKS: ReadonlyMap<number, string> = new Map([
  [EPERM, 'this process may not change it; run it as root, in a container with the capability NET_ADMIN'],
  [EINVAL, 'the kernel has no interface to it (CONFIG_NF_CT_NETLINK, module nf_conntrack_netlink)'],
  [EOPNOTSUPP, 'the kernel translates no addresses in it (CONFIG_NF_NAT)'],
]);

/**
 * Makes connection tracking follow a flow between addresses that nobody has, with translation and a mark,
 * looks at it, and deletes it.
 * @returns null if it works; else what is wrong and what to do
 */
export function probeTracking(family: Family, protocol: Protocol): string | null {
  try {
    const mark = markOfProbe(family, protocol);
    return mark === MARK ? null : 'the kernel has no marks in it (CONFIG_NF_CONNTRACK_MARK)';
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    // The table is full at this moment. What is wanted of it later is tried then.
    if (error.code === ENOMEM) return null;
    return LACKS.get(error.code) ?? error.message;
  }
}

/** @throws SysError */
function markOfProbe(family: Family, protocol: Protocol): number | undefined {
  const { client, vip, endpoint } = PLACES[family];
  const tuple = (source: AddressPort, destination: AddressPort): Tuple => ({
    protocol,
    source,
    destination,
    zone: 0,
  });
  const original = tuple(at(client), at(vip));
  const conntrack = ConntrackSocket.open();
  const end = () => {
    const found = conntrack.get(original);
    if (found !== null) atOnce(conntrack.delete([found]));
    return found?.mark;
  };
  try {
    end();
    conntrack.create({
      original,
      reply: tuple(at(endpoint), at(client)),
      status: STATUS.confirmed,
      timeout: TIMEOUT,
      mark: MARK,
      tcpState: protocol === 'TCP' ? TCP_STATE.synSent : null,
    });
    return end();
  } finally {
    conntrack.close();
  }
}

function at(address: string): AddressPort {
  return { address: Uint8Array.from(addressBytes(address)), port: PORT };
}
