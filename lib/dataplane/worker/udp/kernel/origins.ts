import { CONTROL_WORDS, usedAddressAt } from '../../../../sys/controlmessages.js';
import type { AddressPort } from '../../../../sys/netlink/tuple.js';
import { addressAt, addressWords, portAt } from '../../../../sys/sockaddrwords.js';
import type { TrackedEntries } from '../../kernel/trackedentries.js';
import type { UdpFlow } from '../flow.js';
import type { FlowKeys } from '../flowkeys.js';
import type { ClientVip } from './clientvip.js';

/** Finds the VIPs that clients have sent to, before a redirect changed the destination. */
export class Origins {
  constructor(
    readonly keys: FlowKeys,
    readonly tracked: TrackedEntries,
  ) {}

  /** The VIP that a flow's client uses. Null if it cannot be found, or if the portal is not carried. */
  of({ listener, portal, index }: UdpFlow): ClientVip | null {
    const { carried } = listener.portal;
    if (carried === null) return null;
    const { vips } = carried;
    const used = usedAddressAt(index * CONTROL_WORDS, portal.isV6);
    if (!listener.isRedirected) {
      return listener.vips.find(vips, this.keys.controls.words, used, listener.port, portal.isV6);
    }
    if (vips.length === 1) return listener.vips.of(vips)[0];
    const original = this.#originalOf(index, used, listener.port, portal.isV6);
    if (original === null) return null;
    const words = new Int32Array(Uint8Array.from(original.address).buffer);
    return listener.vips.find(vips, words, 0, original.port, portal.isV6);
  }

  /** Asks the kernel. SO_ORIGINAL_DST is for TCP only (getorigdst in net/netfilter/nf_conntrack_proto.c). */
  #originalOf(index: number, used: number, port: number, isV6: boolean): AddressPort | null {
    const { names, controls } = this.keys;
    const size = addressWords(isV6) * 4;
    const nameAt = this.keys.nameAt(index);
    const clientAt = addressAt(nameAt, isV6) * 4;
    const flow = this.tracked.findByReply({
      protocol: 'UDP',
      source: { address: controls.bytes.slice(used * 4, used * 4 + size), port },
      destination: {
        address: names.bytes.slice(clientAt, clientAt + size),
        port: portAt(names.words, nameAt),
      },
      zone: 0,
    });
    return flow?.original.destination ?? null;
  }
}
