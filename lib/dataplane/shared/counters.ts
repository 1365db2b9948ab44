import type { PortalName } from '../../portal/status.js';

/**
 * Counters in shared memory. Each worker writes its own cells without locks; the main thread adds them up
 * when it is asked. A cell is a double, exact to 2^53. Counters are zero when their portal or the process
 * starts.
 */

/**
 * What is counted for each portal: the offset of the counter's cell from the portal's {@link firstCell}. A
 * name with `Active` says how many there are now; all other counters only grow. "In" is from clients to
 * endpoints.
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
 * How many ids of portals there are. One is {@link REMOVED_PORTALS}, so at most 65,535 portals exist at once.
 * The cells of unused ids cost no memory: nothing ever touches their pages.
 */
export const PORTAL_IDS = 65536;

/** Connections of removed portals count under this id. Only their `connectionsActive` is read. */
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

/** Makes an id ready for another portal. */
export function zeroCounters(workers: readonly Float64Array[], id: number): void {
  for (const cells of workers) cells.fill(0, firstCell(id), firstCell(id + 1));
}
