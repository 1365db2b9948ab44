import type { Protocol } from '../net/protocol.js';
import type { Portal, Vip } from '../portal/portal.js';
import type { ActivePortal } from './activeportal.js';
import { samePlace } from './wantedlisteners.js';

/** The portals that exist on this node, by their keys. */
export class ActivePortals {
  readonly #byKey = new Map<string, ActivePortal>();

  /** @throws Error where there is none with this key */
  get(key: string): ActivePortal {
    const active = this.#byKey.get(key);
    if (active === undefined) throw new Error(`no portal ${key} on this node`);
    return active;
  }

  /** Those of these keys that exist. */
  some(keys: Iterable<string>): ActivePortal[] {
    return Array.from(keys).flatMap((key) => this.#byKey.get(key) ?? []);
  }

  all(): Iterable<ActivePortal> {
    return this.#byKey.values();
  }

  /** The portals of this moment, except those that have gone when their turn comes. */
  *present(): Iterable<ActivePortal> {
    for (const active of [...this.#byKey.values()]) {
      if (this.#byKey.get(active.key) === active) yield active;
    }
  }

  idOf(key: string): number | undefined {
    return this.#byKey.get(key)?.id;
  }

  /** Whether some portal has this place among its VIPs. Looks at all. */
  isVip(protocol: Protocol, place: Vip): boolean {
    return [...this.#byKey.values()].some(
      ({ portal }) => portal.protocol === protocol && portal.vips.some((vip) => samePlace(vip, place)),
    );
  }

  add(active: ActivePortal): void {
    this.#byKey.set(active.key, active);
  }

  /** Finds a portal by the key that it had before. */
  rekey(before: string, { key }: Portal): ActivePortal {
    const active = this.get(before);
    this.#byKey.delete(before);
    this.#byKey.set(key, active);
    return active;
  }

  remove(key: string): ActivePortal {
    const active = this.get(key);
    this.#byKey.delete(key);
    return active;
  }
}
