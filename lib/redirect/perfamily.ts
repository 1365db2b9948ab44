import { FAMILIES, type Family } from '../net/address.js';
import type {
  Capture,
  CarrierSupport,
  PreparedChange,
  Redirect,
  RedirectChange,
  RedirectDriver,
} from './driver.js';
import { Failures } from './failures.js';
import { OneChange } from './onechange.js';
import type { PortGate } from './portgate.js';

/** A driver for each IP family. */
export type FamilyDrivers = Readonly<Record<Family, RedirectDriver>>;

/**
 * Passes each redirect to the driver of its family. If one driver fails, the other works on.
 */
export class PerFamilyDriver implements RedirectDriver {
  readonly name: string;
  readonly bringsTraffic = true;
  readonly unsupported: ReadonlyMap<Family, string>;
  readonly #drivers: FamilyDrivers;
  readonly #change = new OneChange();
  /** By family: the ids of the wanted redirects. */
  readonly #wanted: Readonly<Record<Family, Set<string>>> = { IPv4: new Set(), IPv6: new Set() };

  constructor(drivers: FamilyDrivers) {
    this.#drivers = drivers;
    this.name = `${drivers.IPv4.name} (IPv6: ${drivers.IPv6.name})`;
    this.unsupported = new Map(
      FAMILIES.flatMap((family) => {
        const reason = drivers[family].unsupported.get(family);
        return reason === undefined ? [] : [[family, reason] as const];
      }),
    );
  }

  get dropsForwarded(): Record<Family, boolean> {
    const drops = (family: Family) => this.#drivers[family].dropsForwarded?.[family] ?? false;
    return { IPv4: drops('IPv4'), IPv6: drops('IPv6') };
  }

  get problems(): string[] {
    return FAMILIES.flatMap((family) => this.#drivers[family].problems ?? []);
  }

  get fallbacks(): string[] {
    return FAMILIES.flatMap((family) => this.#drivers[family].fallbacks ?? []);
  }

  get gate(): PortGate | undefined {
    return this.#drivers.IPv4.gate ?? this.#drivers.IPv6.gate;
  }

  captureOf(family: Family): Capture {
    return this.#drivers[family].captureOf(family);
  }

  async openCarrier(): Promise<CarrierSupport> {
    const { IPv4, IPv6 } = this.#drivers;
    return { IPv4: (await IPv4.openCarrier()).IPv4, IPv6: (await IPv6.openCarrier()).IPv6 };
  }

  async prepare({ set, remove }: RedirectChange): Promise<PreparedChange> {
    this.#change.begin();
    const failures = new Failures();
    const prepared: { readonly ids: readonly string[]; readonly change: PreparedChange }[] = [];
    for (const family of FAMILIES) {
      const ofFamily = set.filter((redirect) => redirect.family === family);
      const ids = this.#want(family, ofFamily, remove);
      await failures.attempt(ids, async () => {
        // Also called without a redirect of this family: the first change removes what an earlier run left.
        prepared.push({ ids, change: await this.#drivers[family].prepare({ set: ofFamily, remove }) });
      });
    }
    const commit = async () => {
      for (const { ids, change } of prepared) await failures.attempt(ids, () => change.commit());
      failures.throwIfAny();
    };
    return this.#change.prepared(commit, () => {
      for (const { change } of prepared) change.abandon();
    });
  }

  async audit(): Promise<number> {
    this.#change.end();
    const failures = new Failures();
    let count = 0;
    for (const family of FAMILIES) {
      await failures.attempt(this.#wanted[family], async () => {
        count += await this.#drivers[family].audit();
      });
    }
    failures.throwIfAny();
    return count;
  }

  wasDisturbed(): boolean {
    return FAMILIES.some((family) => this.#drivers[family].wasDisturbed?.());
  }

  async clear(): Promise<void> {
    const failures = new Failures();
    for (const family of FAMILIES) {
      await failures.attempt(this.#wanted[family], () => this.#drivers[family].clear());
      this.#wanted[family].clear();
    }
    failures.throwIfAny();
  }

  /** @returns the ids in `set` */
  #want(family: Family, set: readonly Redirect[], remove: readonly string[]): string[] {
    const wanted = this.#wanted[family];
    const ids = set.map(({ id }) => id);
    for (const id of remove) wanted.delete(id);
    for (const id of ids) wanted.add(id);
    return ids;
  }
}
