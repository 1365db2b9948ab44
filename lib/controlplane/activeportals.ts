import type { Protocol } from '../net/protocol.js';
import type { Portal, Vip } from '../portal/portal.js';
import type { ActivePortal } from './activeportal.js';
import { isSamePlace } from './wantedlisteners.js';

/** The portals of this node, by their keys. */
export class ActivePortals {
  readonly #byKey = new Map<string, ActivePortal>();

  /** @throws Error if no portal has this key */
  get(key: string): ActivePortal {
    const active = this.#byKey.get(key);
    if (active === undefined) throw new Error(`no portal ${key} on this node`);
    return active;
  }

  /** The portals with these keys. Keys without a portal are left out. */
  existing(keys: Iterable<string>): ActivePortal[] {
    return Array.from(keys).flatMap((key) => this.#byKey.get(key) ?? []);
  }

  all(): Iterable<ActivePortal> {
    return this.#byKey.values();
  }

  /** The portals of this moment. A portal that is removed before its turn is left out. */
  *present(): Iterable<ActivePortal> {
    for (const active of [...this.#byKey.values()]) {
      if (this.#byKey.get(active.key) === active) yield active;
    }
  }

  idOf(key: string): number | undefined {
    return this.#byKey.get(key)?.id;
  }

  /** Whether a portal has a VIP with this address and port. Looks at all portals. */
  isVip(protocol: Protocol, place: Vip): boolean {
    return [...this.#byKey.values()].some(
      ({ portal }) => portal.protocol === protocol && portal.vips.some((vip) => isSamePlace(vip, place)),
    );
  }

  add(active: ActivePortal): void {
    this.#byKey.set(active.key, active);
  }

  /** Gives the portal with the key `before` its new key. */
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
