import type { DatagramSender } from '../../../sys/datagramsender.js';
import type { UdpFlow } from './flow.js';

/**
 * What carries a flow's datagrams to one endpoint, and the answers back to the client. A flow that moves to
 * another endpoint gets another carrier.
 */
export interface Carrier {
  /** The local port from which the endpoint sees the flow: it tells the flows to one endpoint apart. */
  readonly port: number;
  /** Sends what the client has sent. @returns as {@link DatagramSender.sendConnected} */
  send(sender: DatagramSender): number;
  /**
   * Relays what the endpoint has answered until now. The flow gives the endpoint up, and the carrier closes
   * next.
   */
  drain(): void;
  /** The flow goes on with another carrier. This one stays open for a while, for answers under way. */
  retire(): void;
  /** Ends it at once, and takes it out of the flow. */
  close(): void;
}

/** Opens a carrier to the endpoint that a flow has now. @returns the errno where there is none to be had */
export type OpenCarrier = (flow: UdpFlow) => Carrier | number;

/**
 * What a carrier tells of a flow that it carries. Afterwards the flow may have another carrier, or be gone.
 */
export interface CarrierEvents {
  /** The endpoint has answered. */
  answered(flow: UdpFlow): void;
  /**
   * Somebody says, without proof, that the endpoint is not there.
   * @param code the errno that stands for it
   */
  suspected(flow: UdpFlow, code: number): void;
  /**
   * The endpoint is not there.
   * @param isForAll whether this node itself says so, of every flow to the endpoint
   */
  refused(flow: UdpFlow, code: number, isForAll: boolean): void;
}
