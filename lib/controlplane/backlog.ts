/**
 * Knows for how long the node has been behind what is wanted: since the oldest change that is still under
 * way, or that failed and was not made good.
 */
export class Backlog {
  readonly #open = new Set<{ readonly sinceMs: number }>();
  #failedSinceMs: number | null = null;

  /** Does a piece of work, and settles as it does. */
  async during<T>(work: () => Promise<T>): Promise<T> {
    const item = { sinceMs: performance.now() };
    this.#open.add(item);
    try {
      return await work();
    } catch (error) {
      this.#failedSinceMs ??= item.sinceMs;
      throw error;
    } finally {
      this.#open.delete(item);
    }
  }

  /** What failed before has been made good. */
  settle(): void {
    this.#failedSinceMs = null;
  }

  /** How long the oldest has waited, ms; 0 where nothing waits. */
  get waitedMs(): number {
    const [oldest] = this.#open;
    const now = performance.now();
    return now - Math.min(oldest?.sinceMs ?? now, this.#failedSinceMs ?? now);
  }
}
