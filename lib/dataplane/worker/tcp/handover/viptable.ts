import type { Masquerade, PortalVip } from '../../../../portal/portal.js';
import { SocketAddress } from '../../../../sys/sockaddr.js';
import { AddressTable } from '../../kernel/addresstable.js';
import type { ServedPortal } from '../../servedportal.js';

/** An address and port whose SYNs come to this worker. */
export interface CarriedVip {
  readonly portal: ServedPortal;
  readonly masquerade: Masquerade;
}

const cell = new SocketAddress();
const NONE: readonly PortalVip[] = [];

/** The VIPs of the portals whose home is this worker. */
export class VipTable {
  readonly #tables = { v4: new AddressTable<CarriedVip>(false), v6: new AddressTable<CarriedVip>(true) };
  readonly #vipsOf = new Map<ServedPortal, readonly PortalVip[]>();

  /** Takes the VIPs of a portal, instead of those that it had: none if it is carried no more. */
  set(portal: ServedPortal, vips: readonly PortalVip[]): void {
    const table = this.#tableFor(portal.isV6);
    for (const { address, port } of this.#vipsOf.get(portal) ?? NONE) {
      const { words } = cell.set(address, port).memory;
      // A portal of the same change may have taken it over already.
      if (table.find(words, 0, port)?.portal === portal) table.delete(words, 0, port);
    }
    for (const { address, port, masquerade } of vips) {
      table.set(cell.set(address, port).memory.words, 0, port, { portal, masquerade });
    }
    if (vips.length === 0) this.#vipsOf.delete(portal);
    else this.#vipsOf.set(portal, vips);
  }

  find(vip: SocketAddress, isV6: boolean): CarriedVip | undefined {
    return this.#tableFor(isV6).find(vip.memory.words, 0, vip.port);
  }

  #tableFor(isV6: boolean): AddressTable<CarriedVip> {
    return isV6 ? this.#tables.v6 : this.#tables.v4;
  }
}
