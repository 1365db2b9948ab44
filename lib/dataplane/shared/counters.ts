import type { PortalName } from '../../portal/status.js';

/**
 * Counters in shared memory: each worker writes its own cells without locks, the main thread adds them up
 * when somebody asks. Cells are doubles, exact to 2^53. A portal's counters begin at zero when it is made;
 * restarts begin anew.
 */

/**
 * What is counted per portal, with the place of its cell behind the portal's {@link base}. Those named
 * `Active` are numbers of this moment, all others only grow. "In" is from clients to endpoints.
 */
export const FIELD = {
  /** TCP connections of clients that may come here, also those that no endpoint answers. */
  connectionsTotal: 0,
  /** TCP connections open now, from the accept to the end of both sides. */
  connectionsActive: 1,
  /** TCP connections that were reset unserved: no endpoint answered, or the client may not come here. */
  connectionsRefused: 2,
  /** TCP connections that were reset for the sake of other clients, near the limit of descriptors. */
  connectionsEvicted: 3,
  /**
   * Times that an endpoint, of TCP or UDP, refused or did not answer in time. One client may meet several.
   */
  connectFailures: 4,
  /** TCP connections that ended with a reset after an endpoint had answered. */
  connectionResets: 5,
  /** UDP flows: a client's address and port together with the address that it sends to. */
  flowsTotal: 6,
  /** UDP flows remembered now. */
  flowsActive: 7,
  /**
   * UDP flows forgotten before their time, for newer ones or for TCP connections that need descriptors or
   * ports.
   */
  flowsEvicted: 8,
  /** Times that a UDP flow went on to another endpoint, as its own failed or was removed. */
  flowsMoved: 9,
  /** Datagrams received from clients and sent to endpoints, also where the sending failed. */
  datagramsIn: 10,
  /** Datagrams received from endpoints, also where they could not be sent to the client. */
  datagramsOut: 11,
  /** Datagrams that went no further, in either direction. */
  datagramsDropped: 12,
  /** Bytes of payload from clients, TCP and UDP. */
  bytesIn: 13,
  /** Bytes of payload to clients, TCP and UDP. */
  bytesOut: 14,
  /** Pins that were given up before their time, as their endpoint failed the client. */
  pinsMoved: 15,
} as const;

export type CounterField = keyof typeof FIELD;
export type CounterValues = Record<CounterField, number>;

export const COUNTER_FIELDS = Object.keys(FIELD) as readonly CounterField[];

/** What one portal has carried since it was made. */
export interface PortalCounters extends Readonly<CounterValues>, PortalName {}

/**
 * Slots, of which 0 is {@link REMOVED}: so 65,535 portals can exist at once. Unused slots cost no memory:
 * their pages are never touched.
 */
export const MAX_SLOTS = 65536;

/**
 * The slot that connections count in after their portal was removed. Their `connectionsActive` is read there;
 * what else they count is nobody's.
 */
export const REMOVED = 0;

const WIDTH = COUNTER_FIELDS.length;
const WORKER_CELLS = MAX_SLOTS * WIDTH;

export function createCounterMemory(workers: number): SharedArrayBuffer {
  return new SharedArrayBuffer(workers * WORKER_CELLS * 8);
}

/** One worker's cells: `cells[base(slot) + FIELD.x] += 1`. */
export function workerCells(memory: SharedArrayBuffer, worker: number): Float64Array {
  return new Float64Array(memory, worker * WORKER_CELLS * 8, WORKER_CELLS);
}

export function base(slot: number): number {
  return slot * WIDTH;
}

/** The sum of a portal's counters over all workers. */
export function sumCounters(workers: readonly Float64Array[], slot: number): CounterValues {
  const at = base(slot);
  const sums = {} as CounterValues;
  for (const name of COUNTER_FIELDS) {
    sums[name] = 0;
    for (const cells of workers) sums[name] += cells[at + FIELD[name]] ?? 0;
  }
  return sums;
}

/** Makes a slot ready for another portal. */
export function zeroSlot(workers: readonly Float64Array[], slot: number): void {
  for (const cells of workers) cells.fill(0, base(slot), base(slot + 1));
}
