import type { DatagramSender } from '../../../../sys/datagramsender.js';
import type { Route } from '../../../../sys/netlink/routequery.js';
import type { Carrier } from '../carrier.js';
import type { UdpFlow } from '../flow.js';
import type { ClientVip } from './clientvip.js';

/** The owner of a worker's kernel carriers. */
export interface CarrierOwner {
  /** See {@link Carrier.send}. */
  send(carrier: KernelCarrier, sender: DatagramSender): number;
}

/**
 * Carries a flow by an entry in the kernel's table of tracked flows. Datagrams that have come to the listener
 * all the same are put back onto the client's way to the VIP. Answers never come here.
 */
export class KernelCarrier implements Carrier {
  /** Its place in the batch of entries that will be committed next. */
  position = 0;
  /** The errno of its entry in the last batch that had it. */
  code = 0;
  /** When the kernel last took the entry, ms of the loop's clock. Null: not yet. */
  enteredAt: number | null = null;
  readonly #owner: CarrierOwner;

  /**
   * @param route to the flow's endpoint
   * @param port the client's port, which the endpoint sees too, unless another client has it
   */
  constructor(
    readonly flow: UdpFlow,
    readonly vip: ClientVip,
    readonly route: Route,
    readonly port: number,
    owner: CarrierOwner,
  ) {
    this.#owner = owner;
  }

  send(sender: DatagramSender): number {
    return this.#owner.send(this, sender);
  }

  /** The kernel sends answers to the client. */
  drain(): void {}

  /** The entry can have one endpoint only, so the one before cannot answer any more. */
  retire(): void {
    this.close();
  }

  /** The entry stays: the next carrier replaces it, or the kernel goes on after the flow is forgotten. */
  close(): void {
    this.flow.carrier = null;
  }
}
