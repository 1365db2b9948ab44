/**
 * A flow is hot after this many datagrams of the client within {@link WINDOW_MS}. To hand a flow over and to
 * take it back costs about as much as to relay ten datagrams. So with this many in so short a time, it pays
 * even if the flow ends soon after.
 */
export const HOT_DATAGRAMS = 64;
export const WINDOW_MS = 1000;

/** Counts the datagrams of one flow. Times are ms of the loop's clock. */
export class Heat {
  #since = Number.NEGATIVE_INFINITY;
  #datagrams = 0;

  /** Datagrams have been relayed. @returns whether the flow is hot */
  add(datagrams: number, now: number): boolean {
    if (now - this.#since >= WINDOW_MS) {
      this.#since = now;
      this.#datagrams = 0;
    }
    this.#datagrams += datagrams;
    return this.#datagrams >= HOT_DATAGRAMS;
  }

  /** The count begins again. */
  cool(): void {
    this.#since = Number.NEGATIVE_INFINITY;
  }
}
