import type { Admission } from '../../portal/admission.js';
import type { WorkerListener, WorkerPortal } from '../shared/messages.js';
import type { PortalChange } from '../shared/questions.js';
import type { Handovers } from './handovers.js';
import { type PortalContext, ServedPortal } from './servedportal.js';
import type { Acceptor } from './tcp/acceptor.js';
import type { TcpListener } from './tcp/listener.js';
import { UdpListener } from './udp/listener.js';
import type { UdpRelay } from './udp/relay.js';

interface Entry {
  readonly portal: ServedPortal;
  readonly protocol: WorkerPortal['protocol'];
  listeners: readonly (TcpListener | UdpListener)[];
}

/** The portals that a worker serves, by id, with their listeners. It closes listeners that are given up. */
export class PortalTable {
  readonly #acceptor: Acceptor;
  readonly #udp: UdpRelay;
  readonly #handovers: Handovers;
  readonly #context: PortalContext;
  readonly #cells: Float64Array;
  readonly #entries = new Map<number, Entry>();

  /**
   * @param handovers is told what may be carried
   * @param cells this worker's counters
   */
  constructor(
    acceptor: Acceptor,
    udp: UdpRelay,
    handovers: Handovers,
    context: PortalContext,
    cells: Float64Array,
  ) {
    this.#acceptor = acceptor;
    this.#udp = udp;
    this.#handovers = handovers;
    this.#context = context;
    this.#cells = cells;
  }

  /**
   * Makes one change. All portals are created first, because an admission may name another portal.
   * @throws SysError if a listener cannot be watched; the change is then made in part
   */
  apply({ set, remove }: PortalChange): void {
    for (const id of remove) this.#remove(id);
    const changed = set.map((portal) => this.#update(portal));
    for (const [index, entry] of changed.entries()) {
      this.#setListeners(entry, set[index].listeners);
      this.#setAdmission(entry, set[index].admission);
      this.#handovers.set(entry.portal, entry.protocol, set[index].carriage);
    }
    for (const { portal, listeners } of changed) {
      if (portal.isRtps) for (const listener of listeners) endpointsChanged(listener);
    }
  }

  /** The portal with an id. */
  portal(id: number): ServedPortal | undefined {
    return this.#entries.get(id)?.portal;
  }

  closeListeners(): void {
    for (const entry of this.#entries.values()) this.#closeAllBut(entry, []);
  }

  #update(wanted: WorkerPortal): Entry {
    let entry = this.#entries.get(wanted.id);
    if (entry === undefined) {
      const portal = new ServedPortal(wanted, this.#context, this.#cells);
      entry = { portal, protocol: wanted.protocol, listeners: [] };
      this.#entries.set(wanted.id, entry);
    }
    const { portal } = entry;
    const { targets } = portal.balancer.rotation;
    const vips = portal.carried?.vips ?? [];
    const { isRtps: wasRead } = portal;
    portal.update(wanted);
    if (entry.protocol === 'UDP') this.#udp.portalChanged(portal, vips, targets, wasRead);
    return entry;
  }

  #remove(id: number): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    this.#closeAllBut(entry, []);
    this.#handovers.remove(entry.portal, entry.protocol);
    const { portal } = entry;
    const vips = portal.carried?.vips ?? [];
    portal.detach();
    if (entry.protocol === 'UDP') this.#udp.portalChanged(portal, vips, [], true);
    this.#entries.delete(id);
  }

  #setAdmission({ portal, listeners }: Entry, admission: Admission<number>): void {
    const hasChanged = portal.admit(admission, (id) => this.portal(id));
    if (!hasChanged) return;
    for (const listener of listeners) {
      if (listener instanceof UdpListener) listener.admissionChanged();
    }
  }

  #setListeners(entry: Entry, wanted: readonly WorkerListener[]): void {
    this.#closeAllBut(entry, wanted);
    entry.portal.redirectedPort = redirectedPortOf(wanted);
    for (const { fd, redirectedPort } of wanted) {
      if (entry.listeners.some((listener) => listener.fd === fd)) continue;
      const listener =
        entry.protocol === 'TCP'
          ? this.#acceptor.listen(fd, entry.portal, redirectedPort)
          : this.#udp.listen(fd, entry.portal, redirectedPort);
      entry.listeners = entry.listeners.concat(listener);
    }
  }

  #closeAllBut(entry: Entry, wanted: readonly WorkerListener[]): void {
    const isWanted = (listener: TcpListener | UdpListener) => wanted.some(({ fd }) => fd === listener.fd);
    const unwanted = entry.listeners.filter((listener) => !isWanted(listener));
    if (unwanted.length === 0) return;
    entry.listeners = entry.listeners.filter(isWanted);
    for (const listener of unwanted) listener.close();
  }
}

function redirectedPortOf(listeners: readonly WorkerListener[]): number | null {
  return listeners.find(({ redirectedPort }) => redirectedPort !== null)?.redirectedPort ?? null;
}

function endpointsChanged(listener: TcpListener | UdpListener): void {
  if (listener instanceof UdpListener) listener.endpointsChanged();
}
