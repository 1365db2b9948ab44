import type { ListenerGroup } from './listeners.js';
import type { Carriage } from './shared/carrier.js';
import type { WorkerPortal } from './shared/messages.js';

/** A portal as the control plane gives it to the data plane: with the listeners of all workers. */
export interface DataplanePortal extends Omit<WorkerPortal, 'listeners' | 'pinCells' | 'carriage'> {
  readonly listeners: readonly PortalListener[];
  /** The index of the only worker that serves it, or null if all workers do. */
  readonly onlyWorker: number | null;
  readonly carriage: PortalCarriage | null;
}

/** {@link Carriage} with the home for all workers. */
export interface PortalCarriage extends Pick<Carriage, 'vips'> {
  /** The index of the worker that takes the SYNs from its queue. */
  readonly homeWorker: number;
}

export interface PortalListener {
  readonly group: ListenerGroup;
  /** See WorkerListener. */
  readonly redirectedPort: number | null;
}

/**
 * Whether a worker gets a portal. One that no longer serves it must learn that: it has to close the portal's
 * listeners.
 * @param told ids of the portals that the worker knows
 */
export function concerns(
  { onlyWorker, id }: DataplanePortal,
  told: ReadonlySet<number>,
  worker: number,
): boolean {
  return onlyWorker === null || onlyWorker === worker || told.has(id);
}

/** The portal as a worker gets it. */
export function forWorker(
  portal: DataplanePortal,
  worker: number,
  pinCells: readonly (number | null)[] | undefined,
): WorkerPortal {
  const { listeners, onlyWorker: _, carriage, ...rest } = portal;
  return {
    ...rest,
    ...(pinCells && { pinCells }),
    carriage: carriage && { vips: carriage.vips, isHome: carriage.homeWorker === worker },
    listeners: listeners.flatMap(({ group, redirectedPort }) => {
      const fd = group.fds[worker] ?? null;
      return fd === null ? [] : [{ fd, redirectedPort }];
    }),
  };
}
