import type { Family, Protocol } from '../model/portal.js';
import { AF_INET, AF_INET6 } from '../sys/constants.js';
import { ignoreAllBut, ignoreNobody } from '../sys/filter.js';
import { closeSocket, listenDatagram, listenStream, startListening } from '../sys/socket.js';
import { steerByClientAddress } from '../sys/steering.js';
import { UDP_BUFFER_SIZE } from './udp/endpointsocket.js';

/** One address and port a portal listens on. */
export interface ListenerSpec {
  readonly protocol: Protocol;
  readonly family: Family;
  readonly address: string;
  readonly port: number;
  /** Binds although the node does not have the address (yet). */
  readonly freeBind: boolean;
  /** Whether a client must always meet the same worker (ClientIP affinity). */
  readonly steered: boolean;
  /** One worker's index to listen in that one only, where descriptors are too few for all; else null. */
  readonly onlyWorker: number | null;
}

/** Open sockets of one {@link ListenerSpec}: `fds[w]` belongs to worker w, or is null. */
export interface ListenerGroup {
  readonly spec: ListenerSpec;
  readonly fds: readonly (number | null)[];
}

/**
 * Opens a portal's sockets, one per worker, in the workers' order: the kernel's steering program counts them so.
 * @throws SysError, EADDRINUSE above all; nothing stays open then
 */
export function openListeners(spec: ListenerSpec, workers: number): ListenerGroup {
  if (spec.onlyWorker !== null || workers === 1) return openAlone(spec, workers);
  const fds: number[] = [];
  try {
    for (let worker = 0; worker < workers; worker++) fds.push(openOne(spec, true));
  } catch (error) {
    fds.forEach(closeSocket);
    throw error;
  }
  const group = { spec, fds };
  if (spec.steered) steer(group);
  return group;
}

/** Makes the workers' sockets of a group be chosen by client address; one alone needs no choice. */
export function steer({ spec, fds }: ListenerGroup): void {
  const open = fds.filter((fd) => fd !== null);
  if (open.length > 1)
    steerByClientAddress(open[0], spec.family === 'IPv6' ? AF_INET6 : AF_INET, open.length);
}

/** Makes the group's sockets deaf but for some clients, see {@link ignoreAllBut}; with null they hear everyone again. */
export function setFilter({ fds }: ListenerGroup, heard: readonly string[] | null): void {
  for (const fd of fds) {
    if (fd === null) continue;
    if (heard === null) ignoreNobody(fd);
    else ignoreAllBut(fd, heard);
  }
}

/** Whether this kernel can choose a worker by client address (Linux 4.6). */
export function probeSteering(): boolean {
  const fd = listenDatagram(
    { address: '127.0.0.1', port: 0, shared: true, freeBind: false },
    UDP_BUFFER_SIZE,
  );
  try {
    return steerByClientAddress(fd, AF_INET, 1);
  } finally {
    closeSocket(fd);
  }
}

function openAlone(spec: ListenerSpec, workers: number): ListenerGroup {
  const chosen = spec.onlyWorker ?? 0;
  const fd = openOne(spec, false);
  return { spec, fds: Array.from({ length: workers }, (_, worker) => (worker === chosen ? fd : null)) };
}

function openOne({ protocol, address, port, freeBind }: ListenerSpec, shared: boolean): number {
  const options = { address, port, freeBind, shared };
  if (protocol === 'UDP') return listenDatagram(options, UDP_BUFFER_SIZE);
  const fd = listenStream(options);
  try {
    startListening(fd);
    return fd;
  } catch (error) {
    closeSocket(fd);
    throw error;
  }
}
