import type { DatagramSender } from '../../../sys/datagramsender.js';
import type { Target } from '../target.js';
import type { UdpFlow } from './flow.js';

/**
 * What carries a flow's datagrams to one endpoint, and the answers back to the client. A flow that moves to another
 * endpoint gets another carrier.
 */
export interface Carrier {
  /** The local port from which the endpoint sees the flow: it tells the flows to one endpoint apart. */
  readonly port: number;
  /** Sends what the client has sent. @returns as {@link DatagramSender.sendConnected} */
  send(sender: DatagramSender): number;
  /** The endpoint is given up, and the carrier closes next: what the endpoint has said until now goes to the client. */
  drain(): void;
  /** The flow goes on without it; answers to what was sent before may still come for a while. */
  leave(): void;
  /** Ends it at once. The flow then has none, or has left none. */
  close(): void;
}

/** Gives a flow that has no carrier one to an endpoint. @returns 0, or the errno */
export type OpenCarrier = (flow: UdpFlow, target: Target) => number;

/** What a carrier tells of a flow that it carries. Afterwards the flow may have another carrier, or be gone. */
export interface CarrierEvents {
  /** The endpoint has answered. */
  answered(flow: UdpFlow): void;
  /** Somebody says, without proof, that the endpoint is not there. @param code the errno that stands for it */
  suspected(flow: UdpFlow, code: number): void;
  /** The endpoint is not there. @param isForAll whether this node itself says so, of every flow to the endpoint */
  refused(flow: UdpFlow, code: number, isForAll: boolean): void;
}
