import { isIP } from 'node:net';
import { socketOfClient } from '../sys/steering.js';
import type { PinRecord } from './shared/pins.js';

/** What is needed to know of a portal to give it its pins. */
export interface PinnedPortal {
  readonly service: string;
  readonly policy: { readonly affinity: unknown };
  /** The one worker that it lives in, or null for all of them. */
  readonly onlyWorker: number | null;
}

/** Pins of an earlier run, until their Services appear. */
export class SavedPins {
  readonly #byService = new Map<string, PinRecord[]>();

  constructor(records: Iterable<PinRecord>) {
    for (const record of records) {
      const pins = this.#byService.get(record.service);
      if (pins === undefined) this.#byService.set(record.service, [record]);
      else pins.push(record);
    }
  }

  /** How many Services have not appeared yet. */
  get size(): number {
    return this.#byService.size;
  }

  /** The pins of each Service that has not appeared yet. */
  waiting(): Iterable<readonly PinRecord[]> {
    return this.#byService.values();
  }

  /**
   * Takes the pins of Services that appear with affinity.
   * @returns the pins of each worker, in the order in which they end. A client's pins go to the worker to
   * which the kernel steers it.
   */
  take(portals: readonly PinnedPortal[], workers: number): readonly (readonly PinRecord[])[] {
    const taken = Array.from({ length: workers }, (): PinRecord[] => []);
    if (this.#byService.size === 0) return taken;
    for (const { service, policy, onlyWorker } of portals) {
      if (policy.affinity === null) continue;
      for (const pin of this.#byService.get(service) ?? []) {
        taken[onlyWorker ?? workerOf(pin.client, workers)]?.push(pin);
      }
      this.#byService.delete(service);
    }
    for (const pins of taken) pins.sort((a, b) => endOf(a) - endOf(b));
    return taken;
  }
}

/** Keys that are no address belong to Services that live in one worker. */
function workerOf(client: string, workers: number): number {
  return isIP(client) === 0 ? 0 : socketOfClient(client, workers);
}

/** Milliseconds since the epoch. */
function endOf({ usedAt, timeoutMs }: PinRecord): number {
  return usedAt + timeoutMs;
}
