import { CONTROL_SIZE } from '../../../../sys/controlmessages.js';
import { DatagramSender } from '../../../../sys/datagramsender.js';
import { SOCKADDR_SIZE } from '../../../../sys/sockaddr.js';
import { FIELD } from '../../../shared/counters.js';
import type { UdpFlow } from '../flow.js';
import type { FlowKeys } from '../flowkeys.js';
import { BATCH_SIZE } from '../inbox.js';

/** Sends replies to clients, each from the address that the client used. */
export class ClientSender {
  /** Collects the replies. */
  readonly sender = new DatagramSender(BATCH_SIZE);

  constructor(readonly keys: FlowKeys) {}

  /** Sends the collected replies to the client of a flow. @param now loop clock, ms */
  sendTo(flow: UdpFlow, now: number): void {
    const { sender } = this;
    const { portal, index } = flow;
    portal.count(FIELD.datagramsOut, sender.count);
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
    if (sent < sender.count) portal.count(FIELD.datagramsDropped, sender.count - sent);
  }
}
