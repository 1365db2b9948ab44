import type { Family } from '../net/address.js';
import { type Flow, STATUS } from '../sys/netlink/flow.js';
import type { FlowFilter } from '../sys/netlink/flowfilter.js';
import { isCarried } from './carriedflows.js';
import { decodeKey, keyOfBytes } from './key.js';
import type { TrackedFlows } from './trackedflows.js';

/** VIPs whose rules have changed. */
export interface ChangedVips {
  /** Keys of {@link keyOf}. */
  readonly keys: ReadonlySet<string>;
  /** The proxy port that serves the VIP with this key now. Null: it is not a VIP any more. */
  proxyPortOf(key: string): number | null;
}

/**
 * Ends tracked flows that no longer agree with the rules. The kernel asks the rules only about the first
 * packet of a flow. A flow to a VIP that began before the VIP's rule leads nowhere. A flow to a proxy port
 * that the VIP no longer has may reach another portal.
 *
 * As in kube-proxy, UDP flows are ended at once. An established TCP connection is kept, as ending its flow
 * would reset it. A TCP connection that has no answer yet is ended: the client's next SYN is a first packet
 * again. Flows that the kernel carries lead to endpoints, not to proxy ports, and are kept.
 */
export class StaleFlows {
  readonly #flows: TrackedFlows;
  /** See {@link isCarried}. */
  readonly #ownBit: number;

  constructor(flows: TrackedFlows, ownBit: number) {
    this.#flows = flows;
    this.#ownBit = ownBit;
  }

  /** If only one VIP has changed, the kernel filters the table. */
  async end(family: Family, vips: ChangedVips): Promise<void> {
    if (vips.keys.size === 0) return;
    await this.#flows.end(
      family,
      filterFor(vips.keys),
      (flow) => !isCarried(flow, this.#ownBit) && isStale(flow, vips),
    );
  }
}

/** For one VIP the kernel filters the flows. This is ten times cheaper than to list all flows. */
function filterFor(keys: ReadonlySet<string>): FlowFilter {
  const [key] = keys;
  if (key === undefined || keys.size > 1) return {};
  const { address, protocol, port } = decodeKey(key);
  return { original: { protocol, destination: { address, port } } };
}

/** The source port of the reply is the proxy port: the kernel has translated the destination to it. */
function isStale({ original, reply, status }: Flow, vips: ChangedVips): boolean {
  const { protocol, destination } = original;
  const key = keyOfBytes(destination.address, protocol, destination.port);
  if (!vips.keys.has(key) || vips.proxyPortOf(key) === reply.source.port) return false;
  return protocol === 'UDP' || (status & STATUS.seenReply) === 0;
}
