/**
 * Counts of pins, in memory that all workers share. A client that moves goes to the endpoint with the fewest
 * pins, counted over all workers.
 */

/** Pins that were dropped for newer ones, at the limit. */
export const EVICTED_CELL = 0;
/** Pins in all workers, also those to endpoints that are gone. */
export const TOTAL_CELL = 1;
/** From here on: one cell for each endpoint of a Service with affinity. */
export const FIRST_ENDPOINT_CELL = 2;
/** 1 MB of address space. Unused cells cost no memory: nothing touches their pages. */
export const PIN_CELLS = 262_144;

export function createPinCellMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(PIN_CELLS * Int32Array.BYTES_PER_ELEMENT);
}
