import { PinCells } from './pincells.js';
import { type PinnedPortal, SavedPins } from './savedpins.js';
import { MAX_RESTORED, type PinFilter, type PinRecord, type PinsPage } from './shared/pins.js';
import type { WorkerThread } from './workerthread.js';

/** The pins of all workers, seen from the main thread. */
export class DataplanePins {
  readonly cells = new PinCells();
  readonly #threads: () => Iterable<WorkerThread>;
  #saved = new SavedPins([]);

  constructor(threads: () => Iterable<WorkerThread>) {
    this.#threads = threads;
  }

  /** Pins of an earlier run. The workers get them with the first change that has their Service. */
  restore(records: Iterable<PinRecord>): void {
    this.#saved = new SavedPins(records);
  }

  /** Pins of an earlier run whose Services have not appeared yet. */
  get saved(): SavedPins {
    return this.#saved;
  }

  /**
   * Gives the workers the pins of an earlier run that belong to Services of these portals. What is asked of
   * the workers after this call comes after it.
   * @throws Error once a worker is gone
   */
  async restoreFor(portals: readonly PinnedPortal[]): Promise<void> {
    const threads = [...this.#threads()];
    const restored = this.#saved.take(portals, threads.length);
    const asked = threads.flatMap((thread, worker) =>
      chunksOf(restored[worker] ?? []).map((records) => thread.ask('restorePins', records)),
    );
    await Promise.all(asked);
  }

  /**
   * Lists the pins that workers have: the next page is asked for when it is taken.
   * @throws Error once a worker is gone
   */
  async *list(filter: PinFilter): AsyncGenerator<readonly PinRecord[]> {
    for (const thread of this.#threads()) {
      for (let from: number | null = 0; from !== null; ) {
        const page: PinsPage = await thread.ask('pins', { ...filter, from });
        yield page.pins;
        from = page.next;
      }
    }
  }

  /**
   * Gives up the pins of a client of a Service. Its open connections and flows stay where they are.
   * @param client as in PinName
   * @returns how many there were
   * @throws Error once a worker is gone
   */
  async release(service: string, client: string): Promise<number> {
    const asked = Array.from(this.#threads(), (thread) => thread.ask('releasePins', { service, client }));
    return (await Promise.all(asked)).reduce((sum, count) => sum + count, 0);
  }
}

function chunksOf(records: readonly PinRecord[]): (readonly PinRecord[])[] {
  const chunks = [];
  for (let at = 0; at < records.length; at += MAX_RESTORED) chunks.push(records.slice(at, at + MAX_RESTORED));
  return chunks;
}
