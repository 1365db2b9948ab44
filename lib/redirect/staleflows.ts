import type { Logger } from 'pino';
import type { Family } from '../net/address.js';
import { ConntrackSocket } from '../sys/netlink/conntrack.js';
import { inTurns } from '../sys/netlink/exchange.js';
import { type Flow, STATUS } from '../sys/netlink/flow.js';
import type { FlowFilter } from '../sys/netlink/flowfilter.js';
import { keyOfBytes, partsOf } from './key.js';

/** VIPs whose rules have changed. */
export interface ChangedVips {
  /** See {@link keyOf}. */
  readonly keys: ReadonlySet<string>;
  /** The proxy port that serves the VIP with a key now; null for one that is none any more. */
  proxyPortOf(key: string): number | null;
}

/**
 * Ends flows that the kernel would carry on past the rules, as it asks them about the first packet only: to a
 * VIP from before its rule, which lead nowhere, and to a proxy port that a VIP has left,
 * where another portal may listen by now.
 *
 * As in kube-proxy, UDP flows lose their way at once. An open TCP connection keeps it: started anew, it would
 * be reset; only one that nobody has answered yet is no loss,
 * and its client's next SYN is a first packet again.
 */
export class StaleFlows {
  /** Null where the kernel has no such interface; undefined until it was first needed. */
  #conntrack: ConntrackSocket | null | undefined;

  readonly #log: Logger;

  constructor(log: Logger) {
    this.#log = log;
  }

  /**
   * Costs one look at the table of flows, by the kernel where one VIP has changed. What does not work is
   * logged: nothing but the flows in question needs it.
   */
  async end(family: Family, vips: ChangedVips): Promise<void> {
    if (vips.keys.size === 0) return;
    if (this.#conntrack === undefined) this.#conntrack = this.#open();
    if (this.#conntrack === null) return;
    try {
      const filter = filterFor(vips.keys);
      const stale = await inTurns(this.#conntrack.list(family, filter, (flow) => isStale(flow, vips)));
      const count = await inTurns(this.#conntrack.delete(stale));
      if (count > 0) this.#log.debug({ family, count }, 'ended flows that went past the rules');
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
        'no access to tracked flows (nf_conntrack_netlink): who sends to a VIP before it is served must start anew',
      );
      return null;
    }
  }
}

/** For one VIP the kernel looks itself, which is ten times cheaper than to tell of all flows. */
function filterFor(keys: ReadonlySet<string>): FlowFilter {
  const [key] = keys;
  if (key === undefined || keys.size > 1) return {};
  const { address, protocol, port } = partsOf(key);
  return { original: { protocol, destination: { address, port } } };
}

/** The port that answers is another one than the client's where the destination is translated. */
function isStale({ original, reply, status }: Flow, vips: ChangedVips): boolean {
  const { protocol, destination } = original;
  const key = keyOfBytes(destination.address, protocol, destination.port);
  if (!vips.keys.has(key) || vips.proxyPortOf(key) === reply.source.port) return false;
  return protocol === 'UDP' || (status & STATUS.seenReply) === 0;
}
