import type { DatagramSender } from '../../../sys/datagramsender.js';
import type { UdpFlow } from './flow.js';

/**
 * Carries a flow's datagrams to one endpoint, and the answers back to the client. A flow that moves to
 * another endpoint gets another carrier.
 */
export interface Carrier {
  /** The local port that the endpoint sees. Each flow to one endpoint has another one. */
  readonly port: number;
  /** Sends datagrams of the client to the endpoint. @returns as {@link DatagramSender.sendConnected} */
  send(sender: DatagramSender): number;
  /**
   * Relays the answers that have arrived. The endpoint has failed, and the carrier is closed next.
   */
  drain(): void;
  /** The flow gets another carrier. This one stays open for a while, for answers that are under way. */
  retire(): void;
  /** The flow was idle, as far as is known here. @returns whether it goes on. Absent: it ends */
  goesOn?(): boolean;
  /** Closes the carrier at once, and removes it from the flow. */
  close(): void;
}

/** Opens a carrier to the flow's present endpoint. @returns the errno if that fails */
export type OpenCarrier = (flow: UdpFlow) => Carrier | number;

/**
 * What a carrier reports about its flow. After a report the flow may have another carrier, or have ended.
 */
export interface CarrierEvents {
  /** The endpoint has answered. */
  answered(flow: UdpFlow): void;
  /**
   * An ICMP error says that the endpoint is not there, but does not prove it.
   * @param code the errno of the ICMP error
   */
  suspected(flow: UdpFlow, code: number): void;
  /**
   * The endpoint is not there.
   * @param isForAll whether this node itself cannot reach it, so that all flows to it fail
   */
  refused(flow: UdpFlow, code: number, isForAll: boolean): void;
}
