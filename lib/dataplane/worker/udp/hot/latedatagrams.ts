import { DatagramRing } from '../../../../sys/datagrams.js';
import type { DatagramSender } from '../../../../sys/datagramsender.js';
import { errno } from '../../../../sys/errno.js';
import type { KernelTools } from '../../kernel/tools.js';
import { BATCH_SIZE } from '../inbox.js';
import type { FlowEntries } from '../kernel/entries.js';
import type { HotCarrier } from './hotcarrier.js';

/** What comes so long after the kernel has taken a flow over, ms, is not late: the flow's entry is gone. */
const LATE_MS = 100;
/** Hops that answers have left. Linux gives its own datagrams as many. */
const ANSWER_HOPS = 64;

/**
 * Sends on what has come to userspace of flows that the kernel carries. It goes as if the other end had just
 * sent it, and the flow's entry translates it. By a socket, its source port would be another one, because the
 * entry has the port.
 */
export class LateDatagrams {
  /** Made for the first answer: it is big. */
  #ring: DatagramRing | null = null;

  constructor(
    readonly entries: FlowEntries,
    readonly tools: KernelTools,
  ) {}

  /** Whether what comes now may have come before the kernel took the flow over. */
  isLate({ enteredAt }: HotCarrier): boolean {
    return this.tools.node.now() - enteredAt <= LATE_MS;
  }

  /** Sends what the client has sent. @returns how many the kernel took; if not all, see `errno` */
  send({ flow, vip }: HotCarrier, sender: DatagramSender): number {
    const injector = this.tools.injectorFor(flow.portal.isV6);
    const client = this.entries.clientOf(flow);
    for (let index = 0; index < sender.count; index++) {
      const [payload, start] = [sender.payloadOf(index), sender.startOf(index)];
      injector.pushDatagram(client, vip.address, payload, start, sender.lengthOf(index), flow.hops);
    }
    return injector.send(flow.target.address);
  }

  /** Receives and sends what the endpoint has sent. @returns 0, or the errno if there was nothing */
  passOnAnswers({ socket, source, flow }: HotCarrier): number {
    this.#ring ??= new DatagramRing(BATCH_SIZE, false);
    const ring = this.#ring;
    const count = ring.receive(socket.fd, BATCH_SIZE);
    if (count < 0) return errno();
    const injector = this.tools.injectorFor(flow.portal.isV6);
    const { address } = flow.target;
    for (let slot = ring.first; slot < ring.first + count; slot++) {
      const [start, length] = [ring.startOf(slot), ring.length(slot)];
      injector.pushDatagram(address, source, ring.payloads, start, length, ANSWER_HOPS);
    }
    injector.send(this.entries.clientOf(flow));
    return 0;
  }
}
