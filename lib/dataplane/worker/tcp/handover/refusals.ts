import { EHOSTDOWN, EHOSTUNREACH, ENETUNREACH, errnoName } from '../../../../sys/errno.js';
import { SocketAddress } from '../../../../sys/sockaddr.js';
import { FIELD } from '../../../shared/counters.js';
import type { RefusedPacket } from '../../kernel/errorqueue.js';
import type { ServedPortal } from '../../servedportal.js';
import type { Target } from '../../target.js';
import type { TcpHandover } from './handover.js';
import type { Ends } from './queuedsyn.js';
import { NO_SLOT, type Slot } from './synkeys.js';

/**
 * ICMP errors that say that no host is there. A host refuses a connection by a reset, so all other errors
 * come from a firewall, which may let other clients pass: that is no failure of the endpoint.
 */
const NO_HOST: ReadonlySet<number> = new Set([ENETUNREACH, EHOSTUNREACH, EHOSTDOWN]);

/** Hides from clients that an endpoint has refused their SYN, as long as another endpoint is left. */
export class TcpRefusals {
  readonly #handover: TcpHandover;
  readonly #endpoint = new SocketAddress();
  readonly #ends: Ends = { client: new SocketAddress(), vip: new SocketAddress() };

  constructor(handover: TcpHandover) {
    this.#handover = handover;
  }

  /** @returns whether the client must not see the refusal, because another endpoint has its SYN now */
  onRefused(packet: RefusedPacket): boolean {
    const { saved, entries, sender } = this.#handover;
    const slot = this.#slotOf(packet);
    if (slot === NO_SLOT) return false;
    saved.readEnds(slot, this.#ends);
    if (!this.#handover.moveOn(slot, this.#ends, errnoName(packet.code), true)) {
      (saved.portals[slot] as ServedPortal).count(FIELD.connectionsRefused, 1);
      saved.delete(slot);
      return false;
    }
    entries.commit();
    // Without an entry, the client's next SYN goes to the relay. It comes after a second.
    if (saved.has(slot)) sender.sendToTarget(slot);
    return true;
  }

  /** The SYN that its endpoint has refused. NO_SLOT if the packet does not say so. */
  #slotOf({ headers, isReset, code, isFromHere, bytes }: RefusedPacket): Slot {
    const { saved } = this.#handover;
    // The answer to a SYN, and not an end of a connection that was open, has 0 (RFC 9293, 3.5.2).
    if (isReset ? headers.sequence !== 0 : !NO_HOST.has(code)) return NO_SLOT;
    const sequence = isReset ? (headers.acknowledgement - 1) >>> 0 : headers.sequence;
    const endpoint = this.#endpoint.setBytes(
      bytes,
      isReset ? headers.sourceAt : headers.destinationAt,
      headers.isV6,
      isReset ? headers.sourcePort : headers.destinationPort,
    );
    const slot = saved.findHandedTo(endpoint, sequence);
    // This node's firewall can send resets in the endpoint's name.
    const isForged =
      isReset && isFromHere && slot !== NO_SLOT && !this.#isHere(saved.targets[slot] as Target);
    return isForged ? NO_SLOT : slot;
  }

  #isHere(target: Target): boolean {
    const route = this.#handover.tools.node.paths.to(target);
    return typeof route !== 'number' && route.isLocal;
  }
}
