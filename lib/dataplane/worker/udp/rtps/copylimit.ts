/**
 * Limits how many copies a second a portal may make. The copies of one second may be made at once. The right
 * to make more comes back evenly.
 */
export class CopyLimit {
  #left: number;
  #at = 0;

  constructor(readonly perSecond: number) {
    this.#left = perSecond;
  }

  /**
   * Takes the copies of one datagram: all or none. Otherwise the last endpoints would get nothing each time.
   * @param now loop clock, ms
   * @returns false if fewer are left; then none is taken
   */
  take(copies: number, now: number): boolean {
    this.#left = Math.min(this.perSecond, this.#left + ((now - this.#at) * this.perSecond) / 1000);
    this.#at = now;
    if (copies > this.#left) return false;
    this.#left -= copies;
    return true;
  }
}
