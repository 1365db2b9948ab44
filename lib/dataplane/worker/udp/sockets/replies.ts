import { CONTROL_SIZE } from '../../../../sys/controlmessages.js';
import { DatagramRing } from '../../../../sys/datagrams.js';
import { DatagramSender } from '../../../../sys/datagramsender.js';
import { SOCKADDR_SIZE } from '../../../../sys/sockaddr.js';
import { FIELD } from '../../../shared/counters.js';
import type { FlowKeys } from '../flowkeys.js';
import { BATCH } from '../inbox.js';
import type { EndpointSocket } from './endpointsocket.js';

/** Relays the endpoints' replies to the clients, each from the address that the client used. */
export class Replies {
  readonly #ring = new DatagramRing(BATCH, false);
  readonly #sender = new DatagramSender(BATCH);

  constructor(readonly keys: FlowKeys) {}

  /**
   * Relays one batch of replies from a flow's socket.
   * @returns how many replies there were, or -1 with `errno`
   */
  relay({ fd, flow }: EndpointSocket, now: number): number {
    const { portal, index } = flow;
    const count = this.#ring.receive(fd, BATCH);
    if (count < 0) return count;
    const sender = this.#sender;
    sender.clear();
    for (let slot = this.#ring.first; slot < this.#ring.first + count; slot++) {
      sender.pushSlot(this.#ring, slot);
    }
    portal.count(FIELD.datagramsOut, count);
    portal.count(FIELD.bytesOut, sender.bytes);
    sender.maySegment = flow.maySegment(now);
    const sent = sender.sendTo(
      flow.listener.fd,
      this.keys.names,
      index * SOCKADDR_SIZE,
      this.keys.controls,
      index * CONTROL_SIZE,
      portal.isV6,
    );
    if (sender.segments === 'refused') flow.refuseSegments(now);
    if (sent < count) portal.count(FIELD.datagramsDropped, count - sent);
    return count;
  }
}
