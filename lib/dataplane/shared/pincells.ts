/**
 * Counts of pins, in memory that all workers share: a client that moves goes to the endpoint with the fewest
 * pins, in whatever worker they are.
 */

/** Pins that were given up for newer ones, at the cap. */
export const EVICTED_CELL = 0;
/** Pins in all workers, also those to endpoints that are gone. */
export const TOTAL_CELL = 1;
/** From here on: one cell for each endpoint of a Service with affinity. */
export const FIRST_ENDPOINT_CELL = 2;
/** 1 MB of addresses. The cells that nobody uses cost no memory: nothing ever touches their pages. */
export const PIN_CELLS = 262_144;

export function createPinCellMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(PIN_CELLS * Int32Array.BYTES_PER_ELEMENT);
}
