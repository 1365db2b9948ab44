import type { Protocol } from '../../../net/protocol.js';
import type { PortalVip } from '../../../portal/portal.js';
import { AF_INET6, IPPROTO_TCP } from '../../../sys/constants.js';
import type { FlowReader } from '../../../sys/netlink/flowreader.js';
import type { FlowProtocol } from '../../../sys/netlink/flowtemplates.js';
import type { ServedPortal } from '../servedportal.js';
import { CarriedCounts } from './carriedcounts.js';
import type { Vips } from './viptable.js';

/** Finds what is counted of the portal that an entry belongs to. */
export class CountedPortals {
  readonly #vips: Vips;
  readonly #counts = new Map<ServedPortal, CarriedCounts>();

  /** @param vips is kept up to date from here */
  constructor(vips: Vips) {
    this.#vips = vips;
  }

  /**
   * Takes the addresses of a portal's clients, instead of those that it had.
   * @returns whether they are others
   */
  set(portal: ServedPortal, protocol: Protocol, vips: readonly PortalVip[]): boolean {
    return this.#vips[protocol].set(portal, vips);
  }

  remove(portal: ServedPortal, protocol: Protocol): void {
    this.#vips[protocol].set(portal, []);
    this.#counts.delete(portal);
  }

  all(): Iterable<CarriedCounts> {
    return this.#counts.values();
  }

  /** The counts of who serves the client of an entry. Null: the VIP is gone. */
  of({ protocol, vip, client }: FlowReader): CarriedCounts | null {
    const vips = this.#vips[protocol === IPPROTO_TCP ? 'TCP' : 'UDP'];
    const portal = vips.find(vip, vip.family === AF_INET6)?.portal;
    if (portal === undefined) return null;
    return this.get(portal.forClient(client.memory.words, 0) ?? portal, protocol);
  }

  get(portal: ServedPortal, protocol: FlowProtocol): CarriedCounts {
    let counts = this.#counts.get(portal);
    if (counts === undefined) {
      counts = new CarriedCounts(portal, protocol);
      this.#counts.set(portal, counts);
    }
    return counts;
  }

  /** How many entries of a portal there are, as far as is known. */
  entriesOf(portal: ServedPortal): number {
    return this.#counts.get(portal)?.entries ?? 0;
  }
}
