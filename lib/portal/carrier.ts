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

/** Workers that can take SYNs from a queue: the marks have two bits for the worker's number. */
export const MAX_QUEUE_WORKERS = 4;

/** One queue of SYNs and one queue of errors for each of the workers. */
export const CARRIER_QUEUES = 2 * MAX_QUEUE_WORKERS;

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

/** How many of the workers have queues: the first ones. */
export function homesAmong(workers: number): number {
  return Math.min(workers, MAX_QUEUE_WORKERS);
}

/** The queue of the SYNs for which a worker decides. @param worker below {@link MAX_QUEUE_WORKERS} */
export function synQueueOf(worker: number, { firstQueue }: CarrierNumbers): number {
  return firstQueue + worker;
}

/** The queue of resets and ICMP errors for a worker's entries. @param worker as in {@link synQueueOf} */
export function errorQueueOf(worker: number, { firstQueue }: CarrierNumbers): number {
  return firstQueue + MAX_QUEUE_WORKERS + worker;
}

function lowestBit(mask: number): number {
  return (mask & -mask) >>> 0;
}
