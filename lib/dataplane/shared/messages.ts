import type { Admission } from '../../portal/admission.js';
import type { Portal } from '../../portal/portal.js';
import type { Answered, Asked } from './questions.js';

/** A portal as a worker knows it. What the model says of it comes unchanged. */
export interface WorkerPortal
  extends Pick<Portal, 'key' | 'service' | 'protocol' | 'family' | 'policy' | 'endpoints'> {
  /** The portal's number between the threads: its index in the counters and in the round robin. */
  readonly id: number;
  /** This worker's own listeners; the worker closes those that a later message leaves out. */
  readonly listeners: readonly WorkerListener[];
  /** As it reads on this node. */
  readonly admission: Admission<number>;
}

export interface WorkerListener {
  readonly fd: number;
  /**
   * Proxy port that only redirected connections may use: one that netfilter did not bring here is refused.
   * Null where direct access is meant (NodePorts, VIPs bound as addresses).
   */
  readonly redirectedPort: number | null;
}

export type ToWorker =
  | Asked
  /** Close all listeners, reset what is still open, and end. The end of the thread is the answer. */
  | { readonly type: 'stop' };

export type FromWorker =
  | Answered
  | { readonly type: 'event'; readonly event: DataplaneEvent }
  | { readonly type: 'suppressed'; readonly suppressed: SuppressedEvents };

/** What an operator may want to read in the log. Workers limit how often they say the same thing. */
export type DataplaneEvent =
  | {
      readonly kind: 'endpointFailed';
      readonly portal: string;
      readonly endpoint: string;
      readonly reason: string;
    }
  /** A connection or flow could not be had, and the endpoint is not to blame. */
  | {
      readonly kind: 'nodeFailed';
      readonly portal: string;
      readonly endpoint: string;
      /** Name of the error, for example `EADDRNOTAVAIL`. */
      readonly reason: string;
    }
  /** Local ports towards an endpoint, of which a worker has so many, are nearly used up. */
  | { readonly kind: 'portsShort'; readonly endpoint: string; readonly ports: number }
  /** What a client sends has no hop left to an endpoint, see hops.ts. */
  | { readonly kind: 'hopsUsedUp'; readonly portal: string; readonly client: string }
  /** New connections or datagrams are left to the kernel for a while. */
  | { readonly kind: 'listenerWaits'; readonly portal: string; readonly reason: string }
  /** A socket was ready again and again and gave nothing but this error: it is asked seldom from now on. */
  | { readonly kind: 'stuck'; readonly portal: string; readonly reason: string }
  /** Descriptors are short, and this client has more connections than any other. */
  | { readonly kind: 'clientLimited'; readonly client: string }
  | { readonly kind: 'descriptorsOut' };

/** Events that were too many to be told one by one, see {@link EventLimiter}. */
export interface SuppressedEvents {
  readonly kind: DataplaneEvent['kind'];
  readonly times: number;
  /** Whom they concern, where such events name an endpoint; a thousand at most. */
  readonly endpoints: readonly string[];
}

/** Everything a worker needs at its start. */
export interface WorkerSetup {
  /** Its number, from 0 on. */
  readonly index: number;
  /** How many workers there are. */
  readonly workers: number;
  /** An eventfd of the main thread's, which becomes readable when there are messages. */
  readonly wakeupFd: number;
  /** The counters of all workers, see `workerCells`. */
  readonly counters: SharedArrayBuffer;
  /** For each portal id 32 bits: the turn of its round robin, which all workers share. */
  readonly roundRobin: SharedArrayBuffer;
  /** See DescriptorBudget. */
  readonly budget: SharedArrayBuffer;
  /** Most UDP flows of this worker, at least 1. A further one takes the place of an old one. */
  readonly maxFlows: number;
  /**
   * Most ClientIP pins of this worker. A further one takes the place of the one that was not used for
   * longest.
   */
  readonly maxPins: number;
  /** Idle time of every UDP flow, ms; null for conntrack's values, see ProxyOptions.udpTimeoutMs. */
  readonly udpTimeoutMs: number | null;
}
