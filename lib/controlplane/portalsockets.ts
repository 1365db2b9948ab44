import type { PortalListener } from '../dataplane/dataplaneportal.js';
import { closeListeners, type ListenerGroup } from '../dataplane/listeners.js';
import { NONE } from '../model/compact.js';
import type { Vip } from '../portal/portal.js';
import type { RedirectDriver } from '../redirect/driver.js';
import type { Capacity } from './capacity.js';
import { isSamePlace } from './wantedlisteners.js';

export interface OpenListener extends PortalListener {
  /** Whether the workers own the descriptors. False: {@link PortalSockets.giveUp} closes them. */
  isHandedOver: boolean;
  /** The clients that it hears while there are no endpoints, see {@link setFilter}. Null: all clients. */
  heard: string | null;
}

/** What the sockets of all portals share. */
export interface SocketContext {
  readonly driver: Pick<RedirectDriver, 'gate'>;
  readonly capacity: Capacity;
}

/**
 * A portal's open listeners. It owns their descriptors until {@link handOver}. Then the workers own them.
 * They close a listener when it is not in the portal that they get.
 */
export class PortalSockets {
  // A list: with thousands of portals, a map in each of them would take most of the memory.
  #listeners: readonly OpenListener[] = NONE;
  readonly #context: SocketContext;

  constructor(context: SocketContext) {
    this.#context = context;
  }

  get all(): readonly OpenListener[] {
    return this.#listeners;
  }

  has(place: Vip): boolean {
    return this.#listeners.some(({ group }) => isSamePlace(group.spec, place));
  }

  /**
   * Takes over a group whose sockets are open, and with it the duty to close them.
   * @param redirectedPort see WorkerListener
   */
  adopt(group: ListenerGroup, redirectedPort: number | null): void {
    this.#listeners = this.#listeners.concat({ group, redirectedPort, heard: null, isHandedOver: false });
    this.#context.capacity.listenersOpened(countOf(group));
    if (group.spec.freeBind) this.#context.driver.gate?.openPort(group.spec);
  }

  /** The workers own the listeners now, and close them later. */
  handOver(): void {
    for (const listener of this.#listeners) listener.isHandedOver = true;
  }

  /**
   * Gives listeners up. Listeners that the workers do not own are closed at once. The workers close the
   * others.
   * @returns whether there were any
   */
  giveUp(isUnwanted: (group: ListenerGroup) => boolean): boolean {
    const dropped = this.#listeners.filter(({ group }) => isUnwanted(group));
    if (dropped.length === 0) return false;
    this.#listeners = this.#listeners.filter((listener) => !dropped.includes(listener));
    for (const { group, isHandedOver } of dropped) {
      if (!isHandedOver) closeListeners(group);
      this.#context.capacity.listenersClosed(countOf(group));
      if (group.spec.freeBind) this.#context.driver.gate?.closePort(group.spec);
    }
    return true;
  }
}

function countOf(group: ListenerGroup): number {
  return group.fds.filter((fd) => fd !== null).length;
}
