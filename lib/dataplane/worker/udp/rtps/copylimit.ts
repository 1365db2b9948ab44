/**
 * How many copies a second a portal may make. One second's worth may be made at once; it comes back evenly.
 */
export class CopyLimit {
  #left: number;
  #at = 0;

  constructor(readonly perSecond: number) {
    this.#left = perSecond;
  }

  /**
   * Takes what a datagram for several endpoints needs: all of it or nothing, as else the last endpoints would
   * get nothing each time.
   * @param now loop clock, ms
   * @returns false where there is not enough left
   */
  take(copies: number, now: number): boolean {
    this.#left = Math.min(this.perSecond, this.#left + ((now - this.#at) * this.perSecond) / 1000);
    this.#at = now;
    if (copies > this.#left) return false;
    this.#left -= copies;
    return true;
  }
}
