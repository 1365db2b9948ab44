import type { Protocol } from '../net/protocol.js';

/**
 * What moves the bytes of a portal's clients. `relay`: a worker copies them from socket to socket. `kernel`:
 * a worker picks the endpoint, and connection tracking translates the packets. With `kernel`, a portal that
 * the kernel cannot carry has a problem; with `auto`, it is relayed quietly.
 */
export type CarrierMode = (typeof CARRIER_MODES)[number];

export const CARRIER_MODES = ['auto', 'kernel', 'relay'] as const;

/** The values by which rules, workers and entries of connection tracking know each other. */
export interface CarrierNumbers {
  /** Adjacent bits of conntrack's marks, at least three, see {@link ownBit}. `--carrier-mark-mask` */
  readonly markMask: number;
  /** The first of {@link CARRIER_QUEUES} queues of netfilter. `--carrier-queue` */
  readonly firstQueue: number;
}

/** Options of both carriers. */
export interface CarrierOptions extends CarrierNumbers {
  /** For Services without the annotation. `--carrier` */
  readonly mode: CarrierMode;
  /** Whether all clients of ClusterIPs are masqueraded. `--masquerade-all` */
  readonly masqueradeAll: boolean;
  /** The addresses of the cluster's pods. Empty: not known. `--cluster-cidr` */
  readonly clusterCidrs: readonly string[];
}

/** Workers that can take first packets from a queue: the marks have two bits for the worker's number. */
export const MAX_QUEUE_WORKERS = 4;

/** What waits in a queue: first packets of TCP connections, resets and ICMP errors, first datagrams. */
const QUEUED = ['syns', 'errors', 'datagrams'] as const;

/** The queues of a worker. */
export type CarrierQueues = Readonly<Record<(typeof QUEUED)[number], number>>;

export const CARRIER_QUEUES = QUEUED.length * MAX_QUEUE_WORKERS;

/** Whether the bits of a mask are adjacent, and enough for {@link ownBit} and the number of a worker. */
export function isMarkMask(mask: number): boolean {
  const bits = mask / lowestBit(mask);
  return bits >= 7 && Math.log2(bits + 1) % 1 === 0;
}

/** The highest bit of the mask: it is set in the mark of each entry that kube-portal has made. */
export function ownBit(mask: number): number {
  return 2 ** (31 - Math.clz32(mask));
}

/** The mark of the entries that a worker makes. */
export function markOfWorker(mask: number, worker: number): number {
  return ownBit(mask) + lowestBit(mask) * (worker % MAX_QUEUE_WORKERS);
}

/** The mark of an entry whose first datagram a worker lets go to an endpoint. It is no entry of a worker. */
export function passingMark(mask: number): number {
  return lowestBit(mask);
}

/** How many of the workers have queues: the first ones. */
export function homesAmong(workers: number): number {
  return Math.min(workers, MAX_QUEUE_WORKERS);
}

/** @param worker below {@link MAX_QUEUE_WORKERS} */
export function queuesOf(worker: number, { firstQueue }: Pick<CarrierNumbers, 'firstQueue'>): CarrierQueues {
  const queue = (kind: (typeof QUEUED)[number]) =>
    firstQueue + QUEUED.indexOf(kind) * MAX_QUEUE_WORKERS + worker;
  return { syns: queue('syns'), errors: queue('errors'), datagrams: queue('datagrams') };
}

/** The queue where first packets wait for a worker. @param worker as in {@link queuesOf} */
export function firstPacketQueueOf(
  protocol: Protocol,
  worker: number,
  numbers: Pick<CarrierNumbers, 'firstQueue'>,
): number {
  const { syns, datagrams } = queuesOf(worker, numbers);
  return protocol === 'TCP' ? syns : datagrams;
}

function lowestBit(mask: number): number {
  return (mask & -mask) >>> 0;
}
