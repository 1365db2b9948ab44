import type { Logger } from 'pino';
import type { Family } from '../net/address.js';
import { ConntrackSocket } from '../sys/netlink/conntrack.js';
import { type Flow, STATUS } from '../sys/netlink/flow.js';
import type { FlowFilter } from '../sys/netlink/flowfilter.js';
import { inTurns } from '../sys/netlink/steps.js';
import { decodeKey, keyOfBytes } from './key.js';

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
 * again.
 */
export class StaleFlows {
  /** Null: the kernel has no such interface. Undefined: not needed yet. */
  #conntrack: ConntrackSocket | null | undefined;

  readonly #log: Logger;

  constructor(log: Logger) {
    this.#log = log;
  }

  /**
   * Reads the table of tracked flows once. If only one VIP has changed, the kernel filters the table. An
   * error is logged: only the stale flows suffer from it.
   */
  async end(family: Family, vips: ChangedVips): Promise<void> {
    if (vips.keys.size === 0) return;
    if (this.#conntrack === undefined) this.#conntrack = this.#open();
    if (this.#conntrack === null) return;
    try {
      const filter = filterFor(vips.keys);
      const stale = await inTurns(this.#conntrack.list(family, filter, (flow) => isStale(flow, vips)));
      const count = await inTurns(this.#conntrack.delete(stale));
      if (count > 0)
        this.#log.debug({ family, count }, 'ended tracked flows that did not agree with the rules');
    } catch (error) {
      this.#log.debug({ family, reason: (error as Error).message }, 'cannot look for stale flows');
    }
  }

  #open(): ConntrackSocket | null {
    try {
      return ConntrackSocket.open();
    } catch (error) {
      this.#log.debug(
        { reason: (error as Error).message },
        'no access to tracked flows (nf_conntrack_netlink): a client that sends to a VIP before it is served must send from a new port',
      );
      return null;
    }
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
