import { DatagramRing } from '../../../../sys/datagrams.js';
import type { FlowKeys } from '../flowkeys.js';
import { BATCH_SIZE } from '../inbox.js';
import { ClientSender } from './clientsender.js';
import type { EndpointSocket } from './endpointsocket.js';

/** Relays the endpoints' replies to the clients, each from the address that the client used. */
export class Replies {
  readonly #ring = new DatagramRing(BATCH_SIZE, false);
  readonly #clients: ClientSender;

  constructor(keys: FlowKeys) {
    this.#clients = new ClientSender(keys);
  }

  /**
   * Relays one batch of replies from a flow's socket.
   * @returns how many replies there were, or -1 with `errno`
   */
  relay({ fd, flow, target }: EndpointSocket, now: number): number {
    const count = this.#ring.receive(fd, BATCH_SIZE);
    if (count < 0) return count;
    const { sender } = this.#clients;
    sender.clear();
    for (let slot = this.#ring.first; slot < this.#ring.first + count; slot++) {
      sender.pushSlot(this.#ring, slot);
    }
    target.counts.answered(count, sender.bytes);
    this.#clients.sendTo(flow, now);
    return count;
  }
}
