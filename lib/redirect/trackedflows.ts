import type { Logger } from 'pino';
import type { Family } from '../net/address.js';
import { ConntrackSocket } from '../sys/netlink/conntrack.js';
import type { TrackedFlow } from '../sys/netlink/flow.js';
import type { FlowFilter } from '../sys/netlink/flowfilter.js';
import { inTurns } from '../sys/netlink/steps.js';

/**
 * Ends flows that the kernel tracks, if it lets this process. Errors are only logged: nothing suffers but the
 * flows in question. Calls must not overlap.
 */
export class TrackedFlows {
  /** Null: the kernel has no such interface. Undefined: not needed yet. */
  #conntrack: ConntrackSocket | null | undefined;

  readonly #log: Logger;

  constructor(log: Logger) {
    this.#log = log;
  }

  /**
   * Ends the TCP and UDP flows of a family that match a filter and for which `isStale` is true. Reads the
   * table once. The next packet of such a flow is a first packet again.
   */
  async end(family: Family, filter: FlowFilter, isStale: (flow: TrackedFlow) => boolean): Promise<void> {
    if (this.#conntrack === undefined) this.#conntrack = this.#open();
    if (this.#conntrack === null) return;
    try {
      const stale = await inTurns(this.#conntrack.list(family, filter, isStale));
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
