import type { PortalName } from '../../portal/status.js';

/**
 * Counters in shared memory. Each worker writes its own cells without locks. The main thread adds them up
 * when somebody asks. A cell is a double, exact to 2^53. Counters start at zero with their portal.
 */

/**
 * The counters of a portal. The value is the offset of the counter's cell from the portal's
 * {@link firstCell}. A counter with `Active` in its name says how many there are now. All others only grow.
 * "In" is from clients to endpoints.
 */
export const FIELD = {
  /** TCP connections of clients that may use the portal, also if no endpoint answers. */
  connectionsTotal: 0,
  /** TCP connections that are relayed now, from the accept to the end of both sides. */
  connectionsActive: 1,
  /** TCP connections that were reset: no endpoint answered, or the client may not use the portal. */
  connectionsRefused: 2,
  /** TCP connections that were reset near the limit of descriptors to make room for other clients. */
  connectionsEvicted: 3,
  /**
   * How often an endpoint refused or did not answer in time, over TCP or UDP. One client may meet several.
   */
  connectFailures: 4,
  /** TCP connections that ended with a reset after an endpoint had answered. */
  connectionResets: 5,
  /** UDP flows: a client's address and port together with the address that it sends to. */
  flowsTotal: 6,
  /** UDP flows that are relayed now. */
  flowsActive: 7,
  /**
   * UDP flows that ended before their time-out: a newer flow or a TCP connection needed their place, port or
   * descriptor.
   */
  flowsEvicted: 8,
  /** How often a UDP flow moved to another endpoint because its own failed or was removed. */
  flowsMoved: 9,
  /** Datagrams from clients that belong to a flow, also if sending them to the endpoint failed. */
  datagramsIn: 10,
  /** Datagrams from endpoints, also if sending them to the client failed. */
  datagramsOut: 11,
  /** Datagrams that were dropped, in either direction. */
  datagramsDropped: 12,
  /**
   * Bytes of payload from clients, TCP and UDP. Of what the kernel carries, this and the numbers of datagrams
   * are known only with net.netfilter.nf_conntrack_acct; of TCP they are estimated from packets.
   */
  bytesIn: 13,
  /** Bytes of payload to clients, TCP and UDP. */
  bytesOut: 14,
  /** Pins that were dropped before their time-out because their endpoint failed. */
  pinsMoved: 15,
  /**
   * Datagrams sent to the endpoints of a Service with rtps-routing `follow` or `fan-out`, also if the sending
   * failed. Each datagram counts once for each endpoint.
   */
  copiesSent: 16,
  /** Such datagrams that were not sent because there were too many in a second, see CopyLimit. */
  copiesRefused: 17,
  /**
   * TCP connections that the kernel carries now. They are not in `connectionsActive`. The kernel's table
   * keeps a connection for a while after its end (nf_conntrack_tcp_timeout_time_wait: two minutes).
   */
  carriedConnectionsActive: 18,
  /** UDP flows that the kernel carries now. They are not in `flowsActive`. */
  carriedFlowsActive: 19,
} as const;

export type CounterField = keyof typeof FIELD;
export type CounterValues = Record<CounterField, number>;

export const COUNTER_FIELDS = Object.keys(FIELD) as readonly CounterField[];

/** What one portal has carried since it was made. */
export interface PortalCounters extends Readonly<CounterValues>, PortalName {}

/**
 * How many portal ids there are. One is {@link REMOVED_PORTALS}, so at most 65,535 portals exist at once. The
 * cells of unused ids cost no memory: nothing touches their pages.
 */
export const PORTAL_IDS = 65536;

/** Open connections of removed portals are counted under this id. Only `connectionsActive` is read. */
export const REMOVED_PORTALS = 0;

const WIDTH = COUNTER_FIELDS.length;
const WORKER_CELLS = PORTAL_IDS * WIDTH;

export function createCounterMemory(workers: number): SharedArrayBuffer {
  return new SharedArrayBuffer(workers * WORKER_CELLS * 8);
}

/** One worker's cells: `cells[firstCell(id) + FIELD.x] += 1`. */
export function workerCells(memory: SharedArrayBuffer, worker: number): Float64Array {
  return new Float64Array(memory, worker * WORKER_CELLS * 8, WORKER_CELLS);
}

export function firstCell(id: number): number {
  return id * WIDTH;
}

/** The sum of a portal's counters over all workers. */
export function sumCounters(workers: readonly Float64Array[], id: number): CounterValues {
  const at = firstCell(id);
  const sums = {} as CounterValues;
  for (const name of COUNTER_FIELDS) {
    sums[name] = 0;
    for (const cells of workers) sums[name] += cells[at + FIELD[name]] ?? 0;
  }
  return sums;
}

/** The sum of the counters of two portals. */
export function addCounters(one: CounterValues, other: CounterValues): CounterValues {
  const sums = {} as CounterValues;
  for (const name of COUNTER_FIELDS) sums[name] = one[name] + other[name];
  return sums;
}

/** Makes an id ready for another portal. */
export function zeroCounters(workers: readonly Float64Array[], id: number): void {
  for (const cells of workers) cells.fill(0, firstCell(id), firstCell(id + 1));
}
