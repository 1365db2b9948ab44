import type { Masquerade, PortalVip } from '../../../../portal/portal.js';
import { SocketAddress } from '../../../../sys/sockaddr.js';
import { addressAt, isSameAddress } from '../../../../sys/sockaddrwords.js';

/** A VIP that clients of a listener may use, as the kernel's table of tracked flows needs it. */
export interface ClientVip {
  readonly address: SocketAddress;
  readonly masquerade: Masquerade;
}

/** The VIPs of one listener. They are made anew only when its portal has other VIPs. */
export class ListenerVips {
  #known: readonly PortalVip[] = [];
  #vips: readonly ClientVip[] = [];

  /** @param vips those of the portal that the listener serves */
  of(vips: readonly PortalVip[]): readonly ClientVip[] {
    if (vips !== this.#known) {
      this.#known = vips;
      this.#vips = vips.map(clientVip);
    }
    return this.#vips;
  }

  /** The VIP with an address and port. @param at the word of `words` where the address begins */
  find(
    vips: readonly PortalVip[],
    words: Int32Array,
    at: number,
    port: number,
    isV6: boolean,
  ): ClientVip | null {
    for (const vip of this.of(vips)) {
      const { memory } = vip.address;
      if (vip.address.port !== port) continue;
      if (isSameAddress(memory.words, addressAt(0, isV6), words, at, isV6)) return vip;
    }
    return null;
  }
}

function clientVip({ address, port, masquerade }: PortalVip): ClientVip {
  return { address: SocketAddress.of(address, port), masquerade };
}
