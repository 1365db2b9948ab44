import { addressBytes, familyOf } from '../../lib/net/address.js';
import type { Protocol } from '../../lib/net/protocol.js';
import type { ConntrackSocket } from '../../lib/sys/netlink/conntrack.js';
import { type Flow, STATUS, TCP_STATE } from '../../lib/sys/netlink/flow.js';
import { atOnce } from '../../lib/sys/netlink/steps.js';
import type { AddressPort } from '../../lib/sys/netlink/tuple.js';

/** The mask that tests give drivers and flows, and the queues that they give drivers. */
export const CARRIER = { markMask: 0x7000_0000, firstQueue: 20_480 };
/** The mark of a flow that worker 1 inserts. */
export const OWN_MARK = 0x5000_0000;

export interface End {
  readonly address: string;
  readonly port: number;
}

/** A flow from a client to a VIP that the kernel carries to an endpoint, as workers insert it. */
export function carriedFlow(
  protocol: Protocol,
  { client, vip, endpoint }: { client: End; vip: End; endpoint: End },
  mark = OWN_MARK,
): Flow {
  return {
    original: { protocol, source: bytesOf(client), destination: bytesOf(vip), zone: 0 },
    reply: { protocol, source: bytesOf(endpoint), destination: bytesOf(client), zone: 0 },
    status: STATUS.confirmed,
    timeout: 300,
    mark,
    tcpState: protocol === 'TCP' ? TCP_STATE.synSent : null,
  };
}

/** The flows that the kernel tracks to a VIP, for example `TCP from 1000`. */
export function flowsTo(conntrack: ConntrackSocket, { address, port }: End): string[] {
  const destination = { address: bytesOf({ address, port }).address };
  const flows = atOnce(conntrack.list(familyOf(address), { original: { destination } }));
  return flows
    .filter(({ original }) => original.destination.port === port)
    .map(({ original }) => `${original.protocol} from ${original.source.port}`)
    .sort();
}

function bytesOf({ address, port }: End): AddressPort {
  return { address: Uint8Array.from(addressBytes(address)), port };
}
