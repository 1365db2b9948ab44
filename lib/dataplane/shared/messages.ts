import type { Admission } from '../../portal/admission.js';
import type { Portal } from '../../portal/portal.js';
import type { Carriage, CarrierSetup } from './carrier.js';
import type { PinChange } from './pins.js';
import type { Answered, Asked } from './questions.js';

/** A portal as a worker gets it. All that the model says about the portal comes unchanged. */
export interface WorkerPortal
  extends Pick<Portal, 'key' | 'service' | 'protocol' | 'family' | 'policy' | 'endpoints'> {
  /** The number by which the threads name the portal: the index of its counters and its round robin. */
  readonly id: number;
  /** The listeners of this worker. If a later message leaves one out, the worker closes it. */
  readonly listeners: readonly WorkerListener[];
  /** Who may use the portal. It names other portals by their ids. */
  readonly admission: Admission<number>;
  /** How the kernel may carry its clients. Null: they are all relayed. */
  readonly carriage: Carriage | null;
  /**
   * For each endpoint, in their order, the cell that counts its pins, see pincells.ts. Null if no cell is
   * left. Absent without affinity.
   */
  readonly pinCells?: readonly (number | null)[];
}

export interface WorkerListener {
  readonly fd: number;
  /**
   * The proxy port, if netfilter must have redirected each connection: a direct one is refused. Null if
   * clients may connect directly (NodePorts, VIPs bound as addresses).
   */
  readonly redirectedPort: number | null;
}

export type ToWorker =
  | Asked
  /** Close all listeners, reset all connections, and end. The answer is the end of the thread. */
  | { readonly type: 'stop' };

export type FromWorker =
  | Answered
  | { readonly type: 'event'; readonly event: DataplaneEvent }
  | { readonly type: 'pins'; readonly changes: readonly PinChange[] }
  | { readonly type: 'suppressed'; readonly suppressed: SuppressedEvents };

/** An event for the operator's log. Workers limit how often they report the same event. */
export type DataplaneEvent =
  | {
      readonly kind: 'endpointFailed';
      readonly portal: string;
      readonly endpoint: string;
      readonly reason: string;
    }
  /** This node could not open a connection or a flow. The endpoint is not to blame. */
  | {
      readonly kind: 'nodeFailed';
      readonly portal: string;
      readonly endpoint: string;
      /** Name of the error, for example `EADDRNOTAVAIL`. */
      readonly reason: string;
    }
  /**
   * The kernel could not carry a client, so it is relayed. `reason`: the name of the error with which the
   * kernel refused to track it, or `FORWARD policy` if this node's firewall drops what the endpoint shall
   * get.
   */
  | {
      readonly kind: 'notCarried';
      readonly portal: string;
      readonly endpoint: string;
      readonly reason: string;
    }
  /** More SYNs came than a worker could decide about, so the relay gets some of them. */
  | { readonly kind: 'synsUndecided' }
  /** The same with first datagrams of flows. */
  | { readonly kind: 'datagramsUndecided' }
  /** A worker has nearly used up its local ports towards an endpoint. `ports`: how many it has. */
  | { readonly kind: 'portsShort'; readonly endpoint: string; readonly ports: number }
  /** A client's connection or datagram has no hop left to the endpoint, see hops.ts. */
  | { readonly kind: 'hopsUsedUp'; readonly portal: string; readonly client: string }
  /** A client sends for more participants than may have a pin of their own, see ParticipantFlows. */
  | { readonly kind: 'participantsLimited'; readonly portal: string; readonly client: string }
  /** A DDS client announces only addresses where it cannot be reached. */
  | {
      readonly kind: 'clientBehindNat';
      readonly portal: string;
      readonly client: string;
      readonly announced: readonly string[];
    }
  /** A Service with rtps-routing needs more copies a second than it may have, see CopyLimit. */
  | { readonly kind: 'copiesLimited'; readonly portal: string; readonly perSecond: number }
  /** A listener pauses. New connections or datagrams wait in the kernel. */
  | { readonly kind: 'listenerWaits'; readonly portal: string; readonly reason: string }
  /** A socket was ready many times in a row and gave only this error. From now on it is read seldom. */
  | { readonly kind: 'stuck'; readonly portal: string; readonly reason: string }
  /** Descriptors are short, and this client has more connections than any other. */
  | { readonly kind: 'clientLimited'; readonly client: string }
  | { readonly kind: 'descriptorsOut' };

/** Events of one kind that were only counted because there were too many, see {@link EventLimiter}. */
export interface SuppressedEvents {
  readonly kind: DataplaneEvent['kind'];
  readonly times: number;
  /** The endpoints that the events name, at most MAX_NAMES. Empty if such events name none. */
  readonly endpoints: readonly string[];
}

/** Everything a worker needs at its start. */
export interface WorkerSetup {
  /** The worker's number, from 0 on. */
  readonly index: number;
  /** How many workers there are. */
  readonly workers: number;
  /** An eventfd of the main thread. It is readable when there are messages. */
  readonly wakeupFd: number;
  /** The counters of all workers, see `workerCells`. */
  readonly counters: SharedArrayBuffer;
  /** 32 bits for each portal id: the turn of its round robin, shared by all workers. */
  readonly roundRobin: SharedArrayBuffer;
  /** See pincells.ts. */
  readonly pinCells: SharedArrayBuffer;
  /** See DescriptorBudget. */
  readonly budget: SharedArrayBuffer;
  /** Limit of UDP flows in this worker, at least 1. Beyond it, a new flow takes the place of an old one. */
  readonly maxFlows: number;
  /**
   * Limit of pins in this worker, at least 1. Beyond it, a new pin takes the place of the least recently used
   * one.
   */
  readonly maxPins: number;
  /** A UDP flow ends after this idle time. Null: conntrack's values, see ProxyOptions.udpTimeoutMs. */
  readonly udpTimeoutMs: number | null;
  /** See ProxyOptions.rtpsCopies. */
  readonly rtpsCopies: number;
  readonly carrier: CarrierSetup;
}
