import { hostPort } from '../../../net/hostport.js';
import type { FlowProtocol } from '../../../sys/netlink/flowtemplates.js';
import { SocketAddress } from '../../../sys/sockaddr.js';
import type { ServedPortal } from '../servedportal.js';
import type { Target } from '../target.js';
import { AddressTable } from './addresstable.js';
import { CarriedEndpoint } from './carriedendpoint.js';

const cell = new SocketAddress();

/**
 * The endpoints to which the kernel carries clients of one portal. One that the portal no longer has stays
 * until its last entry has ended, so that its entries are not taken off another's.
 */
export class CarriedEndpoints {
  readonly #portal: ServedPortal;
  readonly #protocol: FlowProtocol;
  readonly #table: AddressTable<CarriedEndpoint>;
  readonly #all = new Set<CarriedEndpoint>();
  #targets: readonly Target[];

  constructor(portal: ServedPortal, protocol: FlowProtocol) {
    this.#portal = portal;
    this.#protocol = protocol;
    this.#table = new AddressTable(portal.isV6);
    this.#targets = portal.balancer.rotation.targets;
  }

  /** The endpoint with this address and port. */
  of(endpoint: SocketAddress): CarriedEndpoint {
    this.#followChanges();
    const { words } = endpoint.memory;
    let found = this.#table.find(words, 0, endpoint.port);
    if (found === undefined) {
      found = new CarriedEndpoint(endpoint.address, endpoint.port, this.#portal, this.#protocol);
      found.target = this.#targetOf(found);
      this.#table.set(words, 0, endpoint.port, found);
      this.#all.add(found);
    }
    return found;
  }

  all(): Iterable<CarriedEndpoint> {
    this.#followChanges();
    return this.#all;
  }

  /** How many entries there are, as far as is known. */
  get entries(): number {
    let sum = 0;
    for (const { entries } of this.#all) sum += entries;
    return sum;
  }

  #followChanges(): void {
    const { targets } = this.#portal.balancer.rotation;
    if (targets === this.#targets) return;
    this.#targets = targets;
    for (const endpoint of this.#all) {
      const target = this.#targetOf(endpoint);
      endpoint.target = target;
      if (target === null && endpoint.isIdle) this.#forget(endpoint);
    }
  }

  #targetOf({ address, port }: CarriedEndpoint): Target | null {
    return this.#portal.balancer.rotation.findByName(hostPort(address, port));
  }

  #forget(endpoint: CarriedEndpoint): void {
    const { address, port } = endpoint;
    this.#table.delete(cell.set(address, port).memory.words, 0, port);
    this.#all.delete(endpoint);
  }
}
