import { FAMILIES, type Family } from '../net/address.js';
import { ConntrackSocket } from '../sys/netlink/conntrack.js';
import type { Flow } from '../sys/netlink/flow.js';
import type { FlowFilter } from '../sys/netlink/flowfilter.js';
import { inTurns } from '../sys/netlink/steps.js';
import { isSameEnd } from '../sys/netlink/tuple.js';
import { keyOfBytes } from './key.js';
import type { TrackedFlows } from './trackedflows.js';

/**
 * Whether a worker inserted the flow, for the kernel to carry. Other programs may mark flows too, but they do
 * not insert translated ones.
 * @param ownBit the bit of a mark that such flows have; 0: there are none
 */
export function isCarried({ mark, original, reply }: Flow, ownBit: number): boolean {
  return (mark & ownBit) !== 0 && !isSameEnd(reply.source, original.destination);
}

/** The UDP flows that the kernel carries. */
export class CarriedFlows {
  readonly #flows: TrackedFlows;
  readonly #ownBit: number;

  constructor(flows: TrackedFlows, ownBit: number) {
    this.#flows = flows;
    this.#ownBit = ownBit;
  }

  /**
   * Ends the flows to VIPs with these keys, because the kernel may not carry them any more. The next datagram
   * of such a flow meets the rules. TCP connections live on.
   */
  async end(family: Family, keys: ReadonlySet<string>): Promise<void> {
    if (keys.size === 0) return;
    await this.#flows.end(family, filterFor(this.#ownBit), (flow) => {
      const { protocol, destination } = flow.original;
      if (protocol !== 'UDP' || !isCarried(flow, this.#ownBit)) return false;
      return keys.has(keyOfBytes(destination.address, protocol, destination.port));
    });
  }
}

/**
 * Ends all flows that any run has let the kernel carry, UDP and TCP.
 * @returns how many
 * @throws SysError if the kernel does not end one
 */
export async function endCarriedFlows(ownBit: number): Promise<number> {
  const conntrack = openConntrack();
  if (conntrack === null) return 0;
  try {
    let count = 0;
    for (const family of FAMILIES) {
      const flows = conntrack.list(family, filterFor(ownBit), (flow) => isCarried(flow, ownBit));
      count += await inTurns(conntrack.delete(await inTurns(flows)));
    }
    return count;
  } finally {
    conntrack.close();
  }
}

/** Null: the kernel has no such interface, so no worker has inserted a flow. */
export function openConntrack(): ConntrackSocket | null {
  try {
    return ConntrackSocket.open();
  } catch {
    return null;
  }
}

function filterFor(ownBit: number): FlowFilter {
  return { mark: { value: ownBit, mask: ownBit } };
}
