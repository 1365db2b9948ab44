/**
 * Measures for how long the node has been behind the desired state: since the start of the oldest change that
 * still runs, or that failed and was not repaired.
 */
export class Backlog {
  readonly #open = new Set<{ readonly sinceMs: number }>();
  #failedSinceMs: number | null = null;

  /** Does a piece of work, and resolves or rejects as it does. */
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

  /** All that failed before is repaired. */
  settle(): void {
    this.#failedSinceMs = null;
  }

  /** Milliseconds for which the oldest change has waited. 0: none waits. */
  get waitedMs(): number {
    const [oldest] = this.#open;
    const now = performance.now();
    return now - Math.min(oldest?.sinceMs ?? now, this.#failedSinceMs ?? now);
  }
}
