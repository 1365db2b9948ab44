import type { Protocol } from '../../../net/protocol.js';
import type { PortalVip } from '../../../portal/portal.js';
import { AF_INET6, IPPROTO_TCP } from '../../../sys/constants.js';
import type { FlowReader } from '../../../sys/netlink/flowreader.js';
import type { FlowProtocol } from '../../../sys/netlink/flowtemplates.js';
import type { ServedPortal } from '../servedportal.js';
import type { CarriedEndpoint } from './carriedendpoint.js';
import { CarriedEndpoints } from './carriedendpoints.js';
import type { Vips } from './viptable.js';

/** Finds what is counted of the portal and the endpoint that an entry belongs to. */
export class CountedPortals {
  readonly #vips: Vips;
  readonly #endpoints = new Map<ServedPortal, CarriedEndpoints>();

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
    this.#endpoints.delete(portal);
  }

  *all(): Iterable<CarriedEndpoint> {
    for (const endpoints of this.#endpoints.values()) yield* endpoints.all();
  }

  /** What is counted of who serves the client of an entry. Null: the VIP is gone. */
  of({ protocol, vip, client, endpoint }: FlowReader): CarriedEndpoint | null {
    const vips = this.#vips[protocol === IPPROTO_TCP ? 'TCP' : 'UDP'];
    const portal = vips.find(vip, vip.family === AF_INET6)?.portal;
    if (portal === undefined) return null;
    return this.endpointsOf(portal.forClient(client.memory.words, 0) ?? portal, protocol).of(endpoint);
  }

  endpointsOf(portal: ServedPortal, protocol: FlowProtocol): CarriedEndpoints {
    let endpoints = this.#endpoints.get(portal);
    if (endpoints === undefined) {
      endpoints = new CarriedEndpoints(portal, protocol);
      this.#endpoints.set(portal, endpoints);
    }
    return endpoints;
  }

  /** How many entries of a portal there are, as far as is known. */
  entriesOf(portal: ServedPortal): number {
    return this.#endpoints.get(portal)?.entries ?? 0;
  }
}
