import { isDeepStrictEqual } from 'node:util';
import type { Protocol } from '../../../net/protocol.js';
import type { Masquerade, PortalVip } from '../../../portal/portal.js';
import { SocketAddress } from '../../../sys/sockaddr.js';
import type { ServedPortal } from '../servedportal.js';
import { AddressTable } from './addresstable.js';

/** An address and port of clients that the kernel carries. */
export interface CarriedVip {
  readonly portal: ServedPortal;
  readonly masquerade: Masquerade;
}

const cell = new SocketAddress();
const NONE: readonly PortalVip[] = [];

/**
 * The portals of a worker by their VIPs. A portal that the kernel may carry no more stays here, because its
 * entries are still counted: see ServedPortal.carried.
 */
export type Vips = Readonly<Record<Protocol, VipTable>>;

/** The portals of one protocol by their VIPs. */
export class VipTable {
  readonly #tables = { v4: new AddressTable<CarriedVip>(false), v6: new AddressTable<CarriedVip>(true) };
  readonly #vipsOf = new Map<ServedPortal, readonly PortalVip[]>();

  /**
   * Takes the VIPs of a portal, instead of those that it had.
   * @returns whether they are others
   */
  set(portal: ServedPortal, vips: readonly PortalVip[]): boolean {
    const known = this.#vipsOf.get(portal) ?? NONE;
    // Another portal may have had one of them for a while.
    if (isDeepStrictEqual(known, vips) && known.every((vip) => this.#isOf(portal, vip))) return false;
    const table = this.#tableFor(portal.isV6);
    for (const vip of known) {
      // A portal of the same change may have taken it over already.
      if (this.#isOf(portal, vip)) table.delete(cell.set(vip.address, vip.port).memory.words, 0, vip.port);
    }
    for (const { address, port, masquerade } of vips) {
      table.set(cell.set(address, port).memory.words, 0, port, { portal, masquerade });
    }
    if (vips.length === 0) this.#vipsOf.delete(portal);
    else this.#vipsOf.set(portal, vips);
    return true;
  }

  /** Those that have VIPs. */
  portals(): Iterable<ServedPortal> {
    return this.#vipsOf.keys();
  }

  find(vip: SocketAddress, isV6: boolean): CarriedVip | undefined {
    return this.#tableFor(isV6).find(vip.memory.words, 0, vip.port);
  }

  #isOf(portal: ServedPortal, { address, port }: PortalVip): boolean {
    return this.find(cell.set(address, port), portal.isV6)?.portal === portal;
  }

  #tableFor(isV6: boolean): AddressTable<CarriedVip> {
    return isV6 ? this.#tables.v6 : this.#tables.v4;
  }
}
