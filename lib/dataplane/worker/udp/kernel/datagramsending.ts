import { EPERM, errno, errnoName } from '../../../../sys/errno.js';
import type { PacketQueue } from '../../../../sys/netlink/packetqueue.js';
import type { DataplaneEvent } from '../../../shared/messages.js';
import { hopsOnward } from '../../hops.js';
import type { KernelTools } from '../../kernel/tools.js';
import type { ServedPortal } from '../../servedportal.js';
import type { Target } from '../../target.js';
import type { QueuedDatagram } from './queueddatagram.js';

/**
 * Sends first datagrams once more, in their clients' names and to the VIP. They go by the entries of their
 * flows, which can give them another source. A datagram that goes on from its queue keeps its source.
 */
export class DatagramSending {
  /** @param report takes events for the log */
  constructor(
    readonly tools: KernelTools,
    readonly report: (event: DataplaneEvent) => void,
  ) {}

  /** @returns false if the node could not send it */
  send(datagram: QueuedDatagram, queue: PacketQueue, target: Target, { key, isV6 }: ServedPortal): boolean {
    const { client, vip, dataAt, dataLength } = datagram;
    const hops = hopsOnward(datagram.hops);
    if (hops < 1) {
      this.report({ kind: 'hopsUsedUp', portal: key, client: client.address });
      return true;
    }
    const injector = this.tools.injectorFor(isV6);
    injector.pushDatagram(client, vip, queue.memory, dataAt, dataLength, hops);
    // EPERM: a rule of this node forbids the endpoint to the client, and the relay must not lead round it.
    if (injector.send(target.address) === 1 || errno() === EPERM) return true;
    this.report({ kind: 'notCarried', portal: key, endpoint: target.name, reason: errnoName(errno()) });
    return false;
  }
}
