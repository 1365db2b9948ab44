import { Owners } from './owners.js';

/** The {@link Owners} of each Service, for as long as one of its portals needs them. */
export class OwnersOfServices {
  readonly #entries = new Map<string, { readonly owners: Owners; users: number }>();

  open(service: string): Owners {
    const entry = this.#entries.get(service) ?? { owners: new Owners(), users: 0 };
    this.#entries.set(service, entry);
    entry.users++;
    return entry.owners;
  }

  /** Once for each {@link open}. */
  close(service: string): void {
    const entry = this.#entries.get(service);
    if (entry !== undefined && --entry.users === 0) this.#entries.delete(service);
  }
}
