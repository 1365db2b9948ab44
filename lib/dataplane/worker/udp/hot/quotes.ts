import { DatagramSender } from '../../../../sys/datagramsender.js';
import { Memory } from '../../../../sys/memory.js';
import type { RefusedPacket } from '../../kernel/errorqueue.js';
import type { UdpFlow } from '../flow.js';

/** The longest datagram that an ICMP error may quote, bytes. */
const QUOTE_SIZE = 1500;

/** Sends a datagram again that an endpoint has refused: its only copy is in the ICMP error. */
export class Quotes {
  readonly #memory = new Memory(QUOTE_SIZE);
  readonly #sender = new DatagramSender(1);
  /** The flow of the last one, until another endpoint has it. */
  #flow: UdpFlow | null = null;
  #length = 0;

  /**
   * Sends the quoted datagram by the flow's carrier. What is not quoted whole is lost.
   * @param now ms of the loop's clock
   */
  sendAgain(flow: UdpFlow, { headers, bytes }: RefusedPacket, now: number): void {
    const length = headers.end - headers.payloadAt;
    if (!headers.isWhole || length > QUOTE_SIZE) return;
    for (let byte = 0; byte < length; byte++) this.#memory.bytes[byte] = bytes[headers.payloadAt + byte];
    this.#flow = flow;
    this.#length = length;
    this.#send(flow, now);
  }

  /** A flow has another endpoint now, which has not seen the datagram. */
  moved(flow: UdpFlow, now: number): void {
    if (flow !== this.#flow) return;
    this.#flow = null;
    this.#send(flow, now);
  }

  #send(flow: UdpFlow, now: number): void {
    if (flow.carrier === null) return;
    this.#sender.clear();
    this.#sender.push(this.#memory, 0, this.#length);
    flow.send(this.#sender, now);
  }
}
